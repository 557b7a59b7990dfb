/* Who is who in the thread of the `tun` plane, by IPv6 addresses. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Ipv6PrefixTable } from '../../../src/adapters/planes/tun/ipv6-prefix-table.ts';
import { ipv6Mask, ipv6Words } from '../../../src/adapters/planes/tun/ipv6-words.ts';
import { PeerTable, type MemberSpec } from '../../../src/adapters/planes/tun/peer-table.ts';
import { WordsMap } from '../../../src/adapters/planes/tun/words-map.ts';
import { decodeInnerIpv6, prefixHolds, prefixOf, type InnerIp } from '../../../src/core/addr.ts';
import type { PeerId } from '../../../src/ports/data-plane.ts';
import { parsePath } from './tun-packets.ts';

const ONE = 'one' as PeerId;
const TWO = 'two' as PeerId;
const words = (text: string) => ipv6Words(text as InnerIp);

/** Few different addresses, alike for some bits. */
const addresses = fc
  .tuple(fc.constantFrom(0x20, 0xfd), fc.nat(3), fc.nat(3), fc.nat(3))
  .map(([a, b, c, d]) =>
    decodeInnerIpv6(Uint8Array.of(a, 0x28, 0, b, 0, 0, 0, c, 0, 0, 0, 0, 0, 0, 0, d)),
  );

describe('a map by words', () => {
  test('holds what a map of texts holds, after any calls', () => {
    const call = fc.record({
      key: fc.array(fc.nat(2), { minLength: 3, maxLength: 3 }),
      set: fc.option(fc.nat()),
    });
    fc.assert(
      fc.property(fc.array(call, { maxLength: 60 }), (calls) => {
        const map = new WordsMap<number>(3);
        const model = new Map<string, number>();
        for (const { key, set } of calls) {
          if (set === null) {
            map.delete(Uint32Array.from(key));
            model.delete(key.join());
          } else {
            map.set(Uint32Array.from(key), set);
            model.set(key.join(), set);
          }
          expect(map.get(Uint32Array.from(key))).toBe(model.get(key.join()));
          expect(map.size).toBe(model.size);
        }
        for (const [key, value] of model) {
          expect(map.get(Uint32Array.from(key.split(',').map(Number)))).toBe(value);
        }
      }),
    );
  });

  test('holds as many as there are', () => {
    const map = new WordsMap<number>(4);
    const key = (n: number) => Uint32Array.of(0x28fd, 0, n % 100, n);
    for (let n = 0; n < 50_000; n += 1) map.set(key(n), n);
    for (let n = 0; n < 50_000; n += 2) map.delete(key(n));
    expect(map.size).toBe(25_000);
    for (let n = 0; n < 50_000; n += 997) expect(map.get(key(n))).toBe(n % 2 === 0 ? undefined : n);
  });
});

describe('a table of prefixes', () => {
  test.each([
    [0, '::'],
    [1, '8000::'],
    [33, 'ffff:ffff:8000::'],
    [64, 'ffff:ffff:ffff:ffff::'],
    [127, 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe'],
    [128, 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
  ])('has a mask of %i bits', (length, mask) => {
    expect(ipv6Mask(length)).toEqual(words(mask));
  });

  test('finds the longest that holds an address, after any calls', () => {
    const prefixes = fc
      .tuple(addresses, fc.constantFrom(0, 8, 31, 32, 33, 64, 96, 126, 128))
      .map(([ip, length]) => prefixOf(ip, length));
    const calls = fc.array(fc.tuple(prefixes, fc.nat(3), fc.boolean()), { maxLength: 30 });
    fc.assert(
      fc.property(calls, fc.array(addresses, { maxLength: 10 }), (made, asked) => {
        const table = new Ipv6PrefixTable<number>();
        const model = new Map<string, { prefix: ReturnType<typeof prefixOf>; owner: number }>();
        for (const [prefix, owner, set] of made) {
          const key = `${prefix.ip}/${prefix.length}`;
          if (set) {
            table.set(ipv6Words(prefix.ip), prefix.length, owner);
            model.set(key, { prefix, owner });
          } else {
            table.delete(ipv6Words(prefix.ip), prefix.length, owner);
            if (model.get(key)?.owner === owner) model.delete(key);
          }
          for (const address of asked) {
            const best = [...model.values()]
              .filter((each) => prefixHolds(each.prefix, address))
              .toSorted((a, b) => b.prefix.length - a.prefix.length)
              .at(0);
            expect(table.find(ipv6Words(address))).toBe(best?.owner);
          }
        }
      }),
    );
  });
});

describe('the peer table', () => {
  const HOME = parsePath('[2001:db8::1]:10000', '[2001:db8::2]:10000');
  const OTHER = parsePath('[2001:db8::1]:10000', '[2001:db8::2]:20000');
  const IPV4 = parsePath('192.0.2.1:10000', '203.0.113.2:10000');

  function member(id: PeerId, ...texts: readonly string[]): MemberSpec {
    const ipv6Prefixes = texts.flatMap((text) => {
      const [ip = '', length = '128'] = text.split('/');
      return [...words(ip), Number(length)];
    });
    return { id, prefixes: [], ipv6Prefixes };
  }

  test('finds a peer by its exact path only, and follows it to the other family and back', () => {
    const peers = new PeerTable();
    for (const id of [ONE, TWO]) peers.configure(member(id));
    expect(peers.admit(ONE, 0, HOME)).toBeUndefined();
    expect(peers.find(HOME)?.member.id).toBe(ONE);
    for (const other of [
      OTHER,
      parsePath('[2001:db8::3]:10000', '[2001:db8::2]:10000'),
      parsePath('[2001:db8::1]:10000', '[2001:db8:0:1::2]:10000'),
    ]) {
      expect(peers.find(other)).toBeUndefined();
    }
    expect(peers.admit(TWO, 1, HOME)).toBe('path');
    expect(peers.admit(ONE, 0, IPV4)).toBeUndefined();
    expect([peers.find(HOME), peers.find(IPV4)?.member.id]).toEqual([undefined, ONE]);
    expect(peers.admit(TWO, 1, HOME)).toBeUndefined();
    expect(peers.admit(ONE, 0, OTHER)).toBeUndefined();
    expect([peers.find(IPV4), peers.find(OTHER)?.member.id]).toEqual([undefined, ONE]);
    peers.evict(ONE);
    expect([peers.find(OTHER), peers.find(HOME)?.member.id]).toEqual([undefined, TWO]);
  });

  test('gives inner addresses to whom they belong', () => {
    const peers = new PeerTable();
    peers.configure(member(ONE, 'fd28::1', '2001:db8:1::/48'));
    peers.configure(member(TWO, 'fd28::2', '2001:db8:1:2::/64'));
    peers.admit(ONE, 0, HOME);
    const one = peers.get(ONE);
    expect(peers.ipv6Recipient(words('2001:db8:1:1::7'))).toBe(one);
    expect(peers.ipv6Recipient(words('2001:db8:1:2::7'))).toBeUndefined();
    expect(peers.ipv6Recipient(words('fd28::3'))).toBeUndefined();
    peers.admit(TWO, 1, IPV4);
    expect(peers.ipv6Recipient(words('2001:db8:1:2::7'))).toBe(peers.get(TWO));
    expect(one && peers.ipv6MaySend(one, words('2001:db8:1:1::7'))).toBe(true);
    expect(one && peers.ipv6MaySend(one, words('2001:db8:1:2::7'))).toBe(false);
    expect(one && peers.ipv6MaySend(one, words('fd28::2'))).toBe(false);
    peers.configure(member(ONE, 'fd28::9'));
    expect(peers.ipv6Recipient(words('fd28::1'))).toBeUndefined();
    expect(peers.ipv6Recipient(words('fd28::9'))).toBe(one);
    peers.remove(ONE);
    expect(peers.ipv6Recipient(words('fd28::9'))).toBeUndefined();
  });

  test('whose prefixes are any gets what is nobody’s, and may send from everywhere', () => {
    const peers = new PeerTable();
    peers.configure({ id: ONE, prefixes: undefined });
    peers.configure(member(TWO, 'fd28::2'));
    peers.admit(ONE, 0, HOME);
    const one = peers.get(ONE);
    expect(peers.ipv6Recipient(words('2001:db8::9'))).toBe(one);
    expect(peers.ipv6Recipient(words('fd28::2'))).toBeUndefined();
    expect(one && peers.ipv6MaySend(one, words('fd28::2'))).toBe(true);
  });
});
