import { beforeEach, describe, expect, test } from 'vitest';
import { concatBytes } from '../../../src/core/bytes.ts';
import { ip } from '../addresses.ts';
import { AUTH_LENGTH, filler, frame, LOCAL_PORT, REMOTE_PORT, udpHeader } from '../bpf-packets.ts';
import {
  ETH_P_IPV6,
  icmp6Packet,
  innerPacket6,
  ip6Packet,
  LOCAL6,
  outerFrame6,
  REMOTE6,
} from '../bpf-packets6.ts';
import { arrive, CONFIG, loaded } from './shared.ts';
import { SHORTEST6, CONFIG6, admitOver, mapped, expectFateOver } from './shared6.ts';

const HEADERS = {
  'hop-by-hop': { nextHeader: 0, extensions: Uint8Array.of(17, 0, 1, 4, 0, 0, 0, 0) },
  routing: { nextHeader: 43, extensions: Uint8Array.of(17, 0, 4, 0, 0, 0, 0, 0) },
  'destination options': { nextHeader: 60, extensions: Uint8Array.of(17, 0, 1, 4, 0, 0, 0, 0) },
  'an authentication header': {
    nextHeader: 51,
    extensions: Uint8Array.from([17, 1, ...new Uint8Array(10)]),
  },
  'a first fragment': { nextHeader: 44, extensions: Uint8Array.of(17, 0, 0, 1, 0, 0, 0, 1) },
  'a fragment that is whole': {
    nextHeader: 44,
    extensions: Uint8Array.of(17, 0, 0, 0, 0, 0, 0, 1),
  },
  'two headers': {
    nextHeader: 0,
    extensions: Uint8Array.of(60, 0, 1, 4, 0, 0, 0, 0, 17, 0, 1, 4, 0, 0, 0, 0),
  },
} as const;

export function describeOverIpv6(): void {
  describe('over IPv6', () => {
    beforeEach(() => {
      admitOver('ipv6');
    });
    const packet = innerPacket6();

    test.each(Object.entries(HEADERS))('a packet of the peer with %s is refused', (_, fields) => {
      const { verdict, counted } = arrive(outerFrame6(packet, fields));
      expect([verdict, counted]).toEqual(['shot', ['unusual']]);
      const elsewhere = { ...fields, destinationPort: LOCAL_PORT + 1 };
      expect(arrive(outerFrame6(packet, elsewhere))).toMatchObject({
        verdict: 'unspec',
        counted: [],
      });
      loaded().configure({ ...CONFIG6, outside: ['ipv4'] });
      expect(arrive(outerFrame6(packet, fields)).verdict).toBe('unspec');
    });

    test('later fragments, jumbograms and what is behind unknown headers go their way', () => {
      const later = { nextHeader: 44, extensions: Uint8Array.of(17, 0, 0, 9, 0, 0, 0, 1) };
      const jumbo = {
        ...{ nextHeader: 0, payloadLength: 0 },
        extensions: Uint8Array.of(59, 0, 0xc2, 4, 0, 1, 0, 0),
      };
      for (const fields of [later, jumbo, { nextHeader: 50 }, { nextHeader: 59 }]) {
        const { verdict, counted } = arrive(outerFrame6(packet, fields));
        expect([verdict, counted]).toEqual(['unspec', []]);
      }
      const jumboOfUdp = { ...jumbo, extensions: Uint8Array.of(17, 0, 0xc2, 4, 0, 1, 0, 0) };
      expect(arrive(outerFrame6(packet, jumboOfUdp)).counted).toEqual(['unusual']);
    });

    test.each([
      ['a link-local address', { source: ip('fe80::1') }],
      ['a multicast address', { source: ip('ff02::1') }],
      ['a mapped address', { source: mapped(7) }],
      ['the loopback address', { source: ip('::1') }],
      ['no address', { source: ip('::') }],
      ['to a link-local address', { destination: ip('fe80::1') }],
      ['to a multicast address', { destination: ip('ff02::1') }],
      ['to a mapped address', { destination: mapped(1) }],
    ])('authentication from %s is refused', (_, fields) => {
      const { verdict, counted } = arrive(outerFrame6(filler(AUTH_LENGTH), fields));
      expect([verdict, counted]).toEqual(['shot', ['unusual']]);
    });

    test('cut short at any length: not taken', () => {
      const whole = outerFrame6(packet);
      for (let length = SHORTEST6; length < whole.length; length += 1) {
        expect(arrive(whole.subarray(0, length)).verdict, `${length} bytes`).toBe('unspec');
      }
      for (let length = 0; length < packet.length; length += 1) {
        expectFateOver('ipv6', outerFrame6(packet.subarray(0, length)));
      }
    });

    test('a network of 64 bits is one source', () => {
      const limited = { perSecond: 1, burst: 3 };
      loaded().configure({ ...CONFIG6, rates: { ...CONFIG.rates, strangerSource: limited } });
      const from = (source: string): string =>
        arrive(outerFrame6(filler(AUTH_LENGTH), { source: ip(source) })).counted[0] ?? '';
      const one = ['2001:db8:1::1', '2001:db8:1::2', '2001:db8:1::3', '2001:db8:1:0:9::'];
      expect(one.map(from)).toEqual(['passed-up', 'passed-up', 'passed-up', 'stranger-source']);
      expect(from('2001:db8:1:1::1')).toBe('passed-up');
    });

    test('where a peer was admitted, its network has a budget apart from strangers', () => {
      const none = { perSecond: 1e-6, burst: 0 };
      loaded().configure({ ...CONFIG6, rates: { ...CONFIG.rates, strangerAll: none } });
      loaded().rememberSources([ip('2001:db8:77::1')]);
      const from = (source: string): string =>
        arrive(outerFrame6(filler(AUTH_LENGTH), { source: ip(source) })).counted[0] ?? '';
      expect(from('2001:db8:77::9')).toBe('passed-up');
      expect(from('2001:db8:78::9')).toBe('stranger-all');
    });

    test('so has the hint of a key, from anywhere', () => {
      const none = { perSecond: 1e-6, burst: 0 };
      const rates = { ...CONFIG.rates, strangerAll: none };
      loaded().configure({ ...CONFIG6, authLengths: [AUTH_LENGTH, 85], rates });
      const HINT = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
      loaded().setHints([[HINT, 3]]);
      const request = (hint: Uint8Array): Uint8Array =>
        concatBytes([filler(73), Uint8Array.of(1, 0, 8), hint, Uint8Array.of(0)]);
      const source = ip('2001:db8:99::1');
      expect(arrive(outerFrame6(request(HINT), { source })).counted).toEqual(['passed-up']);
      expect(arrive(outerFrame6(request(new Uint8Array(8)), { source })).counted).toEqual([
        'stranger-all',
      ]);
    });

    describe('ICMPv6 errors about packets of the port', () => {
      const about = (port: number, type = 1): Uint8Array => {
        const udp = udpHeader({ sourcePort: LOCAL_PORT, destinationPort: port }, new Uint8Array(0));
        const quoted = ip6Packet({ source: LOCAL6, destination: REMOTE6 }, udp);
        const ends = { source: ip('2001:db8:66::1'), destination: LOCAL6 };
        const message = icmp6Packet(ends, type, concatBytes([new Uint8Array(4), quoted]));
        return frame(message, ETH_P_IPV6);
      };
      const limited = { perSecond: 1, burst: 2 };

      test('have a budget for each peer, and one for packets to nobody', () => {
        loaded().configure({ ...CONFIG6, rates: { ...CONFIG.rates, errorPeer: limited } });
        for (const port of [REMOTE_PORT, 7]) {
          const fates = Array.from({ length: 3 }, () => arrive(about(port)).verdict);
          expect(fates).toEqual(['unspec', 'unspec', 'shot']);
          expect(arrive(about(port)).counted).toEqual(['outer-error']);
        }
      });

      test('others, and other messages, are not looked at', () => {
        const rates = { ...CONFIG.rates, errorAll: { perSecond: 1e-6, burst: 0 } };
        loaded().configure({ ...CONFIG6, rates });
        for (const type of [0, 5, 128, 135, 136]) {
          expect(arrive(about(7, type)).verdict).toBe('unspec');
        }
        for (const type of [1, 2, 3, 4]) expect(arrive(about(7, type)).verdict).toBe('shot');
        const whole = about(7);
        for (let length = SHORTEST6; length < whole.length - 4; length += 1) {
          expect(arrive(whole.subarray(0, length)).counted).toEqual([]);
        }
      });
    });

    test('a source without strangers is refused', () => {
      loaded().configure({ ...CONFIG6, strangers: false });
      const source = ip('2001:db8:99::1');
      expectFateOver('ipv6', outerFrame6(filler(AUTH_LENGTH), { source }), false);
    });
  });
}
