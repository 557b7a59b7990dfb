import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HOST_IS_LITTLE_ENDIAN } from '../../../src/core/bytes.ts';
import {
  arrivedAt,
  controlMessages,
  receivedError,
  sentTo,
} from '../../../src/adapters/udp/control-messages.ts';
import { hex } from '../netlink/hex.ts';

/** IP_PKTINFO: interface 2, a spec_dst that is not filled in, 10.9.0.1. */
const PKTINFO = hex(`1c00000000000000 00000000 08000000 02000000 aabbccdd 0a090001 00000000`);
/** IP_RECVERR: ECONNREFUSED (111) by ICMP 3/3, and the address of who said so. */
const REFUSED = hex(`3000000000000000 00000000 0b000000
  6f000000 02 03 03 00 00000000 00000000  0200 0000 0a090002 0000000000000000`);
/** IP_RECVERR: EMSGSIZE (90) by ICMP 3/4 with an MTU of 1300. */
const TOO_BIG = hex(`3000000000000000 00000000 0b000000
  5a000000 02 03 04 00 14050000 00000000  0200 0000 0a090002 0000000000000000`);
/** IP_RECVERR: EMSGSIZE of this host itself (SO_EE_ORIGIN_LOCAL). */
const LOCAL = hex(`2000000000000000 00000000 0b000000 5a000000 01 00 00 00 14050000 00000000`);

/** IPV6_PKTINFO: 2001:db8::1, interface 2. */
const PKTINFO6 = hex(`2400000000000000 29000000 32000000
  20010db8000000000000000000000001 02000000 00000000`);
/** IPV6_RECVERR: ECONNREFUSED (111) by ICMPv6 1/4, and the address of who said so. */
const REFUSED6 = hex(`3c00000000000000 29000000 19000000
  6f000000 03 01 04 00 00000000 00000000
  0a00 0000 00000000 20010db8000000000000000000000002 00000000 00000000`);

function block(...messages: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(messages);
}

describe.runIf(HOST_IS_LITTLE_ENDIAN)('control messages', () => {
  it('come one after the other, padded', () => {
    const messages = controlMessages(block(PKTINFO, REFUSED));
    expect(messages.map(({ type, offset, length }) => [type, offset, length])).toEqual([
      [8, 0, 28],
      [11, 32, 48],
    ]);
  });

  it.each([
    {
      what: 'unreachable, by whom and why',
      bytes: REFUSED,
      error: { kind: 'unreachable', code: 'port', from: '10.9.0.2' },
    },
    {
      what: 'forbidden by a firewall',
      bytes: REFUSED.with(22, 13),
      error: { kind: 'unreachable', code: 'prohibited', from: '10.9.0.2' },
    },
    {
      what: 'too far',
      bytes: REFUSED.with(21, 11).with(22, 0),
      error: { kind: 'unreachable', code: 'hops', from: '10.9.0.2' },
    },
    {
      what: 'unreachable, by nobody known',
      bytes: REFUSED.subarray(0, 32).with(0, 0x20),
      error: { kind: 'unreachable', code: 'port', from: undefined },
    },
    { what: 'too big', bytes: TOO_BIG, error: { kind: 'too-big', mtu: 1300 } },
    {
      what: 'too big without an MTU',
      bytes: TOO_BIG.with(24, 0).with(25, 0),
      error: { kind: 'too-big', mtu: undefined },
    },
    { what: "this host's own", bytes: LOCAL, error: undefined },
    { what: 'no error', bytes: PKTINFO, error: undefined },
    {
      what: 'unreachable over IPv6',
      bytes: REFUSED6,
      error: { kind: 'unreachable', code: 'port', from: '2001:db8::2' },
    },
    {
      what: 'forbidden over IPv6',
      bytes: REFUSED6.with(22, 1),
      error: { kind: 'unreachable', code: 'prohibited', from: '2001:db8::2' },
    },
    {
      what: 'too big over IPv6',
      bytes: REFUSED6.with(21, 2).with(22, 0).with(24, 0x14).with(25, 0x05),
      error: { kind: 'too-big', mtu: 1300 },
    },
    { what: 'what is said over the other family', bytes: REFUSED6.with(20, 2), error: undefined },
  ])('say $what', ({ bytes, error }) => {
    expect(controlMessages(bytes).map(receivedError)).toEqual([error]);
  });

  it('say which address of ours an error came to', () => {
    expect(controlMessages(block(REFUSED, PKTINFO)).map(arrivedAt)).toEqual([
      undefined,
      '10.9.0.1',
    ]);
  });

  it('say which address of ours of IPv6 an error came to', () => {
    expect(controlMessages(block(REFUSED6, PKTINFO6)).map(arrivedAt)).toEqual([
      undefined,
      '2001:db8::1',
    ]);
  });

  it.each([
    ['this host alone', PKTINFO.with(20, 10).with(21, 9).with(22, 0).with(23, 1), '10.9.0.1'],
    ['a broadcast', PKTINFO, undefined],
    ['this host alone, over IPv6', PKTINFO6, '2001:db8::1'],
    ['a multicast', PKTINFO6.with(16, 0xff), undefined],
    ['nobody that is named', REFUSED, undefined],
  ])('say that a datagram was sent to %s', (_what, bytes, ip) => {
    expect(controlMessages(bytes).map(sentTo)).toEqual([ip]);
  });

  it('end where they are malformed, and never throw', () => {
    expect(controlMessages(block(PKTINFO, REFUSED).subarray(0, 60))).toHaveLength(1);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), (bytes) => {
        for (const message of controlMessages(bytes)) {
          receivedError(message);
          arrivedAt(message);
          sentTo(message);
        }
      }),
    );
  });
});
