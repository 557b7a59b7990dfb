import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  familyOf,
  formatPrefix,
  outerIpv4FromNumber,
  parseOuterIp,
  prefixOf,
  type OuterIp,
} from '../../src/core/addr.ts';
import { translated, translationPrefixes } from '../../src/core/nat64.ts';
import { ip } from '../rig/addresses.ts';

/* RFC 6052, section 2.4, table 1; the well-known prefix with the addresses of RFC 7050. */
const TABLE = [
  ['2001:db8::', 32, '2001:db8:c000:221::'],
  ['2001:db8:100::', 40, '2001:db8:1c0:2:21::'],
  ['2001:db8:122::', 48, '2001:db8:122:c000:2:2100::'],
  ['2001:db8:122:300::', 56, '2001:db8:122:3c0:0:221::'],
  ['2001:db8:122:344::', 64, '2001:db8:122:344:c0:2:2100::'],
  ['2001:db8:122:344::', 96, '2001:db8:122:344::192.0.2.33'],
  ['64:ff9b::', 96, '64:ff9b::192.0.2.33'],
] as const;

describe('the address of a translator', () => {
  test.each(TABLE)('of %s/%i is %s', (prefix, length, address) => {
    expect(translated(ip('192.0.2.33'), { ip: ip(prefix), length })).toBe(parseOuterIp(address));
  });
});

const answersOf = (prefix: OuterIp, length: number): readonly OuterIp[] =>
  ['192.0.0.170', '192.0.0.171'].map((known) => translated(ip(known), { ip: prefix, length }));

describe('the prefix of a network', () => {
  test.each(TABLE)('is %s/%i by what the well-known name has there', (prefix, length) => {
    const answers = answersOf(ip(prefix), length);
    expect(translationPrefixes(answers)).toEqual([{ ip: prefix, length }]);
    expect(translationPrefixes(answers.slice(1))).toEqual([{ ip: prefix, length }]);
  });

  test.each([
    ['no answer', []],
    ['the IPv4 addresses', ['192.0.0.170', '192.0.0.171']],
    ['an address of something else', ['2001:db8::1', '64:ff9b::c000:ac']],
    ['an address with something in the reserved bits', ['2001:db8:122:344:ff00:aa::']],
  ])('is not told by %s', (_what, answers) => {
    expect(translationPrefixes(answers.map((answer) => ip(answer)))).toEqual([]);
  });

  test('several networks have several, in their order', () => {
    const answers = [...answersOf(ip('2001:db8:1::'), 96), ...answersOf(ip('64:ff9b::'), 96)];
    expect(translationPrefixes(answers).map(formatPrefix)).toEqual([
      '2001:db8:1::/96',
      '64:ff9b::/96',
    ]);
  });

  test('that has the address in itself is found by the other one', () => {
    const prefix = { ip: ip('2001:db8:c000:aa::'), length: 96 };
    const answers = answersOf(prefix.ip, prefix.length);
    expect(translationPrefixes(answers)).toEqual([prefix]);
    const other = { ip: ip('2001:db8::'), length: 32 };
    expect(translationPrefixes(answersOf(other.ip, other.length))).toEqual([other]);
  });

  test('is found again, whatever it is', () => {
    const prefixes = fc
      .tuple(
        fc.uint8Array({ minLength: 12, maxLength: 12 }),
        fc.constantFrom(32, 40, 48, 56, 64, 96),
      )
      .map(([bytes, length]) => {
        const groups = [...bytes.with(0, 0x20).with(8, 0), 0, 0, 0, 0];
        const text = Array.from({ length: 8 }, (_, index) =>
          (((groups[2 * index] ?? 0) << 8) | (groups[2 * index + 1] ?? 0)).toString(16),
        ).join(':');
        return prefixOf(ip(text), length);
      });
    fc.assert(
      fc.property(prefixes, fc.integer({ min: 0, max: 0xffffffff }), (prefix, number) => {
        expect(translationPrefixes(answersOf(prefix.ip, prefix.length))).toContainEqual(prefix);
        expect(familyOf(translated(outerIpv4FromNumber(number), prefix))).toBe('ipv6');
      }),
    );
  });
});
