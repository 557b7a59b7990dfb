import { readFileSync } from 'node:fs';
import { KernelError } from '../core/errors.ts';
import {
  decodeAck,
  decodeMessages,
  encodeMessage,
  formatAckWords,
  NETLINK_NETFILTER,
  NLM_F_ACK,
  NLM_F_REQUEST,
  NLMSG_ERROR,
  type NetlinkMessage,
} from '../core/netlink/message.ts';
import {
  decodePacketMessage,
  decodeQueueDrops,
  encodeQueueBind,
  encodeQueueUnbind,
  encodeVerdict,
  NFQNL_MSG_CONFIG,
  NFQNL_MSG_PACKET,
  NFQNL_MSG_VERDICT,
  NFQNL_MSG_VERDICT_BATCH,
  type Verdict,
} from '../core/netlink/nfqueue.ts';
import type { IfIndex } from '../core/units.ts';
import { EAGAIN, EINTR, ENOBUFS, errnoName, systemError } from './ffi/errno.ts';
import { close, errno, recv, sendto } from './ffi/libc.ts';
import { onReadableOrError, type Readiness } from './ffi/poll.ts';
import { openDescriptor } from './netlink/descriptor.ts';

// sys/socket.h
const MSG_TRUNC = 0x20;
const MSG_DONTWAIT = 0x40;

/** A packet of 64 KiB and its attributes. */
const DATAGRAM_ROOM = 128 << 10;
/** Datagrams taken in one turn of the event loop, so that a flood leaves others their turn. */
const DATAGRAMS_PER_TURN = 64;
/** Bytes the kernel may hold for us; `maxLength` bounds the packets, this the memory. */
const RECEIVE_BUFFER = 1 << 20;

export type QueueOptions = {
  /** 0..65535, of the network namespace. */
  readonly number: number;
  /** Packets that may wait for a verdict; the kernel drops those beyond. */
  readonly maxLength: number;
  /** What the queue is for, for errors. */
  readonly subject: string;
  /** Whether every packet ends with `onPacket`, and needs no verdict: it is dropped, together with others. */
  readonly ends?: boolean;
};

export type QueuedPacket = {
  /** Names the packet when its verdict is given. */
  readonly id: number;
  /** The whole IP packet, all checksums filled in. The receiver's own to keep. */
  readonly payload: Uint8Array;
  /** Device it came in by. */
  readonly inDevice: IfIndex | undefined;
};

/** An NFQUEUE that this process holds. */
export interface PacketQueue extends Disposable {
  /**
   * Every packet needs exactly one verdict, in any order; without it the packet waits, and counts
   * against `maxLength`, until the queue is closed. No effect after `close`. Never throws.
   */
  verdict(id: number, verdict: Verdict): void;
  /** How often the kernel dropped packets because the socket's buffer was full. */
  readonly overruns: number;
  /**
   * Packets that the kernel has dropped since the queue was taken, because `maxLength` waited already or
   * the socket was full; it must be asked in the queue's namespace. Else, `overruns`.
   */
  dropped(): number;
  /** Messages of the kernel that were no packets, and verdicts that it did not take. */
  readonly errors: number;
  /** Gives the queue back. Packets that wait are dropped by the kernel. */
  close(): void;
}

/**
 * Takes queue `number` and hands every packet to `onPacket`, which must not throw. Packets are
 * dropped, never let through, when the queue or the socket is full. Throws KernelError (exit
 * `queue`) when the kernel or another holder of the number refuses. The kernel answers requests of
 * this family before sendto returns, so this waits for nothing.
 */
export function openQueue(
  options: QueueOptions,
  onPacket: (packet: QueuedPacket) => void,
): PacketQueue {
  return new Queue(options, onPacket);
}

class Queue implements PacketQueue {
  readonly #options: QueueOptions;
  readonly #onPacket: (packet: QueuedPacket) => void;
  readonly #fd: number;
  readonly #readiness: Readiness;
  readonly #buffer = new Uint8Array(DATAGRAM_ROOM);
  #overruns = 0;
  #errors = 0;
  #open = true;
  /** The last packet that waits for its end. */
  #ended: number | undefined;

  constructor(options: QueueOptions, onPacket: (packet: QueuedPacket) => void) {
    this.#options = options;
    this.#onPacket = onPacket;
    const { fd } = openDescriptor(
      { family: NETLINK_NETFILTER, subject: options.subject, receiveBuffer: RECEIVE_BUFFER },
      'queue',
    );
    this.#fd = fd;
    try {
      this.#bind();
      this.#readiness = onReadableOrError(fd, () => this.#receive());
    } catch (error) {
      close(fd);
      throw error;
    }
  }

  get overruns(): number {
    return this.#overruns;
  }

  get errors(): number {
    return this.#errors;
  }

  dropped(): number {
    try {
      const text = readFileSync('/proc/thread-self/net/netfilter/nfnetlink_queue', 'utf8');
      return decodeQueueDrops(text, this.#options.number) ?? this.#overruns;
    } catch {
      return this.#overruns;
    }
  }

  verdict(id: number, verdict: Verdict): void {
    this.#decide(NFQNL_MSG_VERDICT, id, verdict);
  }

  #decide(type: number, id: number, verdict: Verdict): void {
    if (!this.#open) return;
    const payload = encodeVerdict(this.#options.number, id, verdict);
    if (this.#send(type, 0, payload) < 0) this.#errors++;
  }

  close(): void {
    if (!this.#open) return;
    this.#send(NFQNL_MSG_CONFIG, 0, encodeQueueUnbind(this.#options.number));
    this.#open = false;
    this.#readiness.close();
    close(this.#fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #bind(): void {
    const { number, maxLength, subject } = this.#options;
    if (this.#send(NFQNL_MSG_CONFIG, NLM_F_ACK, encodeQueueBind(number, maxLength)) < 0) {
      throw systemError('NFQNL_CFG_CMD_BIND: sendto', subject, 'queue');
    }
    const length = this.#recv();
    if (length < 0) throw systemError('NFQNL_CFG_CMD_BIND: recv', subject, 'queue');
    const messages = decodeMessages(this.#buffer.subarray(0, length));
    const answer = messages.ok ? messages.value[0] : undefined;
    const ack = answer?.type === NLMSG_ERROR ? decodeAck(answer) : undefined;
    if (!ack?.ok) throw this.#refusal('EBADMSG', 'no acknowledgement came');
    if (ack.value.errno !== 0) {
      throw this.#refusal(errnoName(ack.value.errno), formatAckWords(ack.value));
    }
  }

  #refusal(name: string, words: string | undefined): KernelError {
    const { number, subject } = this.#options;
    // The kernel says EPERM for another socket's queue, and for a caller without CAP_NET_ADMIN.
    const taken = `another process holds queue ${number} (or this one is not root): set another queue-number`;
    const hint =
      name === 'EBUSY' || name === 'EPERM'
        ? taken
        : name === 'EINVAL'
          ? 'this kernel may lack NFQUEUE: modprobe nfnetlink_queue'
          : undefined;
    return new KernelError(
      'queue',
      { operation: 'NFQNL_CFG_CMD_BIND', errno: name, words, subject },
      hint === undefined ? {} : { hint },
    );
  }

  #send(type: number, flags: number, payload: Uint8Array): number {
    const message = encodeMessage({ type, flags: NLM_F_REQUEST | flags, seq: 1, payload });
    for (;;) {
      const result = sendto(this.#fd, message, message.length, MSG_DONTWAIT, null, 0);
      if (result >= 0 || errno() !== EINTR) return result;
    }
  }

  #recv(): number {
    for (;;) {
      const flags = MSG_DONTWAIT | MSG_TRUNC;
      const result = recv(this.#fd, this.#buffer, this.#buffer.length, flags);
      if (result >= 0 || errno() !== EINTR) return result;
    }
  }

  #receive(): void {
    this.#receiveTurn();
    const last = this.#ended;
    this.#ended = undefined;
    if (last !== undefined) this.#decide(NFQNL_MSG_VERDICT_BATCH, last, 'drop');
  }

  #receiveTurn(): void {
    for (let turn = 0; turn < DATAGRAMS_PER_TURN && this.#open; turn++) {
      const length = this.#recv();
      if (length < 0) {
        const code = errno();
        if (code === EAGAIN) return;
        if (code === ENOBUFS) this.#overruns++;
        else this.#errors++;
      } else if (length > this.#buffer.length) {
        this.#errors++;
      } else {
        this.#take(this.#buffer.slice(0, length));
      }
    }
  }

  #take(datagram: Uint8Array): void {
    const messages = decodeMessages(datagram);
    if (!messages.ok) {
      this.#errors++;
      return;
    }
    for (const message of messages.value) {
      if (message.type === NFQNL_MSG_PACKET) this.#deliver(message);
      // A refused verdict: the packet is gone already (its device was removed, say).
      else this.#errors++;
    }
  }

  #deliver(message: NetlinkMessage): void {
    const packet = decodePacketMessage(message.payload);
    if (!packet.ok) {
      this.#errors++;
      return;
    }
    const { id, payload, length, inDevice } = packet.value;
    if (this.#options.ends === true) this.#ended = id;
    // A packet that did not come up whole cannot be judged.
    if (length <= payload.length) this.#onPacket({ id, payload, inDevice });
    else if (this.#options.ends !== true) this.verdict(id, 'drop');
  }
}
