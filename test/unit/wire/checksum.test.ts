import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  addToChecksum,
  finishChecksum,
  internetChecksum,
} from '../../../src/core/wire/checksum.ts';

function bytes(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex, 'hex'));
}

describe('internetChecksum', () => {
  it.each([
    ['the example of RFC 1071', '0001f203f4f5f6f7', 0x220d],
    ['an odd last byte as a high half', '0001f203f4f5f6', 0x2304],
    ['nothing', '', 0xffff],
    ['a header whose checksum field is zero', '450000730000400040110000c0a80001c0a800c7', 0xb861],
    ['a header that carries its checksum', '45000073000040004011b861c0a80001c0a800c7', 0],
  ])('sums %s', (_name, hex, expected) => {
    expect(internetChecksum(bytes(hex))).toBe(expected);
  });

  it('sums parts of even length to the checksum of the whole', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(150), (data, half) => {
        const cut = Math.min(half * 2, data.length & ~1);
        const first = addToChecksum(0, data.subarray(0, cut));
        expect(internetChecksum(data.subarray(cut), first)).toBe(internetChecksum(data));
      }),
    );
  });

  it('folds a carry that folding makes', () => {
    expect(finishChecksum(0xffff_ffff)).toBe(0);
    expect(finishChecksum(0x1_fffe)).toBe(0);
    expect(finishChecksum(0x1_ffff)).toBe(0xfffe);
    expect(internetChecksum(new Uint8Array(200_000).fill(0xff))).toBe(0);
  });
});
