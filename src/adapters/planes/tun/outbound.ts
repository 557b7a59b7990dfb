/**
 * From the device to the socket.
 *
 *     device ── read ─→ packets ── Segmenter ─→ DatagramBatch ── sendmmsg ─→ socket
 *
 * Packets are read as long as there is room, then cut and sent. When the socket is full, what was read
 * stays where it is, nothing more is read, and `turn` goes on from there when it is called again.
 */
import { EAGAIN, EINTR, ENOBUFS } from '../../ffi/errno.ts';
import { Arena } from './arena.ts';
import type { Loss, SharedCounters } from './counters.ts';
import { DatagramBatch } from './datagram-batch.ts';
import type { DeviceChannel } from './device-channel.ts';
import { BATCHES_PER_TURN, MAX_DATAGRAMS, MAX_OUTBOUND_PACKETS, OUTBOUND_BYTES } from './limits.ts';
import type { PacketCalls } from './packet-calls.ts';
import type { Peer, PeerTable } from './peer-table.ts';
import { HEADER_SLOT_BYTES, IP, Segmenter } from './segmentation.ts';
import { vectorMemory } from './vector-sum.ts';

/** bits/socket.h */
const MSG_DONTWAIT = 0x40;
/** asm-generic/errno-base.h, asm-generic/errno.h */
const EIO = 5;
const EINVAL = 22;
const EMSGSIZE = 90;

const MAX_PACKET_BYTES = 0xffff;
/** Packets begin at multiples of this, after the virtio_net_hdr, so that most words lie aligned. */
const ALIGNMENT = 16;

/** `done`: there is nothing more now; `more`: the other direction has its turn first; `full`: the socket is. */
export type OutboundState = 'done' | 'more' | 'full' | 'device-lost';

export type OutboundOptions = {
  readonly udpFd: number;
  readonly trains: boolean;
  readonly peers: PeerTable;
  readonly counters: SharedCounters;
  readonly calls: PacketCalls;
  readonly lose: (loss: Loss, operation: string, errno: number, packets?: number) => void;
  readonly tooBig: (peer: Peer) => void;
};

export class Outbound {
  device: DeviceChannel;
  readonly #options: OutboundOptions;
  readonly #packets: Arena;
  readonly #segmenter: Segmenter;
  readonly #batch: DatagramBatch;
  /** Where each packet that was read begins (its IPv4 header), and its bytes. */
  readonly #at = new Uint32Array(MAX_OUTBOUND_PACKETS);
  readonly #lengths = new Uint32Array(MAX_OUTBOUND_PACKETS);
  #count = 0;
  /** The next packet to be cut; whom the one that is being cut is for. */
  #next = 0;
  #peer: Peer | undefined;
  /** The next message of the batch to be sent, and the next datagram of it where it is sent one by one. */
  #message = 0;
  #solo = 0;

  constructor(device: DeviceChannel, options: OutboundOptions) {
    const { calls, trains } = options;
    this.device = device;
    this.#options = options;
    const room = OUTBOUND_BYTES + MAX_PACKET_BYTES + 1 + 2 * ALIGNMENT;
    this.#packets = new Arena(room, calls.address, vectorMemory(room));
    const headers = new Arena(MAX_DATAGRAMS * HEADER_SLOT_BYTES, calls.address);
    this.#segmenter = new Segmenter(this.#packets, headers);
    this.#batch = new DatagramBatch(calls.address, trains);
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

  /** Cuts and sends all that was read; false when the socket is full before that. */
  #drain(): boolean {
    for (;;) {
      if (!this.#send()) return false;
      this.#batch.clear();
      this.#message = 0;
      this.#fill();
      if (this.#batch.messages === 0) return true;
    }
  }

  #fill(): void {
    for (;;) {
      while (this.#peer && this.#segmenter.more) {
        if (this.#batch.full) return;
        const segmenter = this.#segmenter;
        segmenter.next(this.#batch.datagrams);
        this.#batch.add(
          this.#peer,
          segmenter.headAddress,
          segmenter.headLength,
          segmenter.bodyAddress,
          segmenter.bodyLength,
        );
      }
      if (this.#next === this.#count) return;
      this.#peer = this.#begin(this.#next);
      this.#next += 1;
    }
  }

  /** Prepares a packet that was read; the peer that it is for, or undefined when it goes nowhere. */
  #begin(packet: number): Peer | undefined {
    const { counters, peers } = this.#options;
    const at = this.#at[packet] ?? 0;
    if ((this.#packets.bytes[at] ?? 0) >> 4 !== 4) {
      counters.lost('not-ipv4');
      return undefined;
    }
    const peer = peers.recipient(this.#packets.u32be(at + IP.source + 4));
    if (!peer) {
      counters.lost('no-peer');
      return undefined;
    }
    const vnet = this.device.headerBytes === 0 ? undefined : at - this.device.headerBytes;
    if (this.#segmenter.begin(at, this.#lengths[packet] ?? 0, vnet)) return peer;
    counters.lost('malformed');
    return undefined;
  }

  /** Sends the batch from where it stands; false when the socket is full. */
  #send(): boolean {
    const { calls, udpFd } = this.#options;
    const batch = this.#batch;
    while (this.#message < batch.messages) {
      if (this.#solo > 0) {
        if (!this.#sendSolo()) return false;
        continue;
      }
      const left = batch.messages - this.#message;
      const sent = calls.sendmmsg(udpFd, batch.address(this.#message), left, MSG_DONTWAIT);
      if (sent > 0) {
        this.#tally(sent);
        continue;
      }
      const code = calls.errno();
      if (code === EAGAIN) return false;
      if (code !== EINTR) this.#refused(code);
    }
    return true;
  }

  /**
   * EIO: the way out cannot cut trains (no checksum offload before Linux 6.11, or IPsec); EINVAL: a
   * datagram is too long for the path's MTU (EMSGSIZE on newer kernels), or there is some other rule.
   * One by one they go, or say what is wrong with them.
   */
  #refused(code: number): void {
    const count = this.#batch.count(this.#message);
    if (count > 1 && (code === EIO || code === EINVAL || code === EMSGSIZE)) {
      if (code === EIO) this.#batch.trains = false;
      this.#solo = 1;
      return;
    }
    this.#lose(code, count);
    this.#message += 1;
  }

  /** Sends the datagrams of one message one by one; `#solo` is one more than the next one's number. */
  #sendSolo(): boolean {
    const { calls, udpFd } = this.#options;
    const batch = this.#batch;
    const peer = batch.target(this.#message);
    while (this.#solo <= batch.count(this.#message)) {
      const bytes = batch.solo(this.#message, this.#solo - 1);
      const sent = calls.sendmmsg(udpFd, batch.address(this.#message), 1, MSG_DONTWAIT);
      const code = sent > 0 ? 0 : calls.errno();
      if (code === EAGAIN) return false;
      if (code === EINTR) continue;
      if (code !== 0) this.#lose(code, 1);
      else if (peer) this.#options.peers.sent(peer, 1, bytes);
      this.#solo += 1;
    }
    this.#solo = 0;
    this.#message += 1;
    return true;
  }

  #tally(messages: number): void {
    const batch = this.#batch;
    const end = this.#message + messages;
    for (; this.#message < end; this.#message += 1) {
      const peer = batch.target(this.#message);
      if (!peer) continue;
      this.#options.peers.sent(peer, batch.count(this.#message), batch.bytes(this.#message));
    }
  }

  #lose(code: number, datagrams: number): void {
    const { counters, peers, tooBig } = this.#options;
    const peer = this.#batch.target(this.#message);
    if (code === EMSGSIZE && peer) {
      counters.lost('too-big', datagrams);
      peers.refusedSize(peer, datagrams);
      tooBig(peer);
    } else if (code === ENOBUFS) counters.lost('send-buffer', datagrams);
    else this.#options.lose('send-failed', 'sendmmsg', code, datagrams);
  }
}
