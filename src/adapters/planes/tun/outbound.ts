/**
 * From the device to the sockets.
 *
 *     device ── read ─→ packets ── Segmenter ─→ DatagramBatch ── sendmmsg ─→ socket of IPv4
 *                                       └─────→ DatagramBatch ── sendmmsg ─→ socket of IPv6
 *
 * Packets are read as long as there is room, then cut and sent. When a socket is full, what was read
 * stays where it is, nothing more is read, and `turn` goes on from there when it is called again.
 */
import type { Family } from '../../../core/addr.ts';
import { MAX_TAG_COUNTER, MAX_TAGGED_LENGTH } from '../../../core/tag/layout.ts';
import type { Carried } from '../../../core/wire/inner-packet.ts';
import { IPV6_MIN_MTU } from '../../../core/wire/ipv6.ts';
import { EAGAIN, EINTR } from '../../ffi/errno.ts';
import { Arena } from './arena.ts';
import type { Loss, SharedCounters } from './counters.ts';
import type { DeviceChannel } from './device-channel.ts';
import { ecnOf } from './ecn.ts';
import { flowLabel } from './flow-label.ts';
import type { Refusal } from './icmp-answer.ts';
import { IPV6_WORDS } from './ipv6-words.ts';
import { BATCHES_PER_TURN, MAX_DATAGRAMS, MAX_OUTBOUND_PACKETS, OUTBOUND_BYTES } from './limits.ts';
import type { PacketCalls } from './packet-calls.ts';
import type { Peer, PeerTable } from './peer-table.ts';
import {
  HEADER_SLOT_BYTES,
  IP,
  IP6,
  IP6_HEADER_BYTES,
  ipVersion,
  Segmenter,
} from './segmentation.ts';
import type { Sender } from './sender.ts';
import { Tagger, TAGGER_BYTES } from './tagger.ts';
import { vectorMemory } from './vector-memory.ts';

const MAX_PACKET_BYTES = 0xffff;
/** Packets begin at multiples of this, after the virtio_net_hdr, so that most words lie aligned. */
const ALIGNMENT = 16;

/** `done`: there is nothing more now; `more`: the other direction has its turn first; `full`: a socket is. */
export type OutboundState = 'done' | 'more' | 'full' | 'device-lost';

export type OutboundOptions = {
  /** Of one family each; to a peer at an address of another one nothing is sent. */
  readonly senders: readonly Sender[];
  readonly carried: Carried;
  readonly peers: PeerTable;
  readonly counters: SharedCounters;
  readonly calls: PacketCalls;
  readonly lose: (loss: Loss, operation: string, errno: number, packets?: number) => void;
  /** A packet, whole or of several, does not go on: a view, good until this returns. */
  readonly refuse: (packet: Uint8Array, why: Refusal) => void;
};

export class Outbound {
  device: DeviceChannel;
  readonly #options: OutboundOptions;
  readonly #packets: Arena;
  readonly #segmenter: Segmenter;
  readonly #tagger: Tagger;
  /** First slot of headers of each sender's. */
  readonly #slots: ReadonlyMap<Sender, number>;
  /** Where each packet that was read begins (its IP header), and its bytes. */
  readonly #at = new Uint32Array(MAX_OUTBOUND_PACKETS);
  readonly #lengths = new Uint32Array(MAX_OUTBOUND_PACKETS);
  readonly #destination = new Uint32Array(IPV6_WORDS);
  #count = 0;
  /** The next packet to be cut; whom the one that is being cut is for, who sends it, and with what mark and label. */
  #next = 0;
  #peer: Peer | undefined;
  #sender: Sender;
  #slot = 0;
  #ecn = 0;
  #label = 0;

  /** There is a sender at least. */
  constructor(device: DeviceChannel, options: OutboundOptions) {
    const { calls, senders } = options;
    const [sender] = senders;
    if (!sender) throw new Error('no socket');
    this.device = device;
    this.#options = options;
    this.#sender = sender;
    this.#slots = new Map(senders.map((each, index) => [each, index * MAX_DATAGRAMS]));
    const slots = OUTBOUND_BYTES + MAX_PACKET_BYTES + 1 + 2 * ALIGNMENT;
    const tagger = slots + senders.length * MAX_DATAGRAMS * HEADER_SLOT_BYTES;
    const room = tagger + TAGGER_BYTES;
    this.#packets = new Arena(room, calls.address, vectorMemory(room));
    this.#segmenter = new Segmenter(this.#packets, slots);
    this.#tagger = new Tagger(this.#packets, tagger);
  }

  /** Moves what there is, up to a bound. */
  turn(): OutboundState {
    if (!this.#drain()) return 'full';
    for (let round = 0; round < BATCHES_PER_TURN; round += 1) {
      const state = this.#read();
      if (!this.#drain()) return 'full';
      if (state !== 'more') return state;
    }
    return 'more';
  }

  #read(): OutboundState {
    const { calls } = this.#options;
    const { headerBytes } = this.device;
    this.#count = 0;
    this.#next = 0;
    let at = ALIGNMENT;
    while (at < OUTBOUND_BYTES && this.#count < MAX_OUTBOUND_PACKETS) {
      const address = this.#packets.address + at - headerBytes;
      const length = this.device.read(address, MAX_PACKET_BYTES + headerBytes);
      if (length < 0) {
        const code = calls.errno();
        if (code === EAGAIN || code === EINTR) return 'done';
        this.#options.lose('device', 'read', code);
        return 'device-lost';
      }
      const packet = Math.max(0, length - headerBytes);
      this.#at[this.#count] = at;
      this.#lengths[this.#count] = packet;
      this.#count += 1;
      at += (packet + headerBytes + ALIGNMENT + ALIGNMENT - 1) & ~(ALIGNMENT - 1);
    }
    return 'more';
  }

  /** Cuts and sends all that was read; false when a socket is full before that. */
  #drain(): boolean {
    const { senders } = this.#options;
    for (;;) {
      if (!this.#send()) return false;
      for (const sender of senders) sender.clear();
      this.#fill();
      if (senders.every(({ batch }) => batch.messages === 0)) return true;
    }
  }

  /** Sends what each sender has; false when one's socket is full before that. */
  #send(): boolean {
    let all = true;
    for (const sender of this.#options.senders) all = sender.send() && all;
    return all;
  }

  #fill(): void {
    const segmenter = this.#segmenter;
    for (;;) {
      while (this.#peer && segmenter.more) {
        const { batch } = this.#sender;
        if (batch.full) return;
        segmenter.next(this.#slot + batch.datagrams);
        if (this.#peer.tags && !this.#tag(this.#peer.tags)) continue;
        batch.add(
          this.#peer,
          this.#packets.address + segmenter.headAt,
          segmenter.headLength,
          this.#packets.address + segmenter.bodyAt,
          segmenter.bodyLength,
          this.#ecn,
          this.#label,
        );
      }
      if (this.#next === this.#count) return;
      this.#peer = this.#begin(this.#next);
      this.#next += 1;
    }
  }

  /** Puts a tag before the piece; false where there is no counter left. */
  #tag({ level, send }: NonNullable<Peer['tags']>): boolean {
    if (send.counter.last < MAX_TAG_COUNTER) {
      this.#segmenter.tag(this.#tagger, send, level);
      return true;
    }
    this.#options.counters.lost('exhausted');
    return false;
  }

  /** Prepares a packet that was read; the peer that it is for, or undefined when it goes nowhere. */
  #begin(packet: number): Peer | undefined {
    const { carried, counters } = this.#options;
    const at = this.#at[packet] ?? 0;
    const length = this.#lengths[packet] ?? 0;
    const version = ipVersion(this.#packets, at);
    const ipv6 = version === 6 && carried.ipv6 && length >= IP6_HEADER_BYTES;
    if (!ipv6 && (version !== 4 || !carried.ipv4)) {
      counters.lost(carried.ipv4 ? 'not-ipv4' : 'not-ipv6');
      return undefined;
    }
    const peer = this.#recipient(at, version);
    if (!peer) {
      counters.lost('no-peer');
      return undefined;
    }
    const vnet = this.device.headerBytes === 0 ? undefined : at - this.device.headerBytes;
    if (!this.#segmenter.begin(at, length, vnet)) {
      counters.lost('malformed');
      return undefined;
    }
    if (!this.#fits(peer, at, length)) return undefined;
    return this.#address(peer, at) ? peer : undefined;
  }

  #recipient(at: number, version: number): Peer | undefined {
    const { peers } = this.#options;
    if (version === 4) return peers.recipient(this.#packets.u32be(at + IP.source + 4));
    const from = (at + IP6.destination) / 4;
    for (let index = 0; index < IPV6_WORDS; index += 1) {
      this.#destination[index] = this.#packets.u32[from + index] ?? 0;
    }
    return peers.ipv6Recipient(this.#destination);
  }

  /** Whether the packet that is being cut fits the path to a peer, where that is known; who sent it is told when not. */
  #fits(peer: Peer, at: number, length: number): boolean {
    const mtu = largestTo(peer);
    if (mtu === undefined) return true;
    const noIpv6 = mtu < IPV6_MIN_MTU && ipVersion(this.#packets, at) === 6;
    if (!noIpv6 && this.#segmenter.largest <= mtu) return true;
    const { counters, peers, refuse } = this.#options;
    const packet = this.#packets.bytes.subarray(at, at + length);
    if (noIpv6) {
      counters.lost('no-ipv6');
      refuse(packet, { kind: 'no-ipv6' });
    } else {
      counters.lost('too-big');
      peers.refusedSize(peer, 1);
      refuse(packet, { kind: 'too-big', mtu });
    }
    return false;
  }

  /** Chooses who sends, with what mark and label; false when nobody can. */
  #address(peer: Peer, at: number): boolean {
    const sender = this.#senderOf(peer.family);
    if (!sender) {
      this.#options.counters.lost('no-peer');
      return false;
    }
    if (sender !== this.#sender) {
      this.#sender = sender;
      this.#slot = this.#slots.get(sender) ?? 0;
    }
    const outside6 = peer.family === 'ipv6';
    this.#ecn = outside6 ? ecnOf(this.#packets, at) : 0;
    this.#label = outside6 ? flowLabel(this.#packets, at) : 0;
    return true;
  }

  #senderOf(family: Family): Sender | undefined {
    if (this.#sender.family === family) return this.#sender;
    return this.#options.senders.find((sender) => sender.family === family);
  }
}

/** The largest inner packet to a peer, where that is known. */
function largestTo({ member, tags }: Peer): number | undefined {
  if (!tags) return member.mtu;
  return Math.min(member.mtu ?? MAX_TAGGED_LENGTH, MAX_TAGGED_LENGTH);
}
