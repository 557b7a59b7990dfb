import { beforeEach, describe, expect, test } from 'vitest';
import { concatBytes, encodeU16be, getU32be } from '../../../src/core/bytes.ts';
import { inner, ip } from '../addresses.ts';
import { AUTH_LENGTH, filler, innerPacket, outerFrame } from '../bpf-packets.ts';
import {
  ETH_P_IPV6,
  INNER_LOCAL6,
  INNER_REMOTE6,
  innerEnds,
  innerPacket6,
  outerEnds,
} from '../bpf-packets6.ts';
import { arrive, leave, loaded, PEER } from './shared.ts';
import { CONFIG6, admitOver, mapped } from './shared6.ts';

export function describeInsideIpv6(): void {
  describe('inside, of IPv6', () => {
    beforeEach(() => {
      admitOver('ipv4');
    });
    const fate = (fields: Parameters<typeof innerPacket6>[0], payload = filler(50)): string => {
      const { verdict, counted } = arrive(outerFrame(innerPacket6(fields, payload)));
      return counted[0] ?? verdict;
    };

    test('sources: hosts, prefixes by the longest, any', () => {
      loaded().setHost(inner('fd64::1:1'), 3);
      loaded().setHost(inner('fd64::1:2'), 4);
      loaded().setPrefix({ ip: inner('fd65::'), length: 32 }, 3);
      loaded().setPrefix({ ip: inner('fd65:0:3::'), length: 48 }, 4);
      const from = (source: string): string => fate({ source: ip(source) });
      expect(from('fd64::1:1')).toBe('redirect');
      expect(from('fd64::1:2')).toBe('foreign-source');
      expect(from('fd65::1')).toBe('foreign-source');
      loaded().configure({ ...CONFIG6, hasPrefixes6: true });
      expect(from('fd65::1')).toBe('redirect');
      expect(from('fd65:0:3::1')).toBe('foreign-source');
      expect(from('fd66::1')).toBe('foreign-source');
      loaded().admit(3, { ...PEER, anySource: true });
      expect(from('fd66::1')).toBe('redirect');
    });

    test.each([
      ['multicast', { source: ip('ff02::1') }],
      ['mapped', { source: mapped(1) }],
      ['to mapped', { destination: mapped(1) }],
      ['loopback', { source: ip('::1') }],
      ['of a link', { source: ip('fe80::1') }],
    ])('addresses that are %s: refused, whatever the peer may send', (_, fields) => {
      loaded().admit(3, { ...PEER, anySource: true });
      expect(fate(fields)).toBe('foreign-source');
      loaded().configure({ ...CONFIG6, hasPrefixes6: true });
      loaded().setPrefix({ ip: inner('::'), length: 0 }, 3);
      if (!('source' in fields && fields.source === ip('fe80::1'))) {
        expect(fate(fields)).toBe('foreign-source');
      }
    });

    test('what has the length of authentication is data from a source of the peer alone', () => {
      const payload = filler(AUTH_LENGTH - 40);
      expect(fate({}, payload)).toBe('redirect');
      expect(fate({ source: ip('fd99::1') }, payload)).toBe('passed-up');
      expect(fate({ payloadLength: 20 }, payload)).toBe('passed-up');
    });

    test('where it is not carried it is no packet, and nothing of it leaves', () => {
      loaded().configure({ ...CONFIG6, inside: ['ipv4'] });
      expect(fate({})).toBe('malformed');
      const out = innerPacket6({ source: INNER_LOCAL6, destination: INNER_REMOTE6 });
      expect(leave(out, ETH_P_IPV6)).toMatchObject({ verdict: 'shot', counted: ['not-ipv4'] });
      loaded().configure({ ...CONFIG6, inside: ['ipv6'] });
      expect(fate({})).toBe('redirect');
      expect(arrive(outerFrame(innerPacket())).counted).toEqual(['malformed']);
      expect(leave(innerPacket())).toMatchObject({ verdict: 'shot', counted: ['not-ipv6'] });
    });

    test.each([
      ['a contradiction in length', innerPacket6({ payloadLength: 39 }), 'not-ipv6'],
      ['a jumbogram', innerPacket6({ payloadLength: 0, nextHeader: 0 }), 'not-ipv6'],
      ['another version', innerPacket6({ version: 5 }), 'not-ipv6'],
      ['a multicast destination', innerPacket6({ destination: ip('ff02::2') }), 'no-peer'],
      ['a link-local destination', innerPacket6({ destination: ip('fe80::2') }), 'no-peer'],
      ['a mapped destination', innerPacket6({ destination: mapped(3) }), 'no-peer'],
    ] as const)('out, %s: refused, and counted', (_, bytes, reason) => {
      expect(leave(bytes, ETH_P_IPV6)).toMatchObject({ verdict: 'shot', counted: [reason] });
    });

    test('where a path takes less than IPv6 asks for, none leaves', () => {
      const out = innerPacket6({ source: INNER_LOCAL6, destination: INNER_REMOTE6 });
      loaded().admit(3, { ...PEER, innerMtu: 1279 });
      expect(leave(out, ETH_P_IPV6)).toMatchObject({ verdict: 'shot', counted: ['no-ipv6'] });
      expect(leave(innerPacket({ destination: innerEnds('ipv4').peer })).verdict).toBe('redirect');
      expect(fate({})).toBe('redirect');
      loaded().admit(3, { ...PEER, innerMtu: 1280 });
      expect(leave(out, ETH_P_IPV6).verdict).toBe('redirect');
    });

    test('flows have flow labels of their own outside', () => {
      loaded().admit(3, { ...PEER, ...outerEnds('ipv6') });
      const label = (port: number): number => {
        const header = concatBytes([encodeU16be(port), encodeU16be(53), new Uint8Array(4)]);
        const out = innerPacket6({ source: INNER_LOCAL6, destination: INNER_REMOTE6 }, header);
        return getU32be(leave(out, ETH_P_IPV6).outer, 0) & 0xfffff;
      };
      const labels = Array.from({ length: 16 }, (_, index) => label(5000 + index));
      expect(new Set(labels).size).toBeGreaterThan(12);
      expect(label(5000)).toBe(labels[0]);
    });
  });
}
