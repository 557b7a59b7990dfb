/**
 * Flow labels of outer packets over IPv6 (RFC 6438): one for each flow inside, so that routers that spread load over
 * several ways keep a flow together and flows apart. It is a hash with a seed of this process, so nobody can tell
 * from it what is inside, nor choose it.
 */
import { randomBytes } from 'node:crypto';
import { encodeU32be, getU32host } from '../../../core/bytes.ts';
import type { Arena } from './arena.ts';
import {
  FRAGMENT_BITS,
  IP,
  IP6,
  IP6_HEADER_BYTES,
  IPPROTO_TCP,
  IPPROTO_UDP,
  ipVersion,
} from './segmentation.ts';
import { hashWords } from './words-map.ts';

/** 20 bits (RFC 8200, section 3), in network byte order as a word in host byte order. */
const LABEL_MASK = getU32host(encodeU32be(0x000f_ffff), 0);
/** Where a hash has none of them set: zero would say that there is no label. */
const SOME_LABEL = getU32host(encodeU32be(1), 0);

const seed = getU32host(randomBytes(4), 0);
/** Both addresses, the protocol, and ports. */
const flow = new Uint32Array(10);

/** The label of the packet at `at`, a multiple of 4, as a word in host byte order. */
export function flowLabel(packets: Arena, at: number): number {
  const ipv4 = ipVersion(packets, at) === 4;
  const from = (at + (ipv4 ? IP.source : IP6.source)) / 4;
  const addresses = ipv4 ? 2 : 8;
  for (let index = 0; index < addresses; index += 1) flow[index] = packets.u32[from + index] ?? 0;
  flow[addresses] = packets.bytes[at + (ipv4 ? IP.protocol : IP6.nextHeader)] ?? 0;
  const ports = portsAt(packets, at, ipv4);
  flow[addresses + 1] = ports === 0 ? 0 : (packets.u32[ports / 4] ?? 0);
  return (hashWords(flow, addresses + 2, seed) & LABEL_MASK) >>> 0 || SOME_LABEL;
}

/** Where the ports are; 0 where there are none, as in a fragment, whose packet's other pieces have none. */
function portsAt(packets: Arena, at: number, ipv4: boolean): number {
  const protocol = packets.bytes[at + (ipv4 ? IP.protocol : IP6.nextHeader)] ?? 0;
  if (protocol !== IPPROTO_TCP && protocol !== IPPROTO_UDP) return 0;
  if (!ipv4) return at + IP6_HEADER_BYTES;
  if (packets.u16be(at + IP.fragment) & FRAGMENT_BITS) return 0;
  return at + ((packets.bytes[at] ?? 0) & 0x0f) * 4;
}
