/**
 * Netlink messages (linux/netlink.h of 6.1, struct nlmsghdr; everything in the host's byte order):
 *
 *      0                   1                   2                   3
 *      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *     +---------------------------------------------------------------+
 *     | nlmsg_len (header included, padding not)                       |
 *     +-------------------------------+-------------------------------+
 *     | nlmsg_type                    | nlmsg_flags                   |
 *     +-------------------------------+-------------------------------+
 *     | nlmsg_seq                                                      |
 *     +---------------------------------------------------------------+
 *     | nlmsg_pid (port of the requester; 0 = the kernel)              |
 *     +---------------------------------------------------------------+
 *     | payload, padded with zeros to a multiple of 4                  |
 */
import { refuse, succeed, type Decoded } from '../result.ts';
import { attributeReader } from './attribute-reader.ts';
import { align4 } from './attributes.ts';
import { getS32host, getU16host, getU32host, setU16host, setU32host } from '../bytes.ts';

export const NETLINK_ROUTE = 0;
export const NETLINK_SOCK_DIAG = 4;
export const NETLINK_NETFILTER = 12;
export const NETLINK_GENERIC = 16;

export const NLM_F_REQUEST = 0x01;
export const NLM_F_MULTI = 0x02;
export const NLM_F_ACK = 0x04;
export const NLM_F_ECHO = 0x08;
export const NLM_F_DUMP_INTR = 0x10;
export const NLM_F_DUMP_FILTERED = 0x20;
/** Of GET requests. */
export const NLM_F_ROOT = 0x100;
export const NLM_F_MATCH = 0x200;
export const NLM_F_DUMP = NLM_F_ROOT | NLM_F_MATCH;
/** Of NEW requests. */
export const NLM_F_REPLACE = 0x100;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;
export const NLM_F_APPEND = 0x800;
/** Of DELETE requests. */
export const NLM_F_NONREC = 0x100;
export const NLM_F_BULK = 0x200;
/** Of acknowledgements. */
export const NLM_F_CAPPED = 0x100;
export const NLM_F_ACK_TLVS = 0x200;

export const NLMSG_NOOP = 1;
export const NLMSG_ERROR = 2;
export const NLMSG_DONE = 3;
export const NLMSG_OVERRUN = 4;
export const NLMSG_MIN_TYPE = 0x10;
export const NLMSG_HDRLEN = 16;

const NLMSGERR_ATTR_MSG = 1;
const NLMSGERR_ATTR_OFFS = 2;
const NLMSGERR_ATTR_MISS_TYPE = 5;

export type NetlinkMessage = {
  readonly type: number;
  readonly flags: number;
  readonly seq: number;
  readonly pid: number;
  /** A view into the decoded bytes, without the padding. */
  readonly payload: Uint8Array;
};

/** A request as an encoder makes it; who sends it adds the sequence number and flags of delivery. */
export type NetlinkCall = {
  /** The kernel's name of the message: "RTM_NEWLINK". */
  readonly operation: string;
  readonly type: number;
  readonly flags: number;
  readonly payload: Uint8Array;
};

export type OutgoingMessage = Omit<NetlinkMessage, 'pid'> & { readonly pid?: number };

/** One message with its header and padding; several in a row make a batch. */
export function encodeMessage(message: OutgoingMessage): Uint8Array {
  const length = NLMSG_HDRLEN + message.payload.length;
  const bytes = new Uint8Array(align4(length));
  setU32host(bytes, 0, length);
  setU16host(bytes, 4, message.type);
  setU16host(bytes, 6, message.flags);
  setU32host(bytes, 8, message.seq);
  setU32host(bytes, 12, message.pid ?? 0);
  bytes.set(message.payload, NLMSG_HDRLEN);
  return bytes;
}

/** The messages of one datagram. */
export function decodeMessages(bytes: Uint8Array): Decoded<readonly NetlinkMessage[]> {
  const messages: NetlinkMessage[] = [];
  let offset = 0;
  while (offset < bytes.length) {
    const left = bytes.length - offset;
    if (left < NLMSG_HDRLEN) return refuse(`${left} bytes after the last message`);
    const length = getU32host(bytes, offset);
    if (length < NLMSG_HDRLEN || length > left) {
      return refuse(`a message says ${length} bytes where ${left} are left`);
    }
    messages.push({
      type: getU16host(bytes, offset + 4),
      flags: getU16host(bytes, offset + 6),
      seq: getU32host(bytes, offset + 8),
      pid: getU32host(bytes, offset + 12),
      payload: bytes.subarray(offset + NLMSG_HDRLEN, offset + length),
    });
    offset += align4(length);
  }
  return succeed(messages);
}

/** How the kernel answered a request. */
export type Ack = {
  /** The positive errno; 0 = done. */
  readonly errno: number;
  /** The kernel's own text (NLMSGERR_ATTR_MSG). */
  readonly message: string | undefined;
  /** Where in the request the fault is, in bytes from its header (NLMSGERR_ATTR_OFFS). */
  readonly offset: number | undefined;
  /** Type of an attribute that is missing (NLMSGERR_ATTR_MISS_TYPE). */
  readonly missing: number | undefined;
};

/**
 * What NLMSG_ERROR says (struct nlmsgerr: int error; the request's header and, unless NLM_F_CAPPED,
 * its payload; extended-ack attributes if NLM_F_ACK_TLVS), and what NLMSG_DONE says (int error and
 * the attributes; an empty payload from families that report nothing).
 */
export function decodeAck(message: NetlinkMessage): Decoded<Ack> {
  const { payload, flags, type } = message;
  if (type === NLMSG_DONE && payload.length < 4) {
    return succeed({ errno: 0, message: undefined, offset: undefined, missing: undefined });
  }
  if (payload.length < 4) return refuse(`an acknowledgement of ${payload.length} bytes`);
  const errno = -getS32host(payload, 0);
  let attributesAt = 4;
  if (type === NLMSG_ERROR) {
    if (payload.length < 4 + NLMSG_HDRLEN) {
      return refuse(`an acknowledgement of ${payload.length} bytes`);
    }
    // NLM_F_CAPPED: only the header of the request came back, whatever its nlmsg_len says.
    const echoed = flags & NLM_F_CAPPED ? NLMSG_HDRLEN : getU32host(payload, 4);
    attributesAt += align4(echoed);
  }
  const hasAttributes = (flags & NLM_F_ACK_TLVS) !== 0;
  if (hasAttributes && attributesAt > payload.length) {
    return refuse('an acknowledgement that ends inside the request');
  }
  const reader = attributeReader(
    hasAttributes ? payload.subarray(attributesAt) : new Uint8Array(0),
    'extended ack',
  );
  return reader.done({
    errno: errno === 0 ? 0 : errno,
    message: reader.string(NLMSGERR_ATTR_MSG),
    offset: reader.u32host(NLMSGERR_ATTR_OFFS),
    missing: reader.u32host(NLMSGERR_ATTR_MISS_TYPE),
  });
}

/** The extended ack as words for an operator; undefined when the kernel said nothing. */
export function formatAckWords(ack: Ack): string | undefined {
  const where: string[] = [];
  if (ack.offset !== undefined) where.push(`at byte ${ack.offset} of the request`);
  if (ack.missing !== undefined) where.push(`attribute ${ack.missing} is missing`);
  const place = where.join(', ');
  if (ack.message === undefined) return place === '' ? undefined : place;
  return place === '' ? ack.message : `${ack.message} (${place})`;
}
