/**
 * Congestion marks of packets in the tunnel (RFC 6040): what a router has made of the mark outside is carried over inside.
 * Over IPv6 the outer header takes the mark of the inner one. Over IPv4 what this plane sends has none, and routers
 * that are congested drop it (RFC 6040's compatibility mode); other planes mark there, too.
 */
import type { Arena } from './arena.ts';
import { IP, ipVersion } from './segmentation.ts';

/** The two bits of a type of service or traffic class (RFC 3168, section 5). */
const ECN_MASK = 3;
const NOT_ECT = 0;
const ECT_1 = 1;
const ECT_0 = 2;
const CE = 3;

/** The mark of the IP packet at `at`. */
export function ecnOf(packets: Arena, at: number): number {
  const second = packets.bytes[at + 1] ?? 0;
  return (ipVersion(packets, at) === 4 ? second : second >> 4) & ECN_MASK;
}

/**
 * Gives the packet at `at` the mark that it goes on with, having come in a packet of this traffic class (RFC 6040,
 * section 4.2); false when it must be dropped.
 */
export function carryOverEcn(packets: Arena, at: number, trafficClass: number): boolean {
  const outer = trafficClass & ECN_MASK;
  if (outer === NOT_ECT || outer === ECT_0) return true;
  const inner = ecnOf(packets, at);
  if (outer === CE) {
    if (inner === NOT_ECT) return false;
    if (inner !== CE) setEcn(packets, at, CE);
  } else if (inner === ECT_0) setEcn(packets, at, ECT_1);
  return true;
}

function setEcn(packets: Arena, at: number, mark: number): void {
  const { bytes } = packets;
  const second = bytes[at + 1] ?? 0;
  if (ipVersion(packets, at) === 6) {
    bytes[at + 1] = (second & ~(ECN_MASK << 4)) | (mark << 4);
    return;
  }
  const changed = (second & ~ECN_MASK) | mark;
  bytes[at + 1] = changed;
  // RFC 1624: the checksum of a header of which one word has changed. A wrong one stays wrong.
  const sum = (~packets.u16be(at + IP.checksum) & 0xffff) + (~second & 0xffff) + changed;
  const folded = (sum & 0xffff) + (sum >>> 16);
  packets.setU16be(at + IP.checksum, ~((folded & 0xffff) + (folded >>> 16)) & 0xffff);
}
