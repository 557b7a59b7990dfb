import fc from 'fast-check';
import { expect, it } from 'vitest';
import { align4 } from '../../../src/core/netlink/attributes.ts';
import { getU16host } from '../../../src/core/bytes.ts';
import type { Decoded } from '../../../src/core/result.ts';
import { truncations } from './hex.ts';

/** Lengths at which a payload, a header and attributes, can be cut without cutting an attribute. */
function seams(payload: Uint8Array, headerLength: number): ReadonlySet<number> {
  const lengths = new Set([headerLength]);
  for (let offset = headerLength; offset < payload.length;) {
    const length = getU16host(payload, offset);
    for (let end = offset + length; end <= offset + align4(length); end++) lengths.add(end);
    offset += align4(length);
  }
  return lengths;
}

/** What every decoder of a payload must stand; `payload` is a good one. */
export function holdsAgainstBadBytes(
  decode: (payload: Uint8Array) => Decoded<unknown>,
  payload: Uint8Array,
  headerLength: number,
): void {
  it('refuses every truncation that cuts the header or an attribute', () => {
    const whole = seams(payload, headerLength);
    for (const part of truncations(payload)) {
      if (whole.has(part.length)) continue;
      expect(decode(part).ok, `${part.length} bytes`).toBe(false);
    }
  });

  it('returns on any bytes, and on a good payload with any byte changed', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
        expect(typeof decode(bytes).ok).toBe('boolean');
      }),
    );
    const change = fc.tuple(fc.nat(payload.length - 1), fc.nat(255));
    fc.assert(
      fc.property(change, ([at, value]) => {
        expect(typeof decode(payload.with(at, value)).ok).toBe('boolean');
      }),
    );
  });
}
