/**
 * NFQUEUE over netlink (linux/netfilter/nfnetlink.h, nfnetlink_queue.h of 6.1). Every message is a
 * struct nfgenmsg, whose res_id is the queue's number, and attributes. All numbers in them are in
 * network byte order.
 *
 *      0                   1                   2                   3
 *      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *     +---------------+---------------+-------------------------------+
 *     | nfgen_family  | version (0)   | res_id                        |
 *     +---------------+---------------+-------------------------------+
 */
import { refuse, succeed, type Decoded } from '../result.ts';
import { ifIndex, type IfIndex } from '../units.ts';
import { attributeReader } from './attribute-reader.ts';
import { attrBytes, attrU32be } from './attributes.ts';
import { concatBytes, encodeU16be, encodeU32be, getU16be, getU32be } from '../bytes.ts';

export const NFNL_SUBSYS_QUEUE = 3;
export const NFQNL_MSG_PACKET = (NFNL_SUBSYS_QUEUE << 8) | 0;
export const NFQNL_MSG_VERDICT = (NFNL_SUBSYS_QUEUE << 8) | 1;
export const NFQNL_MSG_CONFIG = (NFNL_SUBSYS_QUEUE << 8) | 2;
export const NFQNL_MSG_VERDICT_BATCH = (NFNL_SUBSYS_QUEUE << 8) | 3;

const NFGENMSG_LENGTH = 4;

// enum nfqnl_attr_config
const NFQA_CFG_CMD = 1;
const NFQA_CFG_PARAMS = 2;
const NFQA_CFG_QUEUE_MAXLEN = 3;
const NFQA_CFG_MASK = 4;
const NFQA_CFG_FLAGS = 5;

const NFQNL_CFG_CMD_BIND = 1;
const NFQNL_CFG_CMD_UNBIND = 2;
const NFQNL_COPY_PACKET = 2;
const NFQA_CFG_F_FAIL_OPEN = 1;
const NFQA_CFG_F_GSO = 4;

// enum nfqnl_attr_type
const NFQA_PACKET_HDR = 1;
const NFQA_VERDICT_HDR = 2;
const NFQA_MARK = 3;
const NFQA_IFINDEX_INDEV = 5;
const NFQA_PAYLOAD = 10;
const NFQA_CAP_LEN = 13;

// linux/netfilter.h
const VERDICTS = { drop: 0, accept: 1 } as const;

export type Verdict = keyof typeof VERDICTS;

function nfgenmsg(queue: number): Uint8Array {
  return concatBytes([Uint8Array.of(0, 0), encodeU16be(queue)]);
}

/** struct nfqnl_msg_config_cmd: command, padding, pf (of obsolete commands). */
function command(value: number): Uint8Array {
  return attrBytes(NFQA_CFG_CMD, Uint8Array.of(value, 0, 0, 0));
}

/**
 * Payload of the NFQNL_MSG_CONFIG that takes queue `queue` (0..65535) for the sending socket and
 * sets it up at once: whole packets, at most `maxLength` of them waiting. The flags for letting
 * packets pass when the queue is full (NFQA_CFG_F_FAIL_OPEN) and for handing up unsegmented,
 * unsummed packets (NFQA_CFG_F_GSO) are put out, whatever their default: every packet that comes up
 * has its checksums filled in.
 */
export function encodeQueueBind(queue: number, maxLength: number): Uint8Array {
  return concatBytes([
    nfgenmsg(queue),
    command(NFQNL_CFG_CMD_BIND),
    // struct nfqnl_msg_config_params, packed: copy_range (the kernel lowers it to the most that fits), copy_mode.
    attrBytes(
      NFQA_CFG_PARAMS,
      concatBytes([encodeU32be(0xffff), Uint8Array.of(NFQNL_COPY_PACKET)]),
    ),
    attrU32be(NFQA_CFG_QUEUE_MAXLEN, maxLength),
    attrU32be(NFQA_CFG_MASK, NFQA_CFG_F_FAIL_OPEN | NFQA_CFG_F_GSO),
    attrU32be(NFQA_CFG_FLAGS, 0),
  ]);
}

/** Payload of the NFQNL_MSG_CONFIG that gives the queue back; the kernel drops what waits in it. */
export function encodeQueueUnbind(queue: number): Uint8Array {
  return concatBytes([nfgenmsg(queue), command(NFQNL_CFG_CMD_UNBIND)]);
}

/**
 * Payload of an NFQNL_MSG_VERDICT (struct nfqnl_msg_verdict_hdr: verdict, id), or of an NFQNL_MSG_VERDICT_BATCH, which
 * is for that packet and all before it.
 */
export function encodeVerdict(queue: number, id: number, verdict: Verdict): Uint8Array {
  return concatBytes([
    nfgenmsg(queue),
    attrBytes(NFQA_VERDICT_HDR, concatBytes([encodeU32be(VERDICTS[verdict]), encodeU32be(id)])),
  ]);
}

/** A packet that waits for its verdict. */
export type PacketMessage = {
  readonly queue: number;
  /** Names the packet in its queue; 1 after binding, one more for every packet, wrapping at 2^32. */
  readonly id: number;
  /** EtherType, 0x0800 for IPv4. */
  readonly protocol: number;
  /** NF_INET_*: 1 is the input hook. */
  readonly hook: number;
  /** From the network header on: a view into the message. */
  readonly payload: Uint8Array;
  /** Bytes of the packet in the kernel; more than the payload's where it did not fit. */
  readonly length: number;
  /** Packet mark; 0 where none is set. */
  readonly mark: number;
  /** Device it came in by; undefined on hooks that have none. */
  readonly inDevice: IfIndex | undefined;
};

/** struct nfqnl_msg_packet_hdr, packed: packet_id, hw_protocol, hook. */
function decodePacketHeader(
  bytes: Uint8Array,
): Decoded<{ readonly id: number; readonly protocol: number; readonly hook: number }> {
  if (bytes.length !== 7) return refuse(`${bytes.length} bytes where 7 are due`);
  return succeed({ id: getU32be(bytes, 0), protocol: getU16be(bytes, 4), hook: bytes[6] ?? 0 });
}

/** Decodes the payload of an NFQNL_MSG_PACKET. */
export function decodePacketMessage(bytes: Uint8Array): Decoded<PacketMessage> {
  if (bytes.length < NFGENMSG_LENGTH) return refuse(`${bytes.length} bytes are no nfgenmsg`);
  const reader = attributeReader(bytes.subarray(NFGENMSG_LENGTH), 'queued packet');
  const header = reader.as(NFQA_PACKET_HDR, decodePacketHeader);
  // The kernel leaves the attribute out for an empty packet.
  const payload = reader.bytes(NFQA_PAYLOAD) ?? new Uint8Array(0);
  const length = reader.u32be(NFQA_CAP_LEN);
  const mark = reader.u32be(NFQA_MARK);
  const inDevice = reader.u32be(NFQA_IFINDEX_INDEV);
  const sound = reader.done(undefined);
  if (!sound.ok) return sound;
  if (header === undefined) return refuse('a queued packet without its header');
  return succeed({
    queue: getU16be(bytes, 2),
    ...header,
    payload,
    length: length ?? payload.length,
    mark: mark ?? 0,
    inDevice: inDevice === undefined ? undefined : ifIndex(inDevice),
  });
}

/**
 * Packets that a queue has dropped, by the text of /proc/net/netfilter/nfnetlink_queue (seq_show() of
 * nfnetlink_queue.c): number, port, packets that wait, copy mode, copy range, dropped because the queue was
 * full, dropped because the socket was, last id, 1. Undefined where it has no such queue.
 */
export function decodeQueueDrops(text: string, queue: number): number | undefined {
  for (const line of text.split('\n')) {
    const fields = line.trim().split(/ +/).map(Number);
    const [number, , , , , full = NaN, unread = NaN] = fields;
    if (number === queue && Number.isInteger(full + unread)) return full + unread;
  }
  return undefined;
}
