/**
 * From the socket to the device.
 *
 *     socket ── recvmmsg ─→ InboundBatch ─ data of an admitted peer ─→ Coalescer ── writev ─→ device
 *                                └──────── everything else, rate-limited, a copy ─→ session
 *
 * Fail closed: a packet reaches the device only when its local address, remote address and remote
 * port are those of an admitted peer (the local port is the socket's) and its payload is an IP
 * packet of a family that the tunnel carries, from an inner source that is that peer's own. Where a peer's
 * packets carry tags, the tag says whose a packet is, and the addresses only where it comes from. There is one of
 * these for each socket, of one family outside. When the device is full, what was received stays
 * where it is, nothing more is received, and `turn` goes on from there when it is called again.
 */
import { PACKET_LENGTH, packetKind } from '../../../core/handshake/layout.ts';
import type { Family, Path } from '../../../core/addr.ts';
import type { Port } from '../../../core/units.ts';
import { HINT_LENGTH, HINT_OFFSET } from '../../../core/auth/trailer.ts';
import { TAG_LENGTH } from '../../../core/tag/layout.ts';
import { EAGAIN, EINTR } from '../../ffi/errno.ts';
import { Answers } from './answers.ts';
import { Arena } from './arena.ts';
import { isData, type Carried } from '../../../core/wire/inner-packet.ts';
import { Coalescer } from './coalescing.ts';
import type { ControlGate } from './control-gate.ts';
import type { Loss, SharedCounters } from './counters.ts';
import type { DeviceChannel } from './device-channel.ts';
import { carryOverEcn } from './ecn.ts';
import { InboundBatch, MESSAGE_BYTES } from './inbound-batch.ts';
import type { FirstMessages } from '../first-messages.ts';
import { IPV6_WORDS, isReserved } from './ipv6-words.ts';
import { BATCHES_PER_TURN, INBOUND_MESSAGES, ROAMED_EVERY } from './limits.ts';
import { IPV4_MESSAGES, IPV6_MESSAGES } from './message-shape.ts';
import { Ipv4Origin, Ipv6Origin, type Origin } from './origin.ts';
import type { PacketCalls } from './packet-calls.ts';
import type { Peer, PeerTable } from './peer-table.ts';
import { IP, IP6, ipVersion } from './segmentation.ts';
import { looksTagged, TagCheck } from './tag-check.ts';
import { Tagger, TAGGER_BYTES } from './tagger.ts';

/** bits/socket.h */
const MSG_DONTWAIT = 0x40;
/** What a tag has proved is no authentication packet, whatever its length. */
const NO_LENGTHS: ReadonlySet<number> = new Set();

/** `done`: there is nothing more now; `more`: the other direction has its turn first; `full`: the device is. */
export type InboundState = 'done' | 'more' | 'full';

export type InboundOptions = {
  readonly udpFd: number;
  /** Of the socket. */
  readonly family: Family;
  readonly carried: Carried;
  readonly localPort: Port;
  /** Whether the socket has UDP_GRO. */
  readonly trains: boolean;
  readonly authLengths: ReadonlySet<number>;
  readonly peers: PeerTable;
  readonly counters: SharedCounters;
  readonly gate: ControlGate;
  /** A packet of a stranger has come; whether it is a first message of session 2 that was tested. */
  readonly stranger: (first: boolean) => void;
  readonly firstMessages: FirstMessages;
  /** A first message with a cookie goes up: what ends its handshake must not be missed. */
  readonly asked: () => void;
  /** A packet of this peer's, proved by its tag, has come from elsewhere. */
  readonly roamed: (peer: Peer, path: Path) => void;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  readonly calls: PacketCalls;
  /** `payload` is a copy. */
  readonly control: (path: Path, payload: Uint8Array) => void;
  readonly lose: (loss: Loss, operation: string, errno: number) => void;
};

export class Inbound {
  device: DeviceChannel;
  readonly #options: InboundOptions;
  readonly #batch: InboundBatch;
  readonly #answers: Answers;
  readonly #origin: Origin;
  readonly #coalescer: Coalescer;
  readonly #check: TagCheck;
  /** For the one packet that comes back from the session. */
  readonly #returned: Arena;
  readonly #returnedTagger: Tagger;
  /** The message that is looked at, whose it is, and where its next datagram begins. */
  #message = 0;
  #peer: Peer | undefined;
  #offset = 0;
  /** Traffic class that its packets came with (ecn.ts). */
  #class = 0;
  /** An inner address. */
  readonly #address = new Uint32Array(IPV6_WORDS);
  /** The next packet of the coalescer to be written. */
  #packet = 0;

  constructor(device: DeviceChannel, options: InboundOptions) {
    const { calls, family, trains, udpFd } = options;
    this.device = device;
    this.#options = options;
    const messages = trains ? INBOUND_MESSAGES.trains : INBOUND_MESSAGES.single;
    const ipv4 = family === 'ipv4';
    const shape = ipv4 ? IPV4_MESSAGES : IPV6_MESSAGES;
    this.#batch = new InboundBatch(messages, calls.address, shape);
    this.#answers = new Answers(udpFd, shape, calls);
    this.#origin = ipv4 ? new Ipv4Origin(this.#batch) : new Ipv6Origin(this.#batch);
    this.#coalescer = new Coalescer(this.#batch.packets);
    this.#check = new TagCheck(options.peers);
    this.#returned = new Arena(MESSAGE_BYTES + TAGGER_BYTES, calls.address);
    this.#returnedTagger = new Tagger(this.#returned, MESSAGE_BYTES);
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
    const { peers, authLengths, carried } = this.#options;
    const returned = this.#returned;
    const { length } = payload;
    returned.bytes.set(payload);
    const tagged = looksTagged(returned, 0, length);
    const peer = tagged ? this.#proved(returned, length) : peers.find(path);
    if (!peer || (peer.tags !== undefined) !== tagged) return;
    const at = tagged ? TAG_LENGTH : 0;
    if (!isData(returned.bytes, at, length - at, tagged ? NO_LENGTHS : authLengths, carried))
      return;
    if (!this.#isOwn(peer, returned, at)) {
      this.#refuseSource(peer);
      return;
    }
    peers.received(peer, 1, length - at);
    if (this.device.write(returned, at, length - at) !== 'moved') this.#refused();
  }

  /** Whose the tagged packet is that has come back. */
  #proved(returned: Arena, length: number): Peer | undefined {
    const refused = this.#check.look(returned, this.#returnedTagger, 0, length);
    return refused === undefined ? this.#check.peer : undefined;
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
      this.#answers.flush();
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
      const refused = this.#offset === 0 ? this.#look() : undefined;
      if (refused !== undefined) this.#options.counters.lost(refused);
      else if (!this.#sortDatagrams()) return;
      this.#message += 1;
      this.#offset = 0;
    }
  }

  /** Looks whose the next message is; why nothing of it goes anywhere, if so. */
  #look(): Loss | undefined {
    const refused = this.#origin.look(this.#message);
    if (refused !== undefined) return refused;
    this.#peer = this.#origin.peer(this.#options.peers);
    this.#class = this.#batch.trafficClass(this.#message);
    return undefined;
  }

  /** Sorts the datagrams of one message; false when the coalescer was full before its end. */
  #sortDatagrams(): boolean {
    const message = this.#message;
    const total = this.#batch.length(message);
    const size = this.#batch.segmentSize(message);
    do {
      if (this.#coalescer.full) return false;
      const length = Math.min(size, total - this.#offset);
      this.#sort(message * MESSAGE_BYTES + this.#offset, length);
      this.#offset += length;
    } while (this.#offset < total);
    return true;
  }

  #sort(at: number, length: number): void {
    const { authLengths, carried } = this.#options;
    const peer = this.#peer;
    const { packets } = this.#batch;
    if (looksTagged(packets, at, length)) this.#sortTagged(at, length);
    else if (peer && isData(packets.bytes, at, length, authLengths, carried)) {
      if (peer.tags) this.#refuseUntagged(peer);
      else if (this.#isOwn(peer, packets, at)) this.#enter(peer, at, length);
      else if (ipVersion(packets, at) === 6 && authLengths.has(length)) this.#hand(at, length);
      else this.#refuseSource(peer);
    } else this.#hand(at, length);
  }

  #sortTagged(at: number, length: number): void {
    const { packets, tagger } = this.#batch;
    const refused = this.#check.look(packets, tagger, at, length);
    const { peer } = this.#check;
    if (refused !== undefined) {
      this.#refuseTagged(refused, at, length);
      return;
    }
    if (!peer) return;
    if (peer.member !== this.#peer?.member) this.#tellRoamed(peer);
    const inner = at + TAG_LENGTH;
    const innerBytes = length - TAG_LENGTH;
    if (!isData(packets.bytes, inner, innerBytes, NO_LENGTHS, this.#options.carried)) {
      this.#options.counters.lost('malformed');
    } else if (this.#isOwn(peer, packets, inner)) this.#enter(peer, inner, innerBytes);
    else this.#refuseSource(peer);
  }

  /** An authentication packet may look so, and the session may tell who sends under a key that is forgotten. */
  #refuseTagged(refused: Loss, at: number, length: number): void {
    const { counters, peers, stranger } = this.#options;
    const { peer } = this.#check;
    if (refused === 'unknown-session') {
      this.#hand(at, length, refused);
      return;
    }
    counters.lost(refused);
    if (!peer || peer.member !== this.#peer?.member) stranger(false);
    else if (refused === 'replayed') peers.refusedReplay(peer);
    else peers.refusedTag(peer);
  }

  #refuseUntagged(peer: Peer): void {
    this.#options.counters.lost('untagged');
    this.#options.peers.refusedUntagged(peer);
  }

  #tellRoamed(peer: Peer): void {
    const { localPort, now, roamed } = this.#options;
    const time = now();
    if (!peer.tags || this.#origin.port === 0 || time < peer.tags.roamedAt + ROAMED_EVERY) return;
    peer.tags.roamedAt = time;
    roamed(peer, this.#origin.path(localPort));
  }

  #enter(peer: Peer, at: number, length: number): void {
    const { counters, peers } = this.#options;
    peers.received(peer, 1, length);
    if (this.#class !== 0 && !carryOverEcn(this.#batch.packets, at, this.#class)) {
      counters.lost('congestion');
      return;
    }
    if (this.device.headerBytes > 0) this.#coalescer.add(at, length, this.device.mtu);
    else this.#coalescer.addAlone(at, length);
  }

  /**
   * Whether the inner source is the peer's own. That of IPv6 is no checksum, which IPv4 has and nobody sums here,
   * but as good: what only looks like a packet has none that is.
   */
  #isOwn(peer: Peer, packets: Arena, at: number): boolean {
    const { peers } = this.#options;
    if (ipVersion(packets, at) === 4) return peers.maySend(peer, packets.u32be(at + IP.source));
    this.#read(packets, at + IP6.destination);
    if (isReserved(this.#address)) return false;
    this.#read(packets, at + IP6.source);
    return peers.ipv6MaySend(peer, this.#address);
  }

  #read(packets: Arena, at: number): void {
    for (let index = 0; index < IPV6_WORDS; index += 1) {
      this.#address[index] = packets.u32host(at + index * 4);
    }
  }

  #refuseSource(peer: Peer): void {
    const { counters, peers } = this.#options;
    counters.lost('inner-source');
    peers.refusedSource(peer);
  }

  /** Shows a packet that is no data to the session; `lost`: what it is counted as where there is no budget. */
  #hand(at: number, length: number, lost?: Loss): void {
    const { counters, firstMessages, localPort, peers } = this.#options;
    const peer = this.#peer;
    const first = firstMessages.test(this.#batch.packets.bytes, at, length);
    if (!peer) this.#options.stranger(first !== undefined);
    if (first === 'forged') {
      counters.lost('mac1');
      return;
    }
    const own = peer && this.#passOwn(peer, length, lost);
    if (peer && !own && first !== 'ours') {
      counters.lost(lost ?? 'control');
      peers.refusedControl(peer);
      return;
    }
    if (!own && !this.#passStranger(at, length, first === 'ours')) {
      const answered = first === 'ours' && this.#giveCookie(at);
      counters.lost(answered ? 'cookie' : (lost ?? 'stranger'));
      return;
    }
    const payload = this.#batch.packets.bytes.slice(at, at + length);
    this.#options.control(this.#origin.path(localPort), payload);
  }

  #passOwn(peer: Peer, length: number, lost: Loss | undefined): boolean {
    const { authLengths, gate } = this.#options;
    const isData = lost === 'unknown-session' && !authLengths.has(length);
    return isData ? gate.passForgotten(peer) : gate.passPeer(peer);
  }

  #passStranger(at: number, length: number, ours: boolean): boolean {
    const { packets } = this.#batch;
    const { gate } = this.#options;
    if (this.#origin.port === 0) return false;
    if (ours) return this.#passFirst(at, length);
    if (endsHandshake(packets, at, length) && gate.passEnd(this.#origin.key(gate))) return true;
    const hinted = length >= HINT_OFFSET + HINT_LENGTH;
    const first = hinted ? packets.u32host(at + HINT_OFFSET) : 0;
    const second = hinted ? packets.u32host(at + HINT_OFFSET + 4) : 0;
    return this.#origin.pass(gate, length, first, second);
  }

  /** A first message that is meant for us. */
  #passFirst(at: number, length: number): boolean {
    const { asked, firstMessages, gate } = this.#options;
    const proved = firstMessages.isProved(this.#batch.packets.bytes, at, this.#source);
    const passes = proved
      ? gate.passProved(this.#origin.key(gate))
      : gate.passFirst() || this.#origin.pass(gate, length, 0, 0);
    if (!passes) return false;
    this.#origin.ask(gate, proved);
    if (proved) asked();
    return true;
  }

  #giveCookie(at: number): boolean {
    const { firstMessages, gate } = this.#options;
    if (this.#origin.port === 0) return false;
    const key = this.#origin.key(gate);
    const payload = firstMessages.cookie(this.#batch.packets.bytes, at, key, this.#source);
    if (payload) this.#answers.add(this.#batch, this.#message, payload);
    return payload !== undefined;
  }

  readonly #source = (): Uint8Array => this.#batch.end(this.#message);
}

/** Whether it is what ends a handshake, or looks so. */
function endsHandshake({ bytes }: Arena, at: number, length: number): boolean {
  if (length !== PACKET_LENGTH.control) return false;
  return packetKind(bytes.subarray(at, at + length)) === 'control';
}
