import fc from 'fast-check';
import {
  decodeOuterIpv6,
  parseOuterIp,
  type Endpoint,
  type OuterIp,
  type Path,
} from '../../../src/core/addr.ts';
import { encodeU16be } from '../../../src/core/bytes.ts';
import { port } from '../../../src/core/units.ts';
import { encodeUdpPacket } from '../../../src/core/wire/udp.ts';

export function address(text: string): OuterIp {
  const ip = parseOuterIp(text);
  if (ip === undefined) throw new Error(text);
  return ip;
}

export const PATH6: Path = {
  local: { ip: address('2001:db8::1'), port: port(10_000) },
  remote: { ip: address('2001:db8::2'), port: port(10_001) },
};

/** Offsets in a UDP packet over IPv6. */
export const AT6 = {
  payloadLength: 4,
  nextHeader: 6,
  source: 8,
  destination: 24,
  udp: 40,
  udpLength: 44,
  udpChecksum: 46,
} as const;

/** A datagram of three bytes with its checksum, changed. */
export function changed6(change: (packet: Uint8Array) => unknown = () => undefined): Uint8Array {
  const payload = Uint8Array.of(1, 2, 3);
  const packet = encodeUdpPacket({
    path: PATH6,
    payload,
    ttl: 9,
    dontFragment: false,
    checksum: true,
  });
  change(packet);
  return packet;
}

/** The same with an extension header of eight bytes before UDP: right in itself, and reason enough. */
export function extended6(number: number): Uint8Array {
  const packet = changed6();
  const longer = new Uint8Array(packet.length + 8);
  longer.set(packet.subarray(0, AT6.udp));
  longer[AT6.nextHeader] = number;
  longer.set(encodeU16be(packet.length - AT6.udp + 8), AT6.payloadLength);
  longer.set([17, 0, 1, 4, 0, 0, 0, 0], AT6.udp); // PadN of four bytes
  longer.set(packet.subarray(AT6.udp), AT6.udp + 8);
  return longer;
}

/** Global addresses: 2000::/3, of which none has a meaning of its own here. */
export const globalIps = fc
  .uint8Array({ minLength: 16, maxLength: 16 })
  .map((bytes) =>
    decodeOuterIpv6(Uint8Array.of(0x20 | ((bytes[0] ?? 0) & 0x1f), ...bytes.subarray(1))),
  );

export const endpoints6: fc.Arbitrary<Endpoint> = fc.record({
  ip: globalIps,
  port: fc.integer({ min: 1, max: 65_535 }).map(port),
});

/** Addresses that no outer source may be, and why it is refused. */
export const IMPROPER_SOURCES: readonly (readonly [string, string])[] = [
  ['a multicast source', 'ff0e::1'],
  ['a multicast source', 'ff02::1'],
  ['a link-local address', 'fe80::1'],
  ['a link-local address', 'febf::ffff'],
  ['the unspecified address', '::'],
];
/** Bytes of ::ffff:10.0.0.1, which has no text of its own. */
export const MAPPED = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1);
