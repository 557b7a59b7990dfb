/**
 * The forwarding loop: the device, and a socket of each family outside; level-triggered readiness, one bounded turn
 * after another, in two directions (outbound.ts, inbound.ts). A direction whose way out is full waits for that, and
 * its way in is not watched meanwhile:
 *
 *     outbound   device readable ─→ turn ─→ full: a socket writable ─→ turn …
 *     inbound    socket readable ─→ turn ─→ full: the device writable ─→ turn …
 *
 * Nothing about peers is kept between turns, so an eviction takes effect with the next packet. A failing
 * system call costs its packet and is counted; it never ends the loop.
 */
import type { InitKeys } from '../../../core/handshake/keys.ts';
import {
  familyOf,
  ipv4ToNumber,
  type Family,
  type InnerIp,
  type OuterIp,
  type Path,
} from '../../../core/addr.ts';
import { millis, type Port } from '../../../core/units.ts';
import type { TagKeys } from '../../../core/tag/types.ts';
import type { Carried } from '../../../core/wire/inner-packet.ts';
import type { OutgoingControl, PeerId } from '../../../ports/data-plane.ts';
import { errnoName } from '../../ffi/errno.ts';
import { watch, type Interest, type Watch } from '../../ffi/poll.ts';
import { Arena } from './arena.ts';
import { ControlGate } from './control-gate.ts';
import { sendControl, type Discovery } from '../../udp/control-sender.ts';
import type { TunnelSocket } from '../../udp/tunnel-socket.ts';
import type { Loss, SharedCounters } from './counters.ts';
import { DeviceChannel } from './device-channel.ts';
import { FirstMessages } from '../first-messages.ts';
import { icmpAnswer, type Refusal } from './icmp-answer.ts';
import { Inbound } from './inbound.ts';
import { ipv6Words } from './ipv6-words.ts';
import { INNER_ERROR_RATE, TOO_BIG_RATE, TROUBLE_RATE } from '../../../core/budgets.ts';
import { Outbound } from './outbound.ts';
import { PACKET_CALLS } from './packet-calls.ts';
import { Sender } from './sender.ts';
import { Storm } from './storm.ts';
import type { StormFacts } from './storm-filter.ts';
import { socketBacklog } from '../../udp/socket-backlog.ts';
import { setSocketFilter } from '../../udp/socket-filter.ts';
import { PeerTable, type MemberSpec, type Peer } from './peer-table.ts';
import { INDEX_TAKEN } from './worker-protocol.ts';
import { TokenBucket } from '../token-bucket.ts';

/** What the loop tells its owner; every callback is bounded and rate-limited. */
export interface ForwarderEvents {
  /** `payload` is a copy. Answer with `handled` in any case. */
  control(path: Path, payload: Uint8Array): void;
  trouble(operation: string, errno: string, loss: Loss): void;
  /** Its path takes less than it did. */
  tooBig(peer: PeerId): void;
  /** A packet of its, proved by its tag, has come from elsewhere. */
  roamed(peer: PeerId, path: Path): void;
  /** The device is gone; it is not watched any more until `setDevice`. */
  deviceLost(): void;
}

export type ForwarderOptions = {
  readonly tunFd: number;
  /** Of the device, bytes. */
  readonly mtu: number;
  /** What the device was made with. */
  readonly vnetHeader: boolean;
  /** One a family, one at least. */
  readonly sockets: readonly TunnelSocket[];
  readonly localPort: Port;
  readonly authLengths: ReadonlySet<number>;
  /** See PlaneContext. */
  readonly initKeys: InitKeys | undefined;
  readonly carried: Carried;
  /** This end's own inner addresses. */
  readonly innerIps: readonly InnerIp[];
  readonly counters: SharedCounters;
  readonly events: ForwarderEvents;
  /** Monotonic milliseconds of the main thread's clock. */
  readonly now: () => number;
};

/** A socket with what comes in by it and what goes out. */
type Side = {
  readonly family: Family;
  readonly fd: number;
  readonly discovery: Discovery | undefined;
  readonly inbound: Inbound;
  readonly sender: Sender;
  readonly storm: Storm;
  readonly watch: Watch;
  /** Whether what comes in waits for the device. */
  full: boolean;
};

/** Bytes of the longest ICMP error, and some to spare. */
const ANSWER_BYTES = 2048;
/** asm-generic/errno.h */
const EAFNOSUPPORT = 97;

export class Forwarder {
  readonly #options: ForwarderOptions;
  readonly #peers = new PeerTable();
  readonly #gate: ControlGate;
  readonly #firstMessages: FirstMessages;
  readonly #outbound: Outbound;
  readonly #sides: readonly Side[];
  readonly #troubles = new TokenBucket(TROUBLE_RATE);
  readonly #tooBigs = new TokenBucket(TOO_BIG_RATE);
  readonly #innerErrors = new TokenBucket(INNER_ERROR_RATE);
  readonly #answer = new Arena(ANSWER_BYTES, PACKET_CALLS.address);
  #device: Watch | undefined;
  #mtu: number;
  /** Whether what goes out waits for a socket. */
  #outboundFull = false;

  constructor(options: ForwarderOptions) {
    this.#options = options;
    this.#mtu = options.mtu;
    const { authLengths, carried, counters, now, sockets, tunFd } = options;
    this.#firstMessages = new FirstMessages(options.initKeys, () => millis(now()));
    this.#gate = new ControlGate(authLengths, this.#peers.hints, () => millis(now()));
    const channel = this.#channel(tunFd);
    const senders = sockets.map((socket) => this.#sender(socket));
    this.#outbound = new Outbound(channel, {
      senders,
      carried,
      peers: this.#peers,
      counters,
      calls: PACKET_CALLS,
      lose: this.#lose,
      refuse: (packet, why) => {
        this.#tellInner(packet, why);
      },
    });
    this.#sides = senders.map((sender, index) => this.#side(sender, channel, sockets[index]));
    this.#watchDevice(tunFd);
    this.#rearm();
  }

  #sender({ family, fd: udpFd, segmentation: trains, discovery }: TunnelSocket): Sender {
    const { counters, events, now } = this.#options;
    const tooBig = ({ member }: Peer): void => {
      if (this.#tooBigs.take(now())) events.tooBig(member.id);
    };
    const common = { peers: this.#peers, counters, calls: PACKET_CALLS, lose: this.#lose };
    const fragments = discovery === 'fragment';
    return new Sender({ ...common, family, udpFd, trains, fragments, tooBig });
  }

  #side(sender: Sender, channel: DeviceChannel, socket: TunnelSocket | undefined): Side {
    const { authLengths, carried, counters, events, localPort, now } = this.#options;
    const { family, udpFd } = sender;
    const storm = new Storm({
      now,
      facts: () => this.#stormFacts(family),
      tested: () => this.#firstMessages.keys !== undefined,
      backlog: () => socketBacklog(udpFd),
      attach: (filter) => setSocketFilter(udpFd, filter),
    });
    const inbound = new Inbound(channel, {
      family,
      udpFd,
      carried,
      localPort,
      authLengths,
      counters,
      peers: this.#peers,
      calls: PACKET_CALLS,
      lose: this.#lose,
      trains: socket?.aggregation === true,
      gate: this.#gate,
      stranger: (first) => {
        storm.packet(first);
      },
      firstMessages: this.#firstMessages,
      asked: () => {
        storm.changed();
      },
      now,
      roamed: ({ member }, path) => {
        events.roamed(member.id, path);
      },
      control: (path, payload) => {
        events.control(path, payload);
      },
    });
    const side: Side = {
      family,
      fd: udpFd,
      discovery: socket?.discovery,
      inbound,
      sender,
      storm,
      full: false,
      watch: watch(udpFd, (ready) => {
        this.#onSocket(side, ready);
      }),
    };
    return side;
  }

  #stormFacts(family: Family): StormFacts {
    const { carried } = this.#options;
    const versions = [...(carried.ipv4 ? [4] : []), ...(carried.ipv6 ? [6] : [])];
    const hints = this.#peers.hints.firstWords();
    const heads = [...this.#peers.tags.heads()];
    return family === 'ipv4'
      ? { family, sources: this.#gate.addresses, hints, versions, heads }
      : { family, sources: [], networks: this.#gate.networks, hints, versions, heads };
  }

  configure(members: readonly MemberSpec[]): void {
    for (const member of members) this.#peers.configure(member);
    this.#changed();
  }

  remove(peers: readonly PeerId[]): void {
    for (const peer of peers) this.#peers.remove(peer);
  }

  /**
   * The name of the errno that keeps it from being done: another peer has the path or an index, or no socket is of its
   * family.
   */
  admit(peer: PeerId, slot: number, path: Path, tags?: TagKeys): string | undefined {
    const { ip } = path.remote;
    const family = familyOf(ip);
    if (!this.#sideOf(family)) return errnoName(EAFNOSUPPORT);
    const held = this.#peers.admit(peer, slot, path, tags);
    if (held !== undefined) return held === 'path' ? 'EADDRINUSE' : INDEX_TAKEN;
    this.#remember(ip, family);
    this.#changed();
    return undefined;
  }

  #remember(ip: OuterIp, family: Family): void {
    if (family === 'ipv4') this.#gate.remember(ipv4ToNumber(ip));
    else this.#gate.rememberNetwork(ipv6Words(ip));
  }

  evict(peer: PeerId): void {
    this.#peers.evict(peer);
  }

  /** Largest inner packets on the paths to peers, bytes; undefined: not known. */
  resize(sizes: readonly (readonly [PeerId, number | undefined])[]): void {
    for (const [peer, mtu] of sizes) this.#peers.resize(peer, mtu);
  }

  setInitKeys(keys: InitKeys | undefined): void {
    this.#firstMessages.keys = keys;
    this.#changed();
  }

  /** Sends one control packet from the tunnel's port; errno, or 0. */
  send(packet: OutgoingControl): number {
    const side = this.#sideOf(familyOf(packet.path.remote.ip));
    return side ? sendControl(side.fd, packet, side.discovery) : EAFNOSUPPORT;
  }

  /** The device is behind this descriptor now. */
  setDevice(fd: number): void {
    this.#device?.close();
    const channel = this.#channel(fd);
    this.#outbound.device = channel;
    for (const { inbound } of this.#sides) inbound.device = channel;
    this.#watchDevice(fd);
    this.#rearm();
  }

  /** The device has this MTU now, bytes. */
  setMtu(mtu: number): void {
    this.#mtu = mtu;
    this.#outbound.device.mtu = mtu;
  }

  /** The session is done with a control packet; it is let through if it turns out to be data. */
  handled(path: Path, payload: Uint8Array): void {
    this.#gate.settled();
    this.#sideOf(familyOf(path.remote.ip))?.inbound.letThrough(path, payload);
    this.#count();
  }

  /** Lets go of all descriptors; no call touches them after this. Does nothing a second time. */
  stop(): void {
    for (const { storm } of this.#sides) storm.close();
    this.#device?.close();
    this.#device = undefined;
    for (const side of this.#sides) side.watch.close();
  }

  #sideOf(family: Family): Side | undefined {
    return this.#sides.find((side) => side.family === family);
  }

  /** What filters go by has changed. */
  #changed(): void {
    for (const { storm } of this.#sides) storm.changed();
  }

  #channel(fd: number): DeviceChannel {
    return new DeviceChannel(fd, this.#options.vnetHeader, this.#mtu, PACKET_CALLS);
  }

  #watchDevice(fd: number): void {
    this.#device = watch(fd, (ready) => {
      if (ready === 'error') {
        this.#loseDevice();
        return;
      }
      if (ready.writable) for (const side of this.#sides) this.#turnInbound(side);
      if (ready.readable) this.#turnOutbound();
      this.#rearm();
    });
  }

  #onSocket(side: Side, ready: Interest | 'error'): void {
    // An error that was reported is taken by the next call on the socket.
    if (ready === 'error' || ready.readable) this.#turnInbound(side);
    if (ready === 'error' || ready.writable) this.#turnOutbound();
    this.#rearm();
  }

  #turnOutbound(): void {
    const state = this.#outbound.turn();
    this.#count();
    this.#outboundFull = state === 'full';
    if (state === 'device-lost') this.#loseDevice();
  }

  #turnInbound(side: Side): void {
    const state = side.inbound.turn();
    this.#count();
    side.full = state === 'full';
  }

  #count(): void {
    this.#peers.count(this.#options.counters, this.#options.now());
  }

  /** Waits for what each direction needs to go on. */
  #rearm(): void {
    const writable = this.#sides.some(({ full }) => full);
    this.#device?.want({ readable: !this.#outboundFull, writable });
    for (const { full, sender, watch: socket } of this.#sides) {
      socket.want({ readable: !full, writable: this.#outboundFull && sender.full });
    }
  }

  #loseDevice(): void {
    this.#device?.close();
    this.#device = undefined;
    for (const side of this.#sides) side.full = false;
    this.#options.events.deviceLost();
  }

  /** Tells who sent a packet into the tunnel why it does not go on. */
  #tellInner(packet: Uint8Array, why: Refusal): void {
    const { innerIps, now } = this.#options;
    if (!this.#innerErrors.take(now())) return;
    const answer = icmpAnswer(packet, why, innerIps);
    if (!answer) return;
    this.#answer.bytes.set(answer);
    this.#outbound.device.write(this.#answer, 0, answer.length);
  }

  readonly #lose = (loss: Loss, operation: string, code: number, packets = 1): void => {
    this.#options.counters.lost(loss, packets);
    if (!this.#troubles.take(this.#options.now())) return;
    this.#options.events.trouble(operation, errnoName(code), loss);
  };
}
