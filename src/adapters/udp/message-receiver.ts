import { getU32host, getU64host } from '../../core/bytes.ts';
import {
  decodeSockaddr,
  SOCKADDR_IN6_LENGTH,
  type SocketAddress,
} from '../../core/wire/sockaddr.ts';
import { address, recvmsg } from '../ffi/libc.ts';
import { controlMessages, type ControlMessage } from './control-messages.ts';
import {
  encodeIovec,
  encodeMessage,
  IOVEC_BYTES,
  MMSGHDR_BYTES,
  pinned,
} from './message-headers.ts';

/** bits/socket.h */
const MSG_DONTWAIT = 0x40;
/** For recvmsg: the next error in place of a message. */
export const MSG_ERRQUEUE = 0x2000;

const CONTROL_ROOM = 256;

/** struct msghdr: where the kernel says how much it wrote (offsets of message-headers.ts). */
const MSG_NAMELEN = 8;
const MSG_CONTROLLEN = 40;

/** Receives one message at a time from a socket of either family, with its control messages, into one buffer. */
export class MessageReceiver {
  readonly #fd: number;
  readonly #payload: Uint8Array;
  readonly #name = pinned(SOCKADDR_IN6_LENGTH);
  readonly #control = pinned(CONTROL_ROOM);
  readonly #iovec = pinned(IOVEC_BYTES);
  readonly #header = pinned(MMSGHDR_BYTES);

  /** `room`: bytes of a message; what is longer is cut. The descriptor is its owner's. */
  constructor(fd: number, room: number) {
    this.#fd = fd;
    this.#payload = pinned(room);
    encodeIovec(this.#iovec, address(this.#payload), room);
  }

  /** Bytes of the message (a view by `payload`); below 0 when there is none. `flags`: MSG_ERRQUEUE or 0. */
  receive(flags: number): number {
    encodeMessage(
      this.#header,
      {
        name: address(this.#name),
        nameLength: this.#name.length,
        iovec: address(this.#iovec),
        control: address(this.#control),
      },
      CONTROL_ROOM,
    );
    return recvmsg(this.#fd, this.#header, flags | MSG_DONTWAIT);
  }

  /** The first `length` bytes of the last message: a view, until the next one is received. */
  payload(length: number): Uint8Array {
    return this.#payload.subarray(0, length);
  }

  /** Whom the last message came from; with an error, where the packet went that it is about. */
  name(): SocketAddress | undefined {
    const length = getU32host(this.#header, MSG_NAMELEN);
    const decoded = decodeSockaddr(this.#name.subarray(0, length));
    return decoded.ok ? decoded.value : undefined;
  }

  /** What the kernel says besides. Views, until the next message is received. */
  control(): readonly ControlMessage[] {
    const length = Number(getU64host(this.#header, MSG_CONTROLLEN));
    return controlMessages(this.#control.subarray(0, length));
  }
}
