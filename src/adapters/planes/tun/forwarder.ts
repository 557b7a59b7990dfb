/**
 * The forwarding loop: two descriptors, level-triggered readiness, one bounded turn after another, in
 * two directions (outbound.ts, inbound.ts). A direction whose way out is full waits for that, and
 * its way in is not watched meanwhile:
 *
 *     outbound   device readable ─→ turn ─→ full: the socket writable ─→ turn …
 *     inbound    socket readable ─→ turn ─→ full: the device writable ─→ turn …
 *
 * Nothing about peers is kept between turns, so an eviction takes effect with the next packet. A failing
 * system call costs its packet and is counted; it never ends the loop.
 */
import { ipv4ToNumber, type Path } from '../../../core/addr.ts';
import { millis, type Port } from '../../../core/units.ts';
import type { OutgoingControl, PeerId } from '../../../ports/data-plane.ts';
import { errnoName } from '../../ffi/errno.ts';
import { watch, type Interest, type Watch } from '../../ffi/poll.ts';
import { ControlGate } from './control-gate.ts';
import { sendControl } from '../../udp/control-sender.ts';
import type { Loss, SharedCounters } from './counters.ts';
import { DeviceChannel } from './device-channel.ts';
import { Inbound } from './inbound.ts';
import { TOO_BIG_RATE, TROUBLE_RATE } from '../../../core/budgets.ts';
import type { Offloads } from './offloads.ts';
import { Outbound } from './outbound.ts';
import { PACKET_CALLS } from './packet-calls.ts';
import { Storm } from './storm.ts';
import { setSocketFilter } from '../../udp/socket-filter.ts';
import { PeerTable, type MemberSpec } from './peer-table.ts';
import { TokenBucket } from '../token-bucket.ts';

/** What the loop tells its owner; every callback is bounded and rate-limited. */
export interface ForwarderEvents {
  /** `payload` is a copy. Answer with `handled` in any case. */
  control(path: Path, payload: Uint8Array): void;
  trouble(operation: string, errno: string, loss: Loss): void;
  /** Its path takes less than it did. */
  tooBig(peer: PeerId): void;
  /** The device is gone; it is not watched any more until `setDevice`. */
  deviceLost(): void;
}

export type ForwarderOptions = {
  readonly tunFd: number;
  /** Of the device, bytes. */
  readonly mtu: number;
  readonly udpFd: number;
  readonly localPort: Port;
  readonly authLengths: ReadonlySet<number>;
  /** What device and socket were made with. */
  readonly offloads: Offloads;
  readonly counters: SharedCounters;
  readonly events: ForwarderEvents;
  /** Monotonic milliseconds of the main thread's clock. */
  readonly now: () => number;
};

export class Forwarder {
  readonly #options: ForwarderOptions;
  readonly #peers = new PeerTable();
  readonly #gate: ControlGate;
  readonly #storm: Storm;
  readonly #outbound: Outbound;
  readonly #inbound: Inbound;
  readonly #troubles = new TokenBucket(TROUBLE_RATE);
  readonly #tooBigs = new TokenBucket(TOO_BIG_RATE);
  readonly #socket: Watch;
  #device: Watch | undefined;
  #mtu: number;
  /** Whether a direction waits for its way out. */
  #outboundFull = false;
  #inboundFull = false;

  constructor(options: ForwarderOptions) {
    this.#options = options;
    this.#mtu = options.mtu;
    const { udpFd, localPort, authLengths, counters, events, now, offloads } = options;
    this.#gate = new ControlGate(authLengths, this.#peers.hints, () => millis(now()));
    this.#storm = new Storm({
      now,
      facts: () => ({ sources: this.#gate.addresses, hints: this.#peers.hints.firstWords() }),
      attach: (filter) => setSocketFilter(udpFd, filter),
    });
    const lose = (loss: Loss, operation: string, code: number, packets = 1): void => {
      this.#lose(loss, operation, code, packets);
    };
    const common = { udpFd, peers: this.#peers, counters, calls: PACKET_CALLS, lose };
    const channel = this.#channel(options.tunFd);
    this.#outbound = new Outbound(channel, {
      ...common,
      trains: offloads.segmentation,
      tooBig: (peer) => {
        if (this.#tooBigs.take(now())) events.tooBig(peer.member.id);
      },
    });
    this.#inbound = new Inbound(channel, {
      ...common,
      localPort,
      authLengths,
      trains: offloads.aggregation,
      gate: this.#gate,
      stranger: () => {
        this.#storm.packet();
      },
      control: (path, payload) => {
        events.control(path, payload);
      },
    });
    this.#socket = watch(udpFd, (ready) => {
      this.#onSocket(ready);
    });
    this.#watchDevice(options.tunFd);
    this.#rearm();
  }

  configure(members: readonly MemberSpec[]): void {
    for (const member of members) this.#peers.configure(member);
    this.#storm.changed();
  }

  remove(peers: readonly PeerId[]): void {
    for (const peer of peers) this.#peers.remove(peer);
  }

  /** false when another peer has the path. */
  admit(peer: PeerId, slot: number, path: Path): boolean {
    if (!this.#peers.admit(peer, slot, path)) return false;
    this.#gate.remember(ipv4ToNumber(path.remote.ip));
    this.#storm.changed();
    return true;
  }

  evict(peer: PeerId): void {
    this.#peers.evict(peer);
  }

  /** Sends one control packet from the tunnel's port; errno, or 0. */
  send(packet: OutgoingControl): number {
    return sendControl(this.#options.udpFd, packet);
  }

  /** The device is behind this descriptor now. */
  setDevice(fd: number): void {
    this.#device?.close();
    const channel = this.#channel(fd);
    this.#outbound.device = channel;
    this.#inbound.device = channel;
    this.#watchDevice(fd);
    this.#rearm();
  }

  /** The device has this MTU now, bytes. */
  setMtu(mtu: number): void {
    this.#mtu = mtu;
    this.#inbound.device.mtu = mtu;
  }

  /** The session is done with a control packet; it is let through if it turns out to be data. */
  handled(path: Path, payload: Uint8Array): void {
    this.#gate.settled();
    this.#inbound.letThrough(path, payload);
    this.#count();
  }

  /** Lets go of both descriptors; no call touches them after this. Does nothing a second time. */
  stop(): void {
    this.#storm.close();
    this.#device?.close();
    this.#device = undefined;
    this.#socket.close();
  }

  #channel(fd: number): DeviceChannel {
    return new DeviceChannel(fd, this.#options.offloads.vnetHeader, this.#mtu, PACKET_CALLS);
  }

  #watchDevice(fd: number): void {
    this.#device = watch(fd, (ready) => {
      if (ready === 'error') {
        this.#loseDevice();
        return;
      }
      if (ready.writable) this.#turnInbound();
      if (ready.readable) this.#turnOutbound();
      this.#rearm();
    });
  }

  #onSocket(ready: Interest | 'error'): void {
    // An error that was reported is taken by the next call on the socket.
    if (ready === 'error' || ready.readable) this.#turnInbound();
    if (ready === 'error' || ready.writable) this.#turnOutbound();
    this.#rearm();
  }

  #turnOutbound(): void {
    const state = this.#outbound.turn();
    this.#count();
    this.#outboundFull = state === 'full';
    if (state === 'device-lost') this.#loseDevice();
  }

  #turnInbound(): void {
    const state = this.#inbound.turn();
    this.#count();
    this.#inboundFull = state === 'full';
  }

  #count(): void {
    this.#peers.count(this.#options.counters, this.#options.now());
  }

  /** Waits for what each direction needs to go on. */
  #rearm(): void {
    this.#device?.want({ readable: !this.#outboundFull, writable: this.#inboundFull });
    this.#socket.want({ readable: !this.#inboundFull, writable: this.#outboundFull });
  }

  #loseDevice(): void {
    this.#device?.close();
    this.#device = undefined;
    this.#inboundFull = false;
    this.#options.events.deviceLost();
  }

  #lose(loss: Loss, operation: string, code: number, packets: number): void {
    this.#options.counters.lost(loss, packets);
    if (!this.#troubles.take(this.#options.now())) return;
    this.#options.events.trouble(operation, errnoName(code), loss);
  }
}
