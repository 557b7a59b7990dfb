import { EAGAIN, EINTR, ENOBUFS } from '../../ffi/errno.ts';
import type { Family } from '../../../core/addr.ts';
import type { Loss, SharedCounters } from './counters.ts';
import { DatagramBatch } from './datagram-batch.ts';
import { IPV4_MESSAGES, IPV6_MESSAGES } from './message-shape.ts';
import type { PacketCalls } from './packet-calls.ts';
import type { Peer, PeerTable } from './peer-table.ts';

/** bits/socket.h */
const MSG_DONTWAIT = 0x40;
/** asm-generic/errno-base.h, asm-generic/errno.h */
const EIO = 5;
const EINVAL = 22;
const EMSGSIZE = 90;

export type SenderOptions = {
  readonly family: Family;
  readonly udpFd: number;
  /** Whether the socket takes UDP_SEGMENT. */
  readonly trains: boolean;
  /** Whether what is too long for the path goes in fragments. */
  readonly fragments: boolean;
  readonly peers: PeerTable;
  readonly counters: SharedCounters;
  readonly calls: PacketCalls;
  readonly lose: (loss: Loss, operation: string, errno: number, packets?: number) => void;
  readonly tooBig: (peer: Peer) => void;
};

/** Sends datagrams by a socket of one family, and goes on where it stopped when the socket was full. */
export class Sender {
  readonly batch: DatagramBatch;
  readonly #options: SenderOptions;
  /** Whether the socket was full when something was sent last. */
  full = false;
  /** The next message of the batch to be sent, and the next datagram of it where it is sent one by one. */
  #message = 0;
  #solo = 0;
  /** Whether a train was refused whose datagrams may be too long for one: alone they go in fragments. */
  #overlong = false;

  constructor(options: SenderOptions) {
    const { calls, family, trains } = options;
    this.#options = options;
    const shape = family === 'ipv4' ? IPV4_MESSAGES : IPV6_MESSAGES;
    this.batch = new DatagramBatch(calls.address, trains, shape);
  }

  get family(): Family {
    return this.#options.family;
  }

  get udpFd(): number {
    return this.#options.udpFd;
  }

  /** For other datagrams, once all were sent. */
  clear(): void {
    this.batch.clear();
    this.#message = 0;
  }

  /** Sends the batch from where it stands; false when the socket is full. */
  send(): boolean {
    this.full = !this.#send();
    return !this.full;
  }

  #send(): boolean {
    const { calls, udpFd } = this.#options;
    const { batch } = this;
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
   * One by one they go, or say what is wrong with them. Flow labels are refused with EINVAL, too, where a program
   * has one for itself alone (ipv6_flowlabel(7)): then nothing has one any more.
   */
  #refused(code: number): void {
    const count = this.batch.count(this.#message);
    if (count > 1 && (code === EIO || code === EINVAL || code === EMSGSIZE)) {
      if (code === EIO) this.batch.trains = false;
      this.#solo = 1;
      this.#overlong = this.#options.fragments && code !== EIO;
      return;
    }
    if (code === EINVAL && this.batch.labels) {
      this.batch.dropLabels();
      return;
    }
    this.#lose(code, count);
    this.#message += 1;
  }

  /** Sends the datagrams of one message one by one; `#solo` is one more than the next one's number. */
  #sendSolo(): boolean {
    const { calls, peers, udpFd } = this.#options;
    const { batch } = this;
    const peer = batch.target(this.#message);
    while (this.#solo <= batch.count(this.#message)) {
      const bytes = batch.solo(this.#message, this.#solo - 1);
      const sent = calls.sendmmsg(udpFd, batch.address(this.#message), 1, MSG_DONTWAIT);
      const code = sent > 0 ? 0 : calls.errno();
      if (code === EAGAIN) return false;
      if (code === EINTR) continue;
      if (code === EINVAL && batch.labels) {
        batch.dropLabels();
        this.#overlong = false;
        continue;
      }
      if (code !== 0) this.#lose(code, 1);
      else if (peer) peers.sent(peer, 1, bytes);
      if (code === 0 && this.#overlong) batch.longest = Math.min(batch.longest, bytes - 1);
      this.#overlong = false;
      this.#solo += 1;
    }
    this.#solo = 0;
    this.#message += 1;
    return true;
  }

  #tally(messages: number): void {
    const { batch } = this;
    const end = this.#message + messages;
    for (; this.#message < end; this.#message += 1) {
      const peer = batch.target(this.#message);
      if (!peer) continue;
      this.#options.peers.sent(peer, batch.count(this.#message), batch.bytes(this.#message));
    }
  }

  #lose(code: number, datagrams: number): void {
    const { counters, peers, tooBig } = this.#options;
    const peer = this.batch.target(this.#message);
    if (code === EMSGSIZE && peer) {
      counters.lost('too-big', datagrams);
      peers.refusedSize(peer, datagrams);
      tooBig(peer);
    } else if (code === ENOBUFS) counters.lost('send-buffer', datagrams);
    else this.#options.lose('send-failed', 'sendmmsg', code, datagrams);
  }
}
