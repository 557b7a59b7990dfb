import { describe, expect, test } from 'vitest';
import { icmpv6Answer } from '../../../src/adapters/planes/tun/icmpv6-answer.ts';
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
    const answer = icmpv6Answer(packet, { kind: 'too-big', mtu: 1300 }, OWN) ?? new Uint8Array();
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
    const answer = icmpv6Answer(packet, { kind: 'no-ipv6' }, OWN) ?? new Uint8Array();
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
    expect(icmpv6Answer(packet, { kind: 'no-ipv6' }, OWN)).toBeUndefined();
    expect(icmpv6Answer(packet.with(40, 128), { kind: 'no-ipv6' }, OWN)).toBeDefined();
  });

  test.each(['::', 'ff02::1', '::1'])('nothing who sends from %s', (source) => {
    const packet = udpPacket(pattern(10), { family: 'ipv6', source: source as InnerIp });
    expect(icmpv6Answer(packet, { kind: 'no-ipv6' }, OWN)).toBeUndefined();
  });
});
