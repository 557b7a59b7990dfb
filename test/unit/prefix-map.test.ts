import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatPrefix, innerIpv4FromNumber, prefixOf, type Prefix } from '../../src/core/addr.ts';
import { PrefixMap } from '../../src/core/prefix-map.ts';
import { inner } from '../rig/addresses.ts';

/** Few enough that they meet again; those of the two families look alike. */
const ipv4 = fc
  .record({ network: fc.integer({ min: 0, max: 3 }), length: fc.constantFrom(0, 1, 31, 32) })
  .map(({ network, length }): Prefix => {
    const size = 2 ** (32 - length);
    return { ip: innerIpv4FromNumber((0xffff_fffe + network) * size), length };
  });
const ipv6 = fc
  .record({
    address: fc.constantFrom('::', '::1', 'fd28::'),
    length: fc.constantFrom(0, 1, 32, 128),
  })
  .map(({ address, length }): Prefix => prefixOf(inner(address), length));
const prefix = fc.oneof(ipv4, ipv6);

test('says of every prefix what was set last, as a map of texts does', () => {
  const change = fc.record({ prefix, value: fc.option(fc.nat(), { nil: undefined }) });
  fc.assert(
    fc.property(fc.array(change), (changes) => {
      const map = new PrefixMap<number>();
      const model = new Map<string, number>();
      for (const { prefix: key, value } of changes) {
        if (value === undefined) {
          map.delete(key);
          model.delete(formatPrefix(key));
        } else {
          map.set(key, value);
          model.set(formatPrefix(key), value);
        }
        expect(map.get(key)).toBe(value);
        expect(map.has(key)).toBe(value !== undefined);
      }
      const entries = [...map.entries()].map(([key, value]) => [formatPrefix(key), value] as const);
      expect(new Map(entries)).toEqual(model);
      expect(entries).toHaveLength(model.size);
    }),
  );
});
