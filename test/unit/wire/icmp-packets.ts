import { parseOuterIp, type OuterIp, type Path } from '../../../src/core/addr.ts';
import { encodeU16be } from '../../../src/core/bytes.ts';
import { port } from '../../../src/core/units.ts';
import { internetChecksum } from '../../../src/core/wire/checksum.ts';
import { encodeIpv4Header } from '../../../src/core/wire/ipv4.ts';
import { encodeUdpPacket } from '../../../src/core/wire/udp.ts';

function address(text: string): OuterIp {
  const ip = parseOuterIp(text);
  if (ip === undefined) throw new Error(text);
  return ip;
}

/** The packet that errors are about, where nothing else is said, and who tells of it. */
export const ABOUT: Path = {
  local: { ip: address('10.9.0.1'), port: port(10_000) },
  remote: { ip: address('10.9.0.2'), port: port(10_001) },
};
export const TOLD = { by: address('192.0.2.7') } as const;

export type ErrorSpec = {
  readonly type?: number;
  readonly code?: number;
  readonly mtu?: number;
  readonly path?: Path;
  /** Bytes of the packet that are quoted, of 60. */
  readonly quoted?: number;
};

/** An ICMP error about a datagram of 32 bytes. */
export function errorPacket(spec: ErrorSpec = {}): Uint8Array {
  const { type = 3, code = 3, mtu = 0, path = ABOUT, quoted = 60 } = spec;
  const payload = new Uint8Array(32).fill(0x5a);
  const about = encodeUdpPacket({ path, payload, ttl: 60, dontFragment: true, checksum: true });
  const message = new Uint8Array(8 + quoted);
  message.set([type, code, 0, 0, 0, 0, ...encodeU16be(mtu)]);
  message.set(about.subarray(0, quoted), 8);
  const header = encodeIpv4Header({
    payloadLength: message.length,
    identification: 0,
    dontFragment: false,
    ttl: 64,
    protocol: 1,
    source: TOLD.by,
    destination: path.local.ip,
  });
  return mended(Uint8Array.of(...header, ...message));
}

/** A changed copy, with the checksums of its IPv4 header (without options) and its ICMP message made right. */
export function mended(
  packet: Uint8Array,
  change: (packet: Uint8Array) => unknown = () => undefined,
): Uint8Array {
  const copy = packet.slice();
  change(copy);
  const sum = (from: number, to: number, at: number): void => {
    if (at + 2 > copy.length) return;
    copy.set([0, 0], at);
    copy.set(encodeU16be(internetChecksum(copy.subarray(from, to))), at);
  };
  sum(0, 20, 10);
  sum(20, Math.min(copy[3] ?? 0, copy.length), 22);
  return copy;
}
