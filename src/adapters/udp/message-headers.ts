/**
 * The structs of recvmmsg(2) and sendmmsg(2) as bytes, for 64-bit Linux in host byte order
 * (linux/socket.h, bits/socket.h of glibc 2.36; netinet/in.h):
 *
 *     struct mmsghdr      0 msg_name *      8 msg_namelen u32    16 msg_iov *     24 msg_iovlen
 *     (64 bytes)         32 msg_control *  40 msg_controllen     48 msg_flags u32 56 msg_len u32
 *     struct iovec        0 iov_base *      8 iov_len
 *     struct cmsghdr      0 cmsg_len        8 level i32          12 type i32       16 data …
 *     struct in_pktinfo   0 ifindex i32     4 spec_dst u32be      8 addr u32be
 *     struct in6_pktinfo  0 addr 16 bytes  16 ifindex u32
 */
import { SOCKADDR_IN_LENGTH } from '../../core/wire/sockaddr.ts';

export const MMSGHDR_BYTES = 64;
export const IOVEC_BYTES = 16;
export const CMSGHDR_BYTES = 16;
/** CMSG_SPACE(sizeof(struct in_pktinfo)). */
export const PKTINFO_SPACE = 32;
/** CMSG_SPACE(sizeof(struct in6_pktinfo)). */
export const PKTINFO6_SPACE = 40;
/** CMSG_SPACE(sizeof(int)). */
export const INT_SPACE = 24;

/** netinet/in.h, linux/in.h */
export const IPPROTO_IP = 0;
export const IP_TTL = 2;
export const IP_PKTINFO = 8;
// linux/in6.h
export const IPPROTO_IPV6 = 41;
export const IPV6_PKTINFO = 50;
export const IPV6_HOPLIMIT = 52;

/** linux/udp.h */
export const SOL_UDP = 17;
export const UDP_SEGMENT = 103;
export const UDP_GRO = 104;

/** CMSG_LEN of struct in_pktinfo, struct in6_pktinfo and int. */
const PKTINFO_LENGTH = CMSGHDR_BYTES + 12;
const PKTINFO6_LENGTH = CMSGHDR_BYTES + 20;
const INT_LENGTH = CMSGHDR_BYTES + 4;

export const littleEndian = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

/** Tells where a buffer is; the buffer must not be on the JavaScript heap (`pinned`). */
export type AddressOf = (buffer: Uint8Array) => bigint;

/** A buffer outside the JavaScript heap, where a small typed array may lie and move. */
export function pinned(length: number): Uint8Array {
  return new Uint8Array(new ArrayBuffer(length));
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The control message that makes `ip` the source address; 0.0.0.0 leaves the choice to the kernel. */
export function encodePktinfo(into: Uint8Array, ip: number): void {
  const view = viewOf(into);
  setWord(view, 0, PKTINFO_LENGTH);
  view.setInt32(8, IPPROTO_IP, littleEndian);
  view.setInt32(12, IP_PKTINFO, littleEndian);
  view.setInt32(16, 0, littleEndian);
  view.setUint32(20, ip, false);
  view.setUint32(24, 0, false);
}

/** The same of IPv6, of an address's 16 bytes. */
export function encodePktinfo6(into: Uint8Array, ip: Uint8Array): void {
  const view = viewOf(into);
  setWord(view, 0, PKTINFO6_LENGTH);
  view.setInt32(8, IPPROTO_IPV6, littleEndian);
  view.setInt32(12, IPV6_PKTINFO, littleEndian);
  into.set(ip, CMSGHDR_BYTES);
  view.setUint32(CMSGHDR_BYTES + 16, 0, littleEndian);
}

/** The control message that sets the packet's TTL, written at `offset`. */
export function encodeTtl(into: Uint8Array, offset: number, ttl: number): void {
  encodeInt(into, offset, { level: IPPROTO_IP, type: IP_TTL, value: ttl });
}

/** The same of IPv6. */
export function encodeHopLimit(into: Uint8Array, offset: number, hops: number): void {
  encodeInt(into, offset, { level: IPPROTO_IPV6, type: IPV6_HOPLIMIT, value: hops });
}

function encodeInt(
  into: Uint8Array,
  offset: number,
  { level, type, value }: { readonly level: number; readonly type: number; readonly value: number },
): void {
  const view = viewOf(into);
  setWord(view, offset, INT_LENGTH);
  view.setInt32(offset + 8, level, littleEndian);
  view.setInt32(offset + 12, type, littleEndian);
  view.setInt32(offset + 16, value, littleEndian);
}

/**
 * The destination address that a packet's IP_PKTINFO names, as an unsigned number; undefined when
 * there is none or the packet was not sent to this host alone (broadcast, multicast).
 */
export function readPktinfo(view: DataView, offset: number, length: number): number | undefined {
  if (length < PKTINFO_LENGTH) return undefined;
  if (view.getInt32(offset + 8, littleEndian) !== IPPROTO_IP) return undefined;
  if (view.getInt32(offset + 12, littleEndian) !== IP_PKTINFO) return undefined;
  const destination = view.getUint32(offset + 24, false);
  return view.getUint32(offset + 20, false) === destination ? destination : undefined;
}

/**
 * Where the 16 bytes of the destination address are that a packet's IPV6_PKTINFO names; undefined when there is
 * none or the packet was not sent to this host alone (multicast).
 */
export function findPktinfo6(view: DataView, offset: number, length: number): number | undefined {
  if (length < PKTINFO6_LENGTH) return undefined;
  if (view.getInt32(offset + 8, littleEndian) !== IPPROTO_IPV6) return undefined;
  if (view.getInt32(offset + 12, littleEndian) !== IPV6_PKTINFO) return undefined;
  const at = offset + CMSGHDR_BYTES;
  return view.getUint8(at) === MULTICAST ? undefined : at;
}

/** First byte of IPv6 multicast addresses (RFC 4291, section 2.7). */
const MULTICAST = 0xff;

/** One message for sendmsg(2) (the first 56 bytes of a struct mmsghdr). */
export function encodeMessage(
  into: Uint8Array,
  parts: {
    readonly name: bigint;
    /** A struct sockaddr_in's by default. */
    readonly nameLength?: number;
    readonly iovec: bigint;
    readonly control: bigint;
  },
  controlLength: number,
): void {
  const view = viewOf(into);
  view.setBigUint64(0, parts.name, littleEndian);
  view.setUint32(8, parts.nameLength ?? SOCKADDR_IN_LENGTH, littleEndian);
  view.setBigUint64(16, parts.iovec, littleEndian);
  setWord(view, 24, 1);
  view.setBigUint64(32, parts.control, littleEndian);
  setWord(view, 40, controlLength);
  view.setUint32(48, 0, littleEndian);
}

export function encodeIovec(into: Uint8Array, base: bigint, length: number): void {
  const view = viewOf(into);
  view.setBigUint64(0, base, littleEndian);
  setWord(view, 8, length);
}

/** A size_t below 2^32, without making a bigint. */
function setWord(view: DataView, offset: number, value: number): void {
  view.setUint32(offset + (littleEndian ? 0 : 4), value, littleEndian);
  view.setUint32(offset + (littleEndian ? 4 : 0), 0, littleEndian);
}
