import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { sipHash128, sipHash64 } from '../../src/core/siphash.ts';

const vectors = JSON.parse(
  readFileSync(new URL('../fixtures/siphash.json', import.meta.url), 'utf8'),
) as { readonly sip64: readonly string[]; readonly sip128: readonly string[] };

const upTo = (length: number): Uint8Array => Uint8Array.from({ length }, (_unused, i) => i);
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const key = upTo(16);

describe('SipHash-2-4', () => {
  it("is that of the reference implementation's vectors, of both lengths", () => {
    const lengths = [...vectors.sip64.keys()];
    expect(lengths).toHaveLength(64);
    expect(lengths.map((length) => hex(sipHash64(key, upTo(length))))).toEqual(vectors.sip64);
    expect(lengths.map((length) => hex(sipHash128(key, upTo(length))))).toEqual(vectors.sip128);
  });

  it('is the example of the paper (appendix A): a129ca6149be45e5', () => {
    expect(hex(sipHash64(key, upTo(15)).toReversed())).toBe('a129ca6149be45e5');
  });

  it('reads a view of a larger array, and writes where it is told', () => {
    const packet = new Uint8Array(40).fill(0xaa);
    packet.set(upTo(15), 3);
    const out = new Uint8Array(12);
    sipHash64(key, packet.subarray(3, 18), out, 2);
    expect(hex(out)).toBe(`0000${vectors.sip64[15]}0000`);
  });
});
