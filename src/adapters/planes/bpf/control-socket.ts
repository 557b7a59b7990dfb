/**
 * The tunnel's ordinary UDP socket: what the programs let up arrives here, and what we send from the
 * tunnel's own port leaves here. It also hears of ICMP errors about any packet of the port, data
 * included, since the kernel finds the socket by the port that is quoted (IP_RECVERR of ip(7)).
 *
 * Packets are handed up in their order, PACKETS_IN_FLIGHT at most; what is more waits in the kernel's buffer.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { outerIpv4FromNumber, type OuterIp, type Endpoint, type Path } from '../../../core/addr.ts';
import { encodeU32host, getU64host } from '../../../core/bytes.ts';
import type { OuterConfig } from '../../../core/config/tunnel-config.ts';
import { decodeSockaddrIn, SOCKADDR_IN_LENGTH } from '../../../core/wire/sockaddr.ts';
import type { IcmpError } from '../../../core/wire/icmp-error.ts';
import { DEAF_TO_ERRORS, ERRORS_PER_TURN, OUTER_ERROR_RATE } from '../../../core/budgets.ts';
import { port } from '../../../core/units.ts';
import type { ControlPacket, OutgoingControl } from '../../../ports/data-plane.ts';
import { checked, errnoName } from '../../ffi/errno.ts';
import { address, close, recvmsg, setsockopt } from '../../ffi/libc.ts';
import { watch, type Watch } from '../../ffi/poll.ts';
import { sendControl, sendFailure } from '../../udp/control-sender.ts';
import {
  encodeIovec,
  encodeMessage,
  IOVEC_BYTES,
  IPPROTO_IP,
  MMSGHDR_BYTES,
  pinned,
  readPktinfo,
} from '../../udp/message-headers.ts';
import { openTunnelSocket } from '../../udp/tunnel-socket.ts';
import { arrivedAt, controlMessages, receivedError } from './socket-errors.ts';
import { InFlight, PACKETS_IN_FLIGHT } from '../in-flight.ts';
import { TokenBucket } from '../token-bucket.ts';
import { PACKETS_PER_TURN, SEND_TRIES } from './limits.ts';

// bits/socket.h
const MSG_DONTWAIT = 0x40;
const MSG_ERRQUEUE = 0x2000;
// asm-generic/socket.h
const SOL_SOCKET = 1;
const SO_BINDTODEVICE = 25;
const SO_ATTACH_BPF = 50;
// linux/in.h
const IP_RECVERR = 11;

/** More than any datagram. */
const PAYLOAD_ROOM = 65_536;
const CONTROL_ROOM = 256;

/** struct msghdr: where the kernel says how much it wrote (offsets of message-headers.ts). */
const MSG_CONTROLLEN = 40;

export type ControlHandlers = {
  /** Never rejects. The payload is a view that is valid until the promise settles. */
  readonly packet: (packet: ControlPacket) => Promise<void>;
  /** An ICMP error about a packet of `path`. */
  readonly icmp: (path: Path, error: IcmpError) => void;
};

export class ControlSocket {
  readonly #fd: number;
  readonly #outer: OuterConfig;
  readonly #handlers: ControlHandlers;
  readonly #watch: Watch;
  readonly #name = pinned(SOCKADDR_IN_LENGTH);
  readonly #control = pinned(CONTROL_ROOM);
  readonly #payload = pinned(PAYLOAD_ROOM);
  readonly #iovec = pinned(IOVEC_BYTES);
  readonly #header = pinned(MMSGHDR_BYTES);
  readonly #errorBudget = new TokenBucket(OUTER_ERROR_RATE);
  /** While errors are not heard. */
  #deaf: NodeJS.Timeout | undefined;
  /** The end of ours that the last packet came to. */
  #local: Endpoint | undefined;
  /** One peer's packet may wait for a disk; those of others do not. */
  readonly #inFlight = new InFlight(PACKETS_IN_FLIGHT);
  #pumping: Promise<void> | undefined;
  #closed = false;

  constructor(outer: OuterConfig, handlers: ControlHandlers) {
    const { fd } = openTunnelSocket(outer, 'ipv4', {
      segmentation: false,
      aggregation: false,
    });
    this.#fd = fd;
    this.#outer = outer;
    this.#handlers = handlers;
    encodeIovec(this.#iovec, address(this.#payload), PAYLOAD_ROOM);
    try {
      this.#hearErrors(true);
      this.#watch = watch(fd, () => this.#wake());
      this.#watch.want({ readable: true, writable: false });
    } catch (error) {
      close(fd);
      throw error;
    }
  }

  /** Throws KernelError (exit `sendAuth`). */
  send(packet: OutgoingControl): void {
    this.#takeErrors();
    let code = sendControl(this.#fd, packet);
    // Errors about earlier packets that came just now: each is reported once, in the place of a result.
    for (let again = 0; code !== 0 && again < SEND_TRIES && this.#takeErrors() > 0; again += 1) {
      code = sendControl(this.#fd, packet);
    }
    if (code !== 0) throw sendFailure(packet, errnoName(code));
  }

  /** Puts a program before the socket's queue, in the place of an earlier one. Throws KernelError. */
  filter(program: number): void {
    const set = setsockopt(this.#fd, SOL_SOCKET, SO_ATTACH_BPF, encodeU32host(program), 4);
    checked(set, 'SO_ATTACH_BPF', `UDP socket, port ${this.#outer.localPort}`, 'createTunnel');
  }

  /** Follows `fou-dev` to a device of that name which has been made anew; no effect when it is the same. */
  bindAgain(): void {
    const { device } = this.#outer;
    if (device === undefined || this.#closed) return;
    const name = new TextEncoder().encode(`${device}\0`);
    const bound = setsockopt(this.#fd, SOL_SOCKET, SO_BINDTODEVICE, name, name.length);
    checked(bound, 'SO_BINDTODEVICE', `UDP socket, port ${this.#outer.localPort}`, 'fou');
  }

  /** Resolves when the packet in hand is done with. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#deaf);
    this.#watch.close();
    await this.#pumping;
    close(this.#fd);
  }

  #wake(): void {
    if (this.#closed || this.#pumping) return;
    this.#watch.want({ readable: false, writable: false });
    this.#pumping = this.#pump().finally(() => {
      this.#pumping = undefined;
      if (!this.#closed) this.#watch.want({ readable: true, writable: false });
    });
  }

  async #pump(): Promise<void> {
    for (let handled = 1; !this.#closed; handled += 1) {
      this.#takeErrors();
      const length = this.#receive(0);
      if (length < 0) return;
      const path = this.#path();
      const payload = this.#payload.slice(0, length);
      if (path) await this.#inFlight.add(this.#handlers.packet({ path, payload }));
      if (handled % PACKETS_PER_TURN === 0) await nextTurn();
    }
  }

  /**
   * Takes errors from their queue, which also clears the one that the next call would report; how many.
   * They may be forged: so many a turn, and when their budget is spent the socket is deaf to them.
   */
  #takeErrors(): number {
    for (let taken = 0; taken < ERRORS_PER_TURN; taken += 1) {
      if (this.#receive(MSG_ERRQUEUE) < 0) return taken;
      if (!this.#errorBudget.take(performance.now())) {
        this.#hearErrors(false);
        return taken + 1;
      }
      const messages = controlMessages(this.#controlBytes());
      const error = messages.map(receivedError).find(Boolean);
      const local = messages.map(arrivedAt).find(Boolean);
      if (error && local) this.#tell(local, error);
    }
    return ERRORS_PER_TURN;
  }

  /** Without it the kernel empties the queue, and no error is queued or reported by another call. */
  #hearErrors(heard: boolean): void {
    const set = setsockopt(this.#fd, IPPROTO_IP, IP_RECVERR, encodeU32host(heard ? 1 : 0), 4);
    checked(set, 'IP_RECVERR', `UDP socket, port ${this.#outer.localPort}`, 'fou');
    if (heard) return;
    this.#deaf ??= setTimeout(() => {
      this.#deaf = undefined;
      this.#hearErrors(true);
    }, DEAF_TO_ERRORS).unref();
  }

  /** The address with an error is that of the packet which it is about: where we sent it to. */
  #tell(local: OuterIp, error: IcmpError): void {
    const path = this.#pathFrom(local);
    if (path) this.#handlers.icmp(path, error);
  }

  /** Length of the payload; below 0 when there is nothing. */
  #receive(flags: number): number {
    encodeMessage(
      this.#header,
      {
        name: address(this.#name),
        iovec: address(this.#iovec),
        control: address(this.#control),
      },
      CONTROL_ROOM,
    );
    return recvmsg(this.#fd, this.#header, flags | MSG_DONTWAIT);
  }

  #controlBytes(): Uint8Array {
    return this.#control.subarray(0, Number(getU64host(this.#header, MSG_CONTROLLEN)));
  }

  /** Whom the packet came from, and which address of ours it came to. */
  #path(): Path | undefined {
    const view = new DataView(this.#control.buffer);
    for (const { offset, length } of controlMessages(this.#controlBytes())) {
      const ip = readPktinfo(view, offset, length);
      if (ip !== undefined) return this.#pathFrom(outerIpv4FromNumber(ip));
    }
    return undefined;
  }

  #pathFrom(local: OuterIp): Path | undefined {
    const remote = decodeSockaddrIn(this.#name);
    if (!remote.ok || remote.value.port === 0) return undefined;
    // Paths are kept for every peer, and nearly all of them end at the same address of ours.
    if (this.#local?.ip !== local) this.#local = { ip: local, port: this.#outer.localPort };
    return {
      local: this.#local,
      remote: { ip: remote.value.ip, port: port(remote.value.port) },
    };
  }
}
