/**
 * The tunnel's ordinary UDP sockets, one a family: what the programs let up arrives here, and what we send from the
 * tunnel's own port leaves here. They also hear of ICMP errors about any packet of the port, data
 * included, since the kernel finds the socket by the port that is quoted (IP_RECVERR of ip(7)).
 *
 * Packets are handed up in their order, PACKETS_IN_FLIGHT at most; what is more waits in the kernel's buffer.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import {
  familyOf,
  type Endpoint,
  type Family,
  type OuterIp,
  type Path,
} from '../../../core/addr.ts';
import { encodeU32host } from '../../../core/bytes.ts';
import type { OuterConfig } from '../../../core/config/tunnel-config.ts';
import type { IcmpError } from '../../../core/wire/icmp-error.ts';
import { DEAF_TO_ERRORS, ERRORS_PER_TURN, OUTER_ERROR_RATE } from '../../../core/budgets.ts';
import { unusableBy } from '../../../core/session/usable-address.ts';
import { port } from '../../../core/units.ts';
import type { ControlPacket, OutgoingControl } from '../../../ports/data-plane.ts';
import type { Log } from '../../../ports/log.ts';
import { checked, errnoName } from '../../ffi/errno.ts';
import { close, setsockopt } from '../../ffi/libc.ts';
import { watch, type Watch } from '../../ffi/poll.ts';
import { arrivedAt, receivedError, sentTo } from '../../udp/control-messages.ts';
import { sendControl, sendFailure } from '../../udp/control-sender.ts';
import { MessageReceiver, MSG_ERRQUEUE } from '../../udp/message-receiver.ts';
import { bindAgain, hearErrors, openTunnelSocket } from '../../udp/tunnel-socket.ts';
import { openInFamilies } from '../families.ts';
import { InFlight, PACKETS_IN_FLIGHT } from '../in-flight.ts';
import { TokenBucket } from '../token-bucket.ts';
import { PACKETS_PER_TURN, SEND_TRIES } from './limits.ts';

// asm-generic/socket.h
const SOL_SOCKET = 1;
const SO_ATTACH_BPF = 50;

/** More than any datagram. */
const PAYLOAD_ROOM = 65_536;

export type ControlHandlers = {
  /** Never rejects. The payload is a view that is valid until the promise settles. */
  readonly packet: (packet: ControlPacket) => Promise<void>;
  /** An ICMP error about a packet of `path`. */
  readonly icmp: (path: Path, error: IcmpError) => void;
};

/** The sockets of a tunnel: what is sent goes by that of its family. */
export class ControlSockets {
  readonly #sockets: ReadonlyMap<Family, ControlSocket>;

  constructor(
    families: readonly Family[],
    { outer, log }: { readonly outer: OuterConfig; readonly log: Log },
    handlers: ControlHandlers,
  ) {
    // One peer's packet may wait for a disk; those of others do not.
    const inFlight = new InFlight(PACKETS_IN_FLIGHT);
    const made: ControlSocket[] = [];
    try {
      this.#sockets = openInFamilies(families, { outer, log }, (family) => {
        const socket = new ControlSocket(outer, family, { ...handlers, inFlight });
        made.push(socket);
        return socket;
      });
    } catch (error) {
      for (const socket of made) void socket.close();
      throw error;
    }
  }

  /** Those that there is a socket of. */
  get families(): readonly Family[] {
    return [...this.#sockets.keys()];
  }

  /** Throws KernelError (exit `sendAuth`), also where the tunnel has no socket of the family. */
  send(packet: OutgoingControl): void {
    const socket = this.#sockets.get(familyOf(packet.path.remote.ip));
    if (socket === undefined) throw sendFailure(packet, 'EAFNOSUPPORT');
    socket.send(packet);
  }

  /** Puts a program before the sockets' queues, in the place of an earlier one. Throws KernelError. */
  filter(program: number): void {
    for (const socket of this.#sockets.values()) socket.filter(program);
  }

  /** Follows `fou-dev` to a device of that name which has been made anew; no effect when it is the same, or missing. */
  bindAgain(): void {
    for (const socket of this.#sockets.values()) socket.bindAgain();
  }

  /** Resolves when the packets in hand are done with. */
  async close(): Promise<void> {
    await Promise.all([...this.#sockets.values()].map((socket) => socket.close()));
  }
}

class ControlSocket {
  readonly #fd: number;
  readonly #family: Family;
  readonly #outer: OuterConfig;
  readonly #handlers: ControlHandlers & { readonly inFlight: InFlight };
  readonly #watch: Watch;
  readonly #receiver: MessageReceiver;
  readonly #errorBudget = new TokenBucket(OUTER_ERROR_RATE);
  /** While errors are not heard. */
  #deaf: NodeJS.Timeout | undefined;
  /** The end of ours that the last packet came to. */
  #local: Endpoint | undefined;
  #pumping: Promise<void> | undefined;
  #closed = false;

  constructor(
    outer: OuterConfig,
    family: Family,
    handlers: ControlHandlers & { readonly inFlight: InFlight },
  ) {
    const noTrains = { segmentation: false, aggregation: false };
    const { fd } = openTunnelSocket(outer, family, noTrains);
    this.#fd = fd;
    this.#family = family;
    this.#outer = outer;
    this.#handlers = handlers;
    this.#receiver = new MessageReceiver(fd, PAYLOAD_ROOM);
    try {
      this.#hearErrors(true);
      this.#watch = watch(fd, () => this.#wake());
      this.#watch.want({ readable: true, writable: false });
    } catch (error) {
      close(fd);
      throw error;
    }
  }

  send(packet: OutgoingControl): void {
    this.#takeErrors();
    let code = sendControl(this.#fd, packet);
    // Errors about earlier packets that came just now: each is reported once, in the place of a result.
    for (let again = 0; code !== 0 && again < SEND_TRIES && this.#takeErrors() > 0; again += 1) {
      code = sendControl(this.#fd, packet);
    }
    if (code !== 0) throw sendFailure(packet, errnoName(code));
  }

  filter(program: number): void {
    const set = setsockopt(this.#fd, SOL_SOCKET, SO_ATTACH_BPF, encodeU32host(program), 4);
    checked(set, 'SO_ATTACH_BPF', `UDP socket, port ${this.#outer.localPort}`, 'createTunnel');
  }

  bindAgain(): void {
    if (!this.#closed) bindAgain(this.#fd, this.#outer);
  }

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
      const length = this.#receiver.receive(0);
      if (length < 0) return;
      const local = this.#receiver.control().map(sentTo).find(Boolean);
      const path = local && this.#pathFrom(local);
      const payload = this.#receiver.payload(length).slice();
      if (path) await this.#handlers.inFlight.add(this.#handlers.packet({ path, payload }));
      if (handled % PACKETS_PER_TURN === 0) await nextTurn();
    }
  }

  /**
   * Takes errors from their queue, which also clears the one that the next call would report; how many.
   * They may be forged: so many a turn, and when their budget is spent the socket is deaf to them.
   */
  #takeErrors(): number {
    for (let taken = 0; taken < ERRORS_PER_TURN; taken += 1) {
      if (this.#receiver.receive(MSG_ERRQUEUE) < 0) return taken;
      if (!this.#errorBudget.take(performance.now())) {
        this.#hearErrors(false);
        return taken + 1;
      }
      const messages = this.#receiver.control();
      const error = messages.map(receivedError).find(Boolean);
      const local = messages.map(arrivedAt).find(Boolean);
      if (error && local) this.#tell(local, error);
    }
    return ERRORS_PER_TURN;
  }

  /** Without it the kernel empties the queue, and no error is queued or reported by another call. */
  #hearErrors(heard: boolean): void {
    const set = hearErrors(this.#fd, this.#family, heard);
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

  #pathFrom(local: OuterIp): Path | undefined {
    const remote = this.#receiver.name();
    if (remote === undefined || remote.port === 0) return undefined;
    // An IPv4-mapped address of an IPv6 packet comes out as the IPv4 one; a link-local one has no answer here.
    const ours = [remote.ip, local].every((ip) => familyOf(ip) === this.#family);
    if (!ours || unusableBy(remote.ip) === 'link-local') return undefined;
    // Paths are kept for every peer, and nearly all of them end at the same address of ours.
    if (this.#local?.ip !== local) this.#local = { ip: local, port: this.#outer.localPort };
    return { local: this.#local, remote: { ip: remote.ip, port: port(remote.port) } };
  }
}
