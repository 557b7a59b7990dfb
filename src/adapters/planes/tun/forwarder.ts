/**
 * The forwarding loop: two descriptors, level-triggered readiness, one batch after another.
 *
 *     device ── readBatch ─→ slots ── sendmmsg ─→ socket     to the admitted peer
 *     socket ── recvmmsg ──→ slots ── writeBatch ─→ device    data, from exactly an admitted path
 *                              └─ copy, rate-limited ─→ session    everything else
 *
 * Fail closed: a packet reaches the device only when its local address, remote address and remote
 * port are those of an admitted peer (the local port is the socket's) and its payload is an IPv4
 * packet. Nothing is kept between turns, so an eviction takes effect with the next packet. A failing
 * system call costs its packet and is counted; it never ends the loop.
 */
import { ipv4FromNumber, type Path } from '../../../core/addr.ts';
import type { Port } from '../../../core/units.ts';
import { DEFAULT_PEER } from '../../../core/config/tunnel-config.ts';
import type { PeerId } from '../../../ports/data-plane.ts';
import { EAGAIN, EINTR, ENOBUFS, errnoName } from '../../ffi/errno.ts';
import { address, errno, recvmmsg, sendmmsg } from '../../ffi/libc.ts';
import { onReadable, type Readiness } from '../../ffi/poll.ts';
import { isData } from './classify.ts';
import { sendControl } from './control-sender.ts';
import type { Loss, SharedCounters } from './counters.ts';
import { BATCHES_PER_TURN, CONTROL_RATES, MAX_PENDING_CONTROL, TROUBLE_RATE } from './limits.ts';
import { MessageBatch } from './message-batch.ts';
import { BATCH_PACKETS, packetBatch, SLOT_BYTES } from './packet-batch.ts';
import { PeerTable, type Peer } from './peer-table.ts';
import { TokenBucket } from './token-bucket.ts';
import { TunChannel } from './tun-device.ts';

/** bits/socket.h */
const MSG_DONTWAIT = 0x40;
/** asm-generic/errno.h */
const EMSGSIZE = 90;

/** What the loop tells its owner; every callback is bounded and rate-limited. */
export interface ForwarderEvents {
  /** `payload` is a copy. Answer with `handled` in any case. */
  control(path: Path, payload: Uint8Array): void;
  trouble(operation: string, errno: string, loss: Loss): void;
  tooBig(): void;
  /** The device is gone; it is not watched any more until `setDevice`. */
  deviceLost(): void;
}

export type ForwarderOptions = {
  readonly tunFd: number;
  readonly udpFd: number;
  readonly localPort: Port;
  readonly authLengths: ReadonlySet<number>;
  readonly counters: SharedCounters;
  readonly events: ForwarderEvents;
  /** Monotonic milliseconds. */
  readonly now: () => number;
};

export class Forwarder {
  readonly #options: ForwarderOptions;
  readonly #peers = new PeerTable(address);
  readonly #outgoing = new MessageBatch(packetBatch(BATCH_PACKETS, SLOT_BYTES), address);
  readonly #incoming = new MessageBatch(packetBatch(BATCH_PACKETS, SLOT_BYTES), address);
  /** The peer of each prepared outgoing message. */
  readonly #targets: (Peer | undefined)[] = Array.from({ length: BATCH_PACKETS }, () => undefined);
  readonly #buckets: Readonly<Record<keyof typeof CONTROL_RATES, TokenBucket>>;
  readonly #troubles: TokenBucket;
  readonly #tooBigs: TokenBucket;
  #pendingControl = 0;
  #tun: TunChannel;
  #tunReady: Readiness | undefined;
  #udpReady: Readiness | undefined;

  constructor(options: ForwarderOptions) {
    this.#options = options;
    const now = options.now();
    this.#buckets = {
      admitted: new TokenBucket(CONTROL_RATES.admitted, now),
      strangerAuth: new TokenBucket(CONTROL_RATES.strangerAuth, now),
      strangerOther: new TokenBucket(CONTROL_RATES.strangerOther, now),
    };
    this.#troubles = new TokenBucket(TROUBLE_RATE, now);
    this.#tooBigs = new TokenBucket({ perSecond: 1, burst: 1 }, now);
    this.#tun = this.#channel(options.tunFd);
    this.#watchDevice(options.tunFd);
    this.#watchSocket();
  }

  /** false when another peer has the path. */
  admit(peer: PeerId, slot: number, path: Path): boolean {
    return this.#peers.admit(peer, slot, path);
  }

  evict(peer: PeerId): void {
    this.#peers.evict(peer);
  }

  /** Sends one control packet from the tunnel's port; errno, or 0. */
  send(path: Path, payload: Uint8Array, ttl: number | undefined): number {
    return sendControl(this.#options.udpFd, { path, payload, ttl });
  }

  /** The device is behind this descriptor now. */
  setDevice(fd: number): void {
    this.#tunReady?.close();
    this.#tun = this.#channel(fd);
    this.#watchDevice(fd);
  }

  /** The session is done with a control packet; it is let through if it turns out to be data. */
  handled(path: Path, payload: Uint8Array): void {
    this.#pendingControl -= 1;
    const { length } = payload;
    const slot = this.#incoming.batch.slots[0];
    const peer = this.#peers.find(path);
    if (!peer || !slot || !isData(payload, length, this.#options.authLengths)) return;
    slot.set(payload);
    this.#incoming.rewind();
    this.#incoming.batch.lengths[0] = length;
    this.#incoming.batch.count = 1;
    this.#tally(peer, length);
    this.#tun.writeBatch(this.#incoming.batch);
    this.#flush(peer);
  }

  /** Lets go of both descriptors; no call touches them after this. */
  stop(): void {
    this.#tunReady?.close();
    this.#udpReady?.close();
    this.#tunReady = undefined;
    this.#udpReady = undefined;
  }

  #channel(fd: number): TunChannel {
    return new TunChannel(fd, (operation, code) => {
      this.#lose('deviceRefused', operation, code);
    });
  }

  #watchDevice(fd: number): void {
    this.#tunReady = onReadable(fd, (status) => {
      if (status < 0) this.#loseDevice();
      else this.#fromDevice();
    });
  }

  #watchSocket(): void {
    this.#udpReady?.close();
    this.#udpReady = onReadable(this.#options.udpFd, (status) => {
      this.#fromSocket();
      // An error was reported, and taken by the receive above: libuv has to be asked to go on.
      if (status < 0) this.#watchSocket();
    });
  }

  #loseDevice(): void {
    this.#tunReady?.close();
    this.#tunReady = undefined;
    this.#options.events.deviceLost();
  }

  #fromDevice(): void {
    for (let round = 0; round < BATCHES_PER_TURN; round += 1) {
      const count = this.#tun.readBatch(this.#outgoing.batch);
      if (count > 0) this.#sendBatch();
      if (this.#tun.broken) {
        this.#loseDevice();
        return;
      }
      if (count < BATCH_PACKETS) return;
    }
  }

  /** Who a packet from the device is for. With one peer to a tunnel, everything is for that one. */
  #recipient(_packet: Uint8Array): Peer | undefined {
    return this.#peers.get(DEFAULT_PEER);
  }

  #sendBatch(): void {
    const { batch } = this.#outgoing;
    const { counters } = this.#options;
    this.#outgoing.clear();
    for (let slot = 0; slot < batch.count; slot += 1) {
      const packet = batch.slots[slot];
      if (!packet || (packet[0] ?? 0) >> 4 !== 4) {
        counters.lost('notIpv4');
        continue;
      }
      const peer = this.#recipient(packet);
      if (!peer) {
        counters.lost('noPeer');
        continue;
      }
      this.#targets[this.#outgoing.prepared] = peer;
      this.#outgoing.prepare(slot, peer.destination);
    }
    this.#sendPrepared();
    this.#flushAll();
  }

  #sendPrepared(): void {
    const total = this.#outgoing.prepared;
    let next = 0;
    while (next < total) {
      const vector = this.#outgoing.tails[next];
      if (!vector) return;
      const sent = sendmmsg(this.#options.udpFd, vector, total - next, MSG_DONTWAIT);
      if (sent > 0) {
        this.#tallySent(next, next + sent);
        next += sent;
        continue;
      }
      const code = errno();
      if (code === EINTR) continue;
      if (code === EAGAIN) {
        this.#options.counters.lost('sendBufferFull', total - next);
        return;
      }
      this.#loseSend(code);
      next += 1;
    }
  }

  #loseSend(code: number): void {
    if (code === EMSGSIZE) {
      this.#options.counters.lost('tooBig');
      if (this.#tooBigs.take(this.#options.now())) this.#options.events.tooBig();
    } else if (code === ENOBUFS) {
      this.#options.counters.lost('sendBufferFull');
    } else {
      this.#lose('sendFailed', 'sendmmsg', code);
    }
  }

  #tallySent(from: number, to: number): void {
    for (let message = from; message < to; message += 1) {
      const peer = this.#targets[message];
      if (!peer) continue;
      peer.txPackets += 1;
      peer.txBytes += this.#outgoing.batch.lengths[this.#outgoing.slotOf(message)] ?? 0;
    }
  }

  #fromSocket(): void {
    for (let round = 0; round < BATCHES_PER_TURN; round += 1) {
      this.#incoming.rewind();
      const count = recvmmsg(
        this.#options.udpFd,
        this.#incoming.vector,
        BATCH_PACKETS,
        MSG_DONTWAIT,
        null,
      );
      if (count < 0) {
        const code = errno();
        if (code !== EAGAIN && code !== EINTR) this.#report('recvmmsg', code, 'stranger');
        return;
      }
      this.#incoming.received(count);
      for (let index = 0; index < count; index += 1) this.#sort(index);
      this.#tun.writeBatch(this.#incoming.batch);
      this.#flushAll();
      if (count < BATCH_PACKETS) return;
    }
  }

  /** Leaves a received packet in its slot if it is data, else empties the slot. */
  #sort(index: number): void {
    const { batch } = this.#incoming;
    const packet = batch.slots[index];
    const length = batch.lengths[index] ?? 0;
    const localIp = this.#incoming.destinationIp(index);
    if (!packet || localIp === undefined) {
      batch.lengths[index] = 0;
      this.#options.counters.lost('stranger');
      return;
    }
    const remoteIp = this.#incoming.sourceIp(index);
    const remotePort = this.#incoming.sourcePort(index);
    const peer = this.#peers.at(localIp, remoteIp, remotePort);
    if (peer && isData(packet, length, this.#options.authLengths)) {
      this.#tally(peer, length);
      return;
    }
    batch.lengths[index] = 0;
    if (!this.#mayGoUp(peer !== undefined, length) || remotePort === 0) {
      this.#options.counters.lost(peer ? 'control' : 'stranger');
      return;
    }
    this.#pendingControl += 1;
    const path = {
      local: { ip: ipv4FromNumber(localIp), port: this.#options.localPort },
      remote: { ip: ipv4FromNumber(remoteIp), port: remotePort as Port },
    };
    this.#options.events.control(path, packet.slice(0, length));
  }

  #mayGoUp(admitted: boolean, length: number): boolean {
    if (this.#pendingControl >= MAX_PENDING_CONTROL) return false;
    const stranger = this.#options.authLengths.has(length) ? 'strangerAuth' : 'strangerOther';
    return this.#buckets[admitted ? 'admitted' : stranger].take(this.#options.now());
  }

  #tally(peer: Peer, bytes: number): void {
    peer.rxPackets += 1;
    peer.rxBytes += bytes;
  }

  #flushAll(): void {
    for (const peer of this.#peers.all()) this.#flush(peer);
  }

  #flush(peer: Peer): void {
    const { counters } = this.#options;
    if (peer.rxPackets > 0) counters.received(peer.slot, peer.rxPackets, peer.rxBytes);
    if (peer.txPackets > 0) counters.sent(peer.slot, peer.txPackets, peer.txBytes);
    peer.rxPackets = 0;
    peer.rxBytes = 0;
    peer.txPackets = 0;
    peer.txBytes = 0;
  }

  #lose(loss: Loss, operation: string, code: number): void {
    this.#options.counters.lost(loss);
    this.#report(operation, code, loss);
  }

  #report(operation: string, code: number, loss: Loss): void {
    if (!this.#troubles.take(this.#options.now())) return;
    this.#options.events.trouble(operation, errnoName(code), loss);
  }
}
