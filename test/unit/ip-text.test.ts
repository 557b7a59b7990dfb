import { isIPv6 } from 'node:net';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalIp, ipBytes, ipText } from '../../src/core/ip-text.ts';

const addresses = fc
  .array(fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff })), {
    minLength: 8,
    maxLength: 8,
  })
  .map((groups) => Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 255])));

/** What another program makes of it: the URL parser of Node follows RFC 5952. */
function byUrl(text: string): string {
  return new URL(`http://[${text}]/`).hostname.slice(1, -1);
}

const ALPHABET = '0123456789abcdefAF:::.'.split('');

describe('canonicalIp', () => {
  it.each([
    ['192.0.2.1', '192.0.2.1'],
    ['::', '::'],
    ['::1', '::1'],
    ['1::', '1::'],
    ['2001:DB8::1', '2001:db8::1'],
    ['2001:0db8:0000:0000:0001:0000:0000:0001', '2001:db8::1:0:0:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
    ['64:ff9b::192.0.2.33', '64:ff9b::c000:221'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['::ffff:c000:201', '192.0.2.1'],
    ['0:0:0:0:0:ffff:192.0.2.1', '192.0.2.1'],
    ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
  ])('of %s is %s', (text, canonical) => {
    expect(canonicalIp(text)).toBe(canonical);
  });

  it.each([
    ...['', ':', ':::', '1', '1.2.3', '1.2.3.04', '256.1.1.1', ' ::1', '::1 ', '[::1]', '::1%lo'],
    ...[
      '1:2:3:4:5:6:7',
      '1:2:3:4:5:6:7:8:9',
      '1:2:3:4:5:6:7:8::',
      '::1::',
      '12345::',
      'g::',
      '::-1',
    ],
    ...[
      '1:2:3:4:5:6:7:1.2.3.4',
      '1.2.3.4::',
      '::1.2.3',
      '::1.2.3.4:5',
      ':1',
      '1:',
      '1:2:3:4:5:6:7:',
      '/::',
    ],
  ])('of %j is none', (text) => {
    expect(canonicalIp(text)).toBeUndefined();
  });

  it('agrees with other parsers about any text of that alphabet', () => {
    const texts = fc.string({ unit: fc.constantFrom(...ALPHABET), maxLength: 24 });
    fc.assert(
      fc.property(texts, (text) => {
        if (text.includes(':')) expect(canonicalIp(text) !== undefined).toBe(isIPv6(text));
      }),
      { numRuns: 5000 },
    );
  });

  it('is RFC 5952’s, and comes back from its bytes', () => {
    fc.assert(
      fc.property(addresses, (bytes) => {
        const text = ipText(bytes, 0, 16);
        const long = Array.from({ length: 8 }, (_, index) =>
          Buffer.from(bytes).toString('hex', 2 * index, 2 * index + 2),
        ).join(':');
        expect(canonicalIp(long)).toBe(text);
        expect(canonicalIp(text)).toBe(text);
        if (!text.includes('.')) {
          expect(byUrl(text)).toBe(text);
          expect(ipBytes(text)).toEqual(bytes);
        }
      }),
      { numRuns: 5000 },
    );
  });
});
