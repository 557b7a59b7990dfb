/**
 * Answers to strangers, each from where its question came to and to where that came from, many of them in one
 * sendmmsg(2): in a flood of first messages these are most of what the thread does. What the socket does not take is lost.
 */
import { EAGAIN, EINTR } from '../../ffi/errno.ts';
import {
  encodePktinfo,
  encodePktinfo6,
  IOVEC_BYTES,
  MMSGHDR_BYTES,
  PKTINFO6_SPACE,
  PKTINFO_SPACE,
} from '../../udp/message-headers.ts';
import { Arena } from './arena.ts';
import type { InboundBatch } from './inbound-batch.ts';
import type { MessageShape } from './message-shape.ts';
import type { PacketCalls } from './packet-calls.ts';

/** Answers that wait for each other. */
const CAPACITY = 64;
/** Bytes of an answer: those of a COOKIE, a multiple of 8. */
const ANSWER_BYTES = 56;

/** bits/socket.h */
const MSG_DONTWAIT = 0x40;

export class Answers {
  readonly #fd: number;
  readonly #shape: MessageShape;
  readonly #calls: PacketCalls;
  readonly #vector: Arena;
  readonly #iovecs: Arena;
  readonly #names: Arena;
  readonly #controls: Arena;
  readonly #payloads: Arena;
  #count = 0;

  constructor(fd: number, shape: MessageShape, calls: PacketCalls) {
    this.#fd = fd;
    this.#shape = shape;
    this.#calls = calls;
    const arena = (stride: number) => new Arena(CAPACITY * stride, calls.address);
    this.#vector = arena(MMSGHDR_BYTES);
    this.#iovecs = arena(IOVEC_BYTES);
    this.#names = arena(shape.nameStride);
    this.#controls = arena(shape.control);
    this.#payloads = arena(ANSWER_BYTES);
    for (let message = 0; message < CAPACITY; message += 1) this.#build(message);
  }

  /** Answers a message of the batch; `payload` has ANSWER_BYTES. */
  add(batch: InboundBatch, message: number, payload: Uint8Array): void {
    const at = this.#count;
    const { control, nameStride, source } = this.#shape;
    this.#names.bytes.set(batch.name(message), at * nameStride);
    this.#controls.bytes.set(batch.local(message), at * control + source);
    this.#payloads.bytes.set(payload, at * ANSWER_BYTES);
    this.#count += 1;
    if (this.#count === CAPACITY) this.flush();
  }

  /** Sends all that wait. */
  flush(): void {
    for (let at = 0; at < this.#count;) {
      const address = this.#vector.address + at * MMSGHDR_BYTES;
      const sent = this.#calls.sendmmsg(this.#fd, address, this.#count - at, MSG_DONTWAIT);
      if (sent > 0) at += sent;
      else {
        const code = this.#calls.errno();
        if (code === EAGAIN) break;
        // A source may be forged that nothing can be sent to.
        if (code !== EINTR) at += 1;
      }
    }
    this.#count = 0;
  }

  /** What never changes in a message. */
  #build(message: number): void {
    const { control, family, name, nameStride } = this.#shape;
    const at = message * MMSGHDR_BYTES;
    const controls = this.#controls.bytes.subarray(message * control, (message + 1) * control);
    if (family === 'ipv4') encodePktinfo(controls, 0);
    else encodePktinfo6(controls, new Uint8Array(16));
    this.#iovecs.setWord(message * IOVEC_BYTES, this.#payloads.address + message * ANSWER_BYTES);
    this.#iovecs.setWord(message * IOVEC_BYTES + 8, ANSWER_BYTES);
    this.#vector.setWord(at, this.#names.address + message * nameStride);
    this.#vector.u32[at / 4 + 2] = name;
    this.#vector.setWord(at + 16, this.#iovecs.address + message * IOVEC_BYTES);
    this.#vector.setWord(at + 24, 1);
    this.#vector.setWord(at + 32, this.#controls.address + message * control);
    this.#vector.setWord(at + 40, family === 'ipv4' ? PKTINFO_SPACE : PKTINFO6_SPACE);
  }
}
