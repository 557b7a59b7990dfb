import { IpipouError, KernelError } from '../../core/errors.ts';
import type { ExitName } from '../../core/exit-codes.ts';
import { concatBytes } from '../../core/bytes.ts';
import {
  decodeAck,
  decodeMessages,
  encodeMessage,
  formatAckWords,
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_DUMP_INTR,
  NLM_F_MULTI,
  NLM_F_REQUEST,
  NLMSG_DONE,
  NLMSG_ERROR,
  NLMSG_MIN_TYPE,
  NLMSG_OVERRUN,
  type Ack,
  type NetlinkMessage,
} from '../../core/netlink/message.ts';
import { EAGAIN, EINTR, ENOBUFS, errnoName, systemError } from '../ffi/errno.ts';
import { close, errno, recv, sendto } from '../ffi/libc.ts';
import { onReadableOrError, type Readiness } from '../ffi/poll.ts';
import { openDescriptor, type DescriptorOptions } from './descriptor.ts';

// sys/socket.h
const MSG_TRUNC = 0x20;
const MSG_DONTWAIT = 0x40;

/** The kernel builds dumps in pieces of 32 KiB at most; a queued packet comes in up to 64 KiB and its attributes. */
const DATAGRAM_ROOM = 128 << 10;
/** Datagrams taken in one turn of the event loop, so that a flood leaves others their turn. */
const DATAGRAMS_PER_TURN = 64;
/** How often a dump is begun anew because the table changed under it. */
const DUMP_ATTEMPTS = 10;

/** One request to the kernel. NLM_F_REQUEST, NLM_F_ACK and NLM_F_DUMP are added by the method that sends it. */
export type NetlinkRequest = {
  readonly type: number;
  readonly flags?: number;
  readonly payload: Uint8Array;
  /** The kernel's name of the message, for the operator: "RTM_NEWLINK". */
  readonly operation: string;
  /** What is being configured; the socket's own subject where none is given. */
  readonly subject?: string;
  readonly exit?: ExitName;
};

/** What a socket hears unasked. `overrun`: some was lost, so whatever is mirrored must be read anew. */
export type NetlinkEvent =
  { readonly kind: 'message'; readonly message: NetlinkMessage } | { readonly kind: 'overrun' };

export type NetlinkOptions = DescriptorOptions & {
  /** Exit code of its failures unless a request says otherwise; `generic` by default. */
  readonly exit?: ExitName;
  /** Hears multicast messages and everything that answers no request. Payloads are its to keep. */
  readonly onEvent?: (event: NetlinkEvent) => void;
};

/** Owns one netlink socket. Failures of the kernel reject with KernelError. */
export interface NetlinkSocket extends Disposable {
  /** Settles with the kernel's acknowledgement. */
  request(request: NetlinkRequest): Promise<void>;
  /**
   * All requests in one datagram (at most SO_SNDBUF, 208 KiB by default), each carried out whatever
   * becomes of the others. Settles when the last is done; in their order, why those that failed did.
   * Only failures and the last one are acknowledged, so it is several times faster than `request`.
   */
  attempt(requests: readonly NetlinkRequest[]): Promise<readonly (Error | undefined)[]>;
  /** The one answer to a request for one thing. */
  get(request: NetlinkRequest): Promise<NetlinkMessage>;
  /** Every message of a table, from a moment when it did not change. Dumps of one socket wait for each other. */
  dump(request: NetlinkRequest): Promise<readonly NetlinkMessage[]>;
  /** Sends and expects no answer (verdicts). Throws when the kernel does not take it. */
  send(request: NetlinkRequest): void;
  close(): void;
}

/** Somebody who waits for the answer to one sequence number. */
type Pending = {
  readonly request: NetlinkRequest;
  /** Which messages besides acknowledgements are part of the answer. */
  readonly wants: 'none' | 'one' | 'all';
  readonly replies: NetlinkMessage[];
  /** NLM_F_DUMP_INTR was seen. */
  interrupted: boolean;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: Error) => void;
};

type Answer = { readonly replies: readonly NetlinkMessage[]; readonly interrupted: boolean };

/** Opens a socket in the network namespace of the calling thread; it stays there. */
export function openNetlink(options: NetlinkOptions): NetlinkSocket {
  return new Netlink(options);
}

class Netlink implements NetlinkSocket {
  readonly #options: NetlinkOptions;
  readonly #exit: ExitName;
  readonly #fd: number;
  readonly #port: number;
  readonly #readiness: Readiness;
  readonly #buffer = new Uint8Array(DATAGRAM_ROOM);
  /** By sequence number. As many as the callers have requests under way. */
  readonly #pending = new Map<number, Pending>();
  #dumps: Promise<unknown> = Promise.resolve();
  #seq = 0;
  #open = true;

  constructor(options: NetlinkOptions) {
    this.#options = options;
    this.#exit = options.exit ?? 'generic';
    const { fd, port } = openDescriptor(options, this.#exit);
    this.#fd = fd;
    this.#port = port;
    this.#readiness = onReadableOrError(fd, () => this.#receive());
  }

  async request(request: NetlinkRequest): Promise<void> {
    await this.#exchange(request, NLM_F_ACK, 'none');
  }

  async get(request: NetlinkRequest): Promise<NetlinkMessage> {
    const { replies } = await this.#exchange(request, 0, 'one');
    if (replies[0]) return replies[0];
    throw this.#failure(request, 'ENOMSG', 'an acknowledgement came instead of an answer');
  }

  async dump(request: NetlinkRequest): Promise<readonly NetlinkMessage[]> {
    const turn = this.#dumps.then(() => this.#dumpConsistently(request));
    this.#dumps = turn.catch(() => undefined);
    return turn;
  }

  async #dumpConsistently(request: NetlinkRequest): Promise<readonly NetlinkMessage[]> {
    for (let attempt = 0; attempt < DUMP_ATTEMPTS; attempt++) {
      const answer = await this.#exchange(request, NLM_F_DUMP, 'all');
      if (!answer.interrupted) return answer.replies;
    }
    throw this.#failure(request, 'EINTR', `the table changed during ${DUMP_ATTEMPTS} dumps`);
  }

  async attempt(requests: readonly NetlinkRequest[]): Promise<readonly (Error | undefined)[]> {
    const failures = requests.map((): Error | undefined => undefined);
    if (requests.length === 0) return failures;
    const seqs: number[] = [];
    const done = new Promise<void>((resolve) => {
      const parts = requests.map((request, place) => {
        const last = place === requests.length - 1;
        const seq = this.#nextSeq();
        seqs.push(seq);
        const failed = (error: Error): void => {
          failures[place] = error;
          if (last) resolve();
        };
        this.#expect(seq, request, 'none', () => last && resolve(), failed);
        return this.#encode(request, last ? NLM_F_ACK : 0, seq);
      });
      this.#transmit(concatBytes(parts), requests[0]?.operation ?? 'attempt', requests[0]);
    });
    await done.finally(() => seqs.forEach((seq) => this.#pending.delete(seq)));
    return failures;
  }

  send(request: NetlinkRequest): void {
    this.#transmit(this.#encode(request, 0, this.#nextSeq()), request.operation);
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#readiness.close();
    close(this.#fd);
    this.#rejectAll(() => this.#closed());
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #exchange(request: NetlinkRequest, flags: number, wants: Pending['wants']): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const seq = this.#nextSeq();
      this.#expect(seq, request, wants, resolve, reject);
      try {
        this.#transmit(this.#encode(request, flags, seq), request.operation, request);
      } catch (error) {
        this.#pending.delete(seq);
        throw error;
      }
    });
  }

  #expect(
    seq: number,
    request: NetlinkRequest,
    wants: Pending['wants'],
    resolve: Pending['resolve'],
    reject: Pending['reject'],
  ): void {
    const replies: NetlinkMessage[] = [];
    this.#pending.set(seq, { request, wants, replies, interrupted: false, resolve, reject });
  }

  /** 0 is the kernel's own number for what nobody asked for. */
  #nextSeq(): number {
    this.#seq = this.#seq === 0xffffffff ? 1 : this.#seq + 1;
    return this.#seq;
  }

  #encode(request: NetlinkRequest, flags: number, seq: number): Uint8Array {
    return encodeMessage({
      type: request.type,
      flags: NLM_F_REQUEST | flags | (request.flags ?? 0),
      seq,
      payload: request.payload,
    });
  }

  #transmit(bytes: Uint8Array, operation: string, request?: NetlinkRequest): void {
    if (!this.#open) throw this.#closed();
    for (;;) {
      if (sendto(this.#fd, bytes, bytes.length, MSG_DONTWAIT, null, 0) >= 0) return;
      if (errno() === EINTR) continue;
      const exit = request?.exit ?? this.#exit;
      throw systemError(`${operation}: sendto`, request?.subject ?? this.#options.subject, exit);
    }
  }

  #receive(): void {
    for (let turn = 0; turn < DATAGRAMS_PER_TURN && this.#open; turn++) {
      const flags = MSG_DONTWAIT | MSG_TRUNC;
      const length = recv(this.#fd, this.#buffer, this.#buffer.length, flags);
      if (length < 0) {
        const code = errno();
        if (code === EINTR) continue;
        if (code !== EAGAIN) this.#lost(errnoName(code));
        if (code !== ENOBUFS) return;
      } else if (length > this.#buffer.length) {
        this.#lost('EMSGSIZE');
      } else {
        this.#take(this.#buffer.slice(0, length));
      }
    }
  }

  #take(datagram: Uint8Array): void {
    const messages = decodeMessages(datagram);
    if (!messages.ok) {
      this.#lost('EBADMSG');
      return;
    }
    for (const message of messages.value) {
      if (!this.#open) return; // closed by whom the last one was told to
      const pending = message.pid === this.#port ? this.#pending.get(message.seq) : undefined;
      if (message.type === NLMSG_ERROR || message.type === NLMSG_DONE) {
        if (pending) this.#conclude(message, pending);
      } else if (message.type === NLMSG_OVERRUN) {
        this.#lost('ENOBUFS');
      } else if (message.type >= NLMSG_MIN_TYPE) {
        this.#deliver(message, pending);
      }
    }
  }

  /** An acknowledgement, an error, or the end of a dump. */
  #conclude(message: NetlinkMessage, pending: Pending): void {
    const { request, replies, resolve, reject } = pending;
    this.#pending.delete(message.seq);
    const ack = decodeAck(message);
    if (!ack.ok) reject(this.#failure(request, 'EBADMSG', ack.reason));
    else if (ack.value.errno !== 0) reject(this.#refusal(request, ack.value));
    else resolve({ replies, interrupted: this.#interrupted(message, pending) });
  }

  #interrupted(message: NetlinkMessage, pending: Pending): boolean {
    return pending.interrupted || (message.flags & NLM_F_DUMP_INTR) !== 0;
  }

  /** A notification that our own request caused carries its number too: `wants` tells them apart. */
  #deliver(message: NetlinkMessage, pending: Pending | undefined): void {
    if (!pending || pending.wants === 'none') {
      this.#options.onEvent?.({ kind: 'message', message });
      return;
    }
    pending.replies.push(message);
    pending.interrupted = this.#interrupted(message, pending);
    if (pending.wants === 'one' && (message.flags & NLM_F_MULTI) === 0) {
      this.#pending.delete(message.seq);
      pending.resolve(pending);
    }
  }

  /** Something meant for us is gone: it may have been an answer or an event. */
  #lost(errnoText: string): void {
    this.#rejectAll((request) => this.#failure(request, errnoText, 'the answer was lost'));
    this.#options.onEvent?.({ kind: 'overrun' });
  }

  #rejectAll(reason: (request: NetlinkRequest) => Error): void {
    const waiting = [...this.#pending.values()];
    this.#pending.clear();
    for (const { request, reject } of waiting) reject(reason(request));
  }

  #refusal(request: NetlinkRequest, ack: Ack): KernelError {
    return this.#failure(request, errnoName(ack.errno), formatAckWords(ack));
  }

  #failure(request: NetlinkRequest, errnoText: string, words: string | undefined): KernelError {
    const { operation, subject = this.#options.subject, exit = this.#exit } = request;
    return new KernelError(exit, { operation, errno: errnoText, words, subject });
  }

  #closed(): IpipouError {
    return new IpipouError(this.#exit, `${this.#options.subject}: the netlink socket is closed`);
  }
}
