import { describe, expect, test } from 'vitest';
import { icmpAnswer } from '../../../src/adapters/planes/tun/icmp-answer.ts';
import type { InnerIp } from '../../../src/core/addr.ts';
import { decodeIcmpError } from '../../../src/core/wire/icmp-error.ts';
import { pattern, udpPacket } from './tun-packets.ts';

describe('what a sender inside is told', () => {
  const OWN = 'fd28::1' as InnerIp;
  const PEER = 'fd28::2' as InnerIp;
  const sent = (length: number) =>
    udpPacket(pattern(length), { family: 'ipv6', source: OWN, destination: PEER });

  test('how much fits, from our own address, with what it sent', () => {
    const packet = sent(3000);
    const answer = icmpAnswer(packet, { kind: 'too-big', mtu: 1300 }, [OWN]) ?? new Uint8Array();
    expect(answer).toHaveLength(1280);
    expect(decodeIcmpError(answer)).toMatchObject({
      ok: true,
      value: {
        path: { local: { ip: OWN, port: 5001 }, remote: { ip: PEER, port: 40_000 } },
        error: { kind: 'too-big', mtu: 1300 },
      },
    });
    expect(answer.slice(48)).toEqual(packet.slice(0, 1280 - 48));
  });

  test('that there is no way', () => {
    const packet = sent(10);
    const answer = icmpAnswer(packet, { kind: 'no-ipv6' }, [OWN]) ?? new Uint8Array();
    expect(decodeIcmpError(answer)).toMatchObject({
      ok: true,
      value: { error: { kind: 'unreachable', code: 'net', from: OWN } },
    });
  });

  test.each([
    { what: 'an error', type: 1 },
    { what: 'another error', type: 127 },
    { what: 'a redirect', type: 137 },
  ])('nothing of $what', ({ type }) => {
    const packet = udpPacket(pattern(10), { family: 'ipv6', source: OWN })
      .with(6, 58)
      .with(40, type);
    expect(icmpAnswer(packet, { kind: 'no-ipv6' }, [OWN])).toBeUndefined();
    expect(icmpAnswer(packet.with(40, 128), { kind: 'no-ipv6' }, [OWN])).toBeDefined();
  });

  test.each(['::', 'ff02::1', '::1'])('nothing who sends from %s', (source) => {
    const packet = udpPacket(pattern(10), { family: 'ipv6', source: source as InnerIp });
    expect(icmpAnswer(packet, { kind: 'no-ipv6' }, [OWN])).toBeUndefined();
  });

  const OWN4 = '172.28.0.1' as InnerIp;
  const sent4 = (length: number) =>
    udpPacket(pattern(length), { source: OWN4, destination: '172.28.0.0' as InnerIp });
  const TOO_BIG = { kind: 'too-big', mtu: 1200 } as const;

  test('how much of IPv4 fits, where it may not be fragmented', () => {
    const packet = sent4(1250);
    const answer = icmpAnswer(packet, TOO_BIG, [OWN4, OWN]) ?? new Uint8Array();
    expect(answer).toHaveLength(576);
    // To ourselves from where it goes, to others from us.
    expect([...answer.slice(12, 20)]).toEqual([172, 28, 0, 0, 172, 28, 0, 1]);
    const forwarded = icmpAnswer(packet, TOO_BIG, ['172.28.0.9' as InnerIp]);
    expect([...(forwarded ?? []).slice(12, 20)]).toEqual([172, 28, 0, 9, 172, 28, 0, 1]);
    expect(decodeIcmpError(answer)).toMatchObject({
      ok: true,
      value: {
        path: { local: { ip: OWN4, port: 5001 }, remote: { ip: '172.28.0.0', port: 40_000 } },
        error: { kind: 'too-big', mtu: 1200 },
      },
    });
  });

  test.each([
    { what: 'what may be fragmented', packet: sent4(10).with(6, 0) },
    { what: 'a later fragment', packet: sent4(10).with(7, 9) },
    { what: 'an error', packet: sent4(10).with(9, 1).with(20, 3) },
    { what: 'what is from no host', packet: sent4(10).with(12, 224) },
  ])('nothing of IPv4 about $what', ({ packet }) => {
    expect(icmpAnswer(packet, TOO_BIG, [OWN4])).toBeUndefined();
    expect(icmpAnswer(sent4(10).with(9, 1).with(20, 8), TOO_BIG, [OWN4])).toBeDefined();
  });

  test('nothing where there is no address to say it from', () => {
    expect(icmpAnswer(sent4(10), TOO_BIG, [OWN])).toBeUndefined();
    expect(icmpAnswer(sent(10), TOO_BIG, [OWN4])).toBeUndefined();
  });
});
