/**
 * From the socket to the device.
 *
 *     socket ── recvmmsg ─→ InboundBatch ─ data of an admitted peer ─→ Coalescer ── writev ─→ device
 *                                └──────── everything else, rate-limited, a copy ─→ session
 *
 * Fail closed: a packet reaches the device only when its local address, remote address and remote
 * port are those of an admitted peer (the local port is the socket's) and its payload is an IPv4
 * packet from an inner source that is that peer's own. When the device is full, what was received stays
 * where it is, nothing more is received, and `turn` goes on from there when it is called again.
 */
import { outerIpv4FromNumber, type Path } from '../../../core/addr.ts';
import type { Port } from '../../../core/units.ts';
import { HINT_LENGTH, HINT_OFFSET } from '../../../core/auth/trailer.ts';
import { EAGAIN, EINTR } from '../../ffi/errno.ts';
import { Arena } from './arena.ts';
import { IPV4_ALONE, isData } from '../../../core/wire/inner-packet.ts';
import { Coalescer } from './coalescing.ts';
import type { ControlGate } from './control-gate.ts';
import type { Loss, SharedCounters } from './counters.ts';
import type { DeviceChannel } from './device-channel.ts';
import { InboundBatch, MESSAGE_BYTES } from './inbound-batch.ts';
import { BATCHES_PER_TURN, INBOUND_MESSAGES } from './limits.ts';
import type { PacketCalls } from './packet-calls.ts';
import type { Peer, PeerTable } from './peer-table.ts';
import { IP } from './segmentation.ts';

/** bits/socket.h */
const MSG_DONTWAIT = 0x40;

/** `done`: there is nothing more now; `more`: the other direction has its turn first; `full`: the device is. */
export type InboundState = 'done' | 'more' | 'full';

export type InboundOptions = {
  readonly udpFd: number;
  readonly localPort: Port;
  /** Whether the socket has UDP_GRO. */
  readonly trains: boolean;
  readonly authLengths: ReadonlySet<number>;
  readonly peers: PeerTable;
  readonly counters: SharedCounters;
  readonly gate: ControlGate;
  /** A packet of a stranger has come. */
  readonly stranger: () => void;
  readonly calls: PacketCalls;
  /** `payload` is a copy. */
  readonly control: (path: Path, payload: Uint8Array) => void;
  readonly lose: (loss: Loss, operation: string, errno: number) => void;
};

export class Inbound {
  device: DeviceChannel;
  readonly #options: InboundOptions;
  readonly #batch: InboundBatch;
  readonly #coalescer: Coalescer;
  /** For the one packet that comes back from the session. */
  readonly #returned: Arena;
  /** The message that is looked at, whose it is, and where its next datagram begins. */
  #message = 0;
  #peer: Peer | undefined;
  #offset = 0;
  /** The next packet of the coalescer to be written. */
  #packet = 0;

  constructor(device: DeviceChannel, options: InboundOptions) {
    const { calls, trains } = options;
    this.device = device;
    this.#options = options;
    const messages = trains ? INBOUND_MESSAGES.trains : INBOUND_MESSAGES.single;
    this.#batch = new InboundBatch(messages, calls.address);
    this.#coalescer = new Coalescer(this.#batch.packets);
    this.#returned = new Arena(MESSAGE_BYTES, calls.address);
  }

  /** Moves what there is, up to a bound. */
  turn(): InboundState {
    if (!this.#drain()) return 'full';
    for (let round = 0; round < BATCHES_PER_TURN; round += 1) {
      const received = this.#receive();
      if (!this.#drain()) return 'full';
      if (received < this.#batch.capacity) return 'done';
    }
    return 'more';
  }

  /** Takes a packet that the session was shown: it goes to the device if it is a peer's data by now. */
  letThrough(path: Path, payload: Uint8Array): void {
    const { peers, authLengths } = this.#options;
    const peer = peers.find(path);
    if (!peer || !isData(payload, 0, payload.length, authLengths, IPV4_ALONE)) return;
    this.#returned.bytes.set(payload);
    if (!this.#mayEnter(peer, this.#returned.u32be(IP.source))) return;
    peers.received(peer, 1, payload.length);
    if (this.device.write(this.#returned, 0, payload.length) !== 'moved') this.#refused();
  }

  /** Messages received; 0 when there are none or the call failed. */
  #receive(): number {
    const { calls, udpFd } = this.#options;
    const batch = this.#batch;
    batch.rewind();
    this.#message = 0;
    this.#offset = 0;
    const count = calls.recvmmsg(udpFd, batch.address, batch.capacity, MSG_DONTWAIT, 0);
    if (count < 0) {
      const code = calls.errno();
      if (code !== EAGAIN && code !== EINTR) this.#options.lose('receive-failed', 'recvmmsg', code);
      return 0;
    }
    batch.received(count);
    return count;
  }

  /** Sorts and writes all that was received; false when the device is full before that. */
  #drain(): boolean {
    for (;;) {
      if (!this.#write()) return false;
      this.#coalescer.clear();
      this.#packet = 0;
      this.#sortMessages();
      if (this.#coalescer.packets === 0) return true;
    }
  }

  #write(): boolean {
    for (; this.#packet < this.#coalescer.packets; this.#packet += 1) {
      const moved = this.device.writePacket(this.#coalescer, this.#packet, this.#batch.packets);
      if (moved === 'full') return false;
      if (moved === 'failed') this.#refused();
    }
    return true;
  }

  #refused(): void {
    this.#options.lose('device', 'write', this.#options.calls.errno());
  }

  /** Sorts until the coalescer is full or nothing is left. */
  #sortMessages(): void {
    const batch = this.#batch;
    while (this.#message < batch.count) {
      const localIp = batch.destinationIp(this.#message);
      if (localIp === undefined) this.#options.counters.lost('stranger');
      else if (!this.#sortDatagrams(localIp)) return;
      this.#message += 1;
      this.#offset = 0;
    }
  }

  /** Sorts the datagrams of one message; false when the coalescer was full before its end. */
  #sortDatagrams(localIp: number): boolean {
    const message = this.#message;
    const total = this.#batch.length(message);
    const size = this.#batch.segmentSize(message);
    if (this.#offset === 0) {
      const remoteIp = this.#batch.sourceIp(message);
      this.#peer = this.#options.peers.at(localIp, remoteIp, this.#batch.sourcePort(message));
    }
    do {
      if (this.#coalescer.full) return false;
      const length = Math.min(size, total - this.#offset);
      this.#sort(message * MESSAGE_BYTES + this.#offset, length, localIp);
      this.#offset += length;
    } while (this.#offset < total);
    return true;
  }

  #sort(at: number, length: number, localIp: number): void {
    const { peers, authLengths } = this.#options;
    const peer = this.#peer;
    if (peer && isData(this.#batch.packets.bytes, at, length, authLengths, IPV4_ALONE)) {
      if (!this.#mayEnter(peer, this.#batch.packets.u32be(at + IP.source))) return;
      peers.received(peer, 1, length);
      if (this.device.headerBytes > 0) this.#coalescer.add(at, length, this.device.mtu);
      else this.#coalescer.addAlone(at, length);
      return;
    }
    this.#hand(at, length, localIp);
  }

  /** Whether the inner source is the peer's own; counted when it is not. */
  #mayEnter(peer: Peer, source: number): boolean {
    const { counters, peers } = this.#options;
    if (peers.maySend(peer, source)) return true;
    counters.lost('inner-source');
    peers.refusedSource(peer);
    return false;
  }

  /** Shows a packet that is no data to the session. */
  #hand(at: number, length: number, localIp: number): void {
    const { counters, gate, localPort, peers } = this.#options;
    const remotePort = this.#batch.sourcePort(this.#message);
    const source = this.#batch.sourceIp(this.#message);
    const peer = this.#peer;
    if (!peer) this.#options.stranger();
    if (peer && !gate.passPeer(peer)) {
      counters.lost('control');
      peers.refusedControl(peer);
      return;
    }
    if (!peer && (remotePort === 0 || !this.#passStranger(at, length, source))) {
      counters.lost('stranger');
      return;
    }
    const path = {
      local: { ip: outerIpv4FromNumber(localIp), port: localPort },
      remote: { ip: outerIpv4FromNumber(source), port: remotePort as Port },
    };
    this.#options.control(path, this.#batch.packets.bytes.slice(at, at + length));
  }

  #passStranger(at: number, length: number, source: number): boolean {
    const { packets } = this.#batch;
    const hinted = length >= HINT_OFFSET + HINT_LENGTH;
    const first = hinted ? packets.u32host(at + HINT_OFFSET) : 0;
    const second = hinted ? packets.u32host(at + HINT_OFFSET + 4) : 0;
    return this.#options.gate.passStranger(source, length, first, second);
  }
}
