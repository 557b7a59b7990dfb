import {
  familyOf,
  endpointKey,
  ofFamily,
  sameEndpoint,
  samePath,
  type EndpointKey,
  type OuterIp,
  type Endpoint,
  type Family,
  type Path,
} from '../../src/core/addr.ts';
import { authLengths } from '../../src/core/auth/schemes.ts';
import { isInnerPacket } from '../../src/core/wire/inner-packet.ts';
import type { PeerConfig, PeerId, Proof } from '../../src/core/config/tunnel-config.ts';
import { wordsOf } from '../../src/core/events/words.ts';
import { NO_RANK } from '../../src/core/ranked-list.ts';
import { NOWHERE } from '../../src/core/session/directory.ts';
import {
  createSession,
  sessionStatus,
  step,
  type SessionState,
} from '../../src/core/session/step.ts';
import {
  SessionTable,
  type Outcome,
  type SessionCore,
  type SessionEntry,
} from '../../src/core/session/table.ts';
import type {
  SessionConfig,
  SessionCrypto,
  SessionEffect,
  SessionEvent,
  SessionMemory,
  SessionStatus,
  Way,
} from '../../src/core/session/types.ts';
import { millis, type Instant, type Millis, type Port } from '../../src/core/units.ts';
import type { Cancel, Clockwork } from './clockwork.ts';
import { overheadOf } from '../../src/core/wire/overhead.ts';
import type { KeptSession } from '../../src/core/session/secure/state.ts';
import type { Integrity, TagKeys } from '../../src/core/tag/types.ts';
import { decodeTagHeader } from '../../src/core/tag/layout.ts';
import { TagPlane } from './tag-plane.ts';
import { nat64Of, type Datagram } from './network.ts';

/** One call of `step`, as the referee sees it. */
export type Move = {
  readonly host: Host;
  readonly config: SessionConfig;
  readonly before: SessionState;
  readonly event: SessionEvent;
  readonly effects: readonly SessionEffect[];
  readonly after: SessionState;
  readonly wakeAt: Millis | undefined;
  readonly now: Instant;
};

export type HostOptions = {
  readonly name: string;
  readonly role: SessionConfig['role'];
  readonly localPort: Port;
  readonly peers: readonly PeerConfig[];
  readonly crypto: (proof: Proof) => SessionCrypto;
  /** One of each family at most. */
  readonly ips: readonly OuterIp[];
  /** Whether the network translates what goes to addresses of IPv4 (NAT64). */
  readonly nat64?: boolean;
  readonly ipv6Inside?: boolean;
  /** What its plane can prove of each packet; all levels if nothing is said. */
  readonly planeIntegrity?: readonly Integrity[] | undefined;
  /** Puts a packet on the host's link. */
  readonly uplink: (datagram: Datagram) => void;
  readonly mtu?: SessionConfig['mtu'];
  readonly resolve: (host: string) => readonly OuterIp[];
  readonly watch: (move: Move) => void;
  /** Instead of the machine's own, with a rule of it broken. */
  readonly core?: SessionCore | undefined;
  readonly plane?: PlaneWatch | undefined;
};

/** Who judges what a machine does besides its sessions' steps. */
export type PlaneWatch = {
  /** Of a packet that came in and was no data: what went back to where it came from, in bytes. */
  readonly answered: (host: Host, datagram: Datagram, bytes: number) => void;
  readonly settled: (host: Host) => void;
  readonly sealed: (host: Host, tags: TagKeys, payload: Uint8Array) => void;
  readonly took: (host: Host, payload: Uint8Array) => void;
};

/** Unix time at which the world begins. */
const EPOCH = 1_795_000_000_000;
/** A plane tells of a path that tagged data comes by once in so long. */
const ROAMED_GAP = 100;
/** How long names and routes take to look up. */
const LOOKUP = 5;

/** An inner packet of 28 bytes, as a plane carries it. */
export const DATA = Uint8Array.from([0x45, 0, 0, 28, ...new Uint8Array(24).fill(1)]);

/** A peer of a machine: its session, what the plane carries of it, what the disk holds of it. */
export class SimulatedPeer implements SessionEntry {
  peer: PeerConfig;
  path: Path | undefined;
  place = NOWHERE;
  rank = NO_RANK;
  state: SessionState | undefined;
  wakeAt: Millis | undefined;
  memory: SessionMemory | undefined;
  /** The path that the plane carries. */
  admitted: Path | undefined;
  rxPackets = 0n;
  txPackets = 0n;
  rxBytes = 0n;
  txBytes = 0n;
  /** What the plane was told of the path, inner bytes. */
  mtuLimit: number | undefined;
  /** The addresses whose ways are told of. */
  watched: readonly OuterIp[] = [];
  cancelWake: Cancel | undefined;
  /** What a run leaves for the next one, until the machine is started anew. */
  kept: KeptSession | undefined;
  /** With what tags the plane carries it, and the counters that it has taken, by index. */
  tags: TagKeys | undefined;
  tagPlane = new TagPlane();
  /** When the session was last told of a path that tagged data came by. */
  readonly roamed = new Map<EndpointKey, number>();

  constructor(peer: PeerConfig) {
    this.peer = peer;
  }
}

/**
 * A machine: the sessions of a tunnel, a plane reduced to what matters (admitted paths, counters), a
 * disk and a clock. It carries out effects as a real driver does, one event at a time. Most machines
 * have one peer: what they say of themselves without naming one is about the first.
 */
export class Host {
  readonly options: HostOptions;
  /** The local addresses, of families that there are routes of. */
  ips: readonly OuterIp[];
  /** Largest outer packet that its routes take. */
  readonly routeMtu = 1500;
  running = false;
  /** Milliseconds that this machine's clock is ahead of true time. */
  skew = 0;
  /** Whether the plane refuses to carry a path. */
  admitFailure: (path: Path) => boolean = () => false;
  readonly logged: string[] = [];
  readonly peers: readonly SimulatedPeer[];
  table: SessionTable<SimulatedPeer>;
  readonly #clockwork: Clockwork;
  readonly #authLengths: readonly number[];
  /** What goes back to where the packet came from that is being looked at. */
  #answered: { readonly to: Endpoint; bytes: number } | undefined;

  constructor(clockwork: Clockwork, options: HostOptions) {
    this.#clockwork = clockwork;
    this.options = options;
    this.ips = options.ips;
    this.peers = options.peers.map((peer) => new SimulatedPeer(peer));
    this.#authLengths = authLengths(options.peers.map(({ proof }) => proof));
    this.table = this.#makeTable();
  }

  now(): Instant {
    const { now } = this.#clockwork;
    return { monotonic: millis(now), unix: millis(Math.round(EPOCH + now + this.skew)) };
  }

  get first(): SimulatedPeer {
    const [first] = this.peers;
    if (!first) throw new Error('a machine without peers');
    return first;
  }

  find(id: PeerId): SimulatedPeer {
    const peer = this.peers.find((one) => one.peer.id === id);
    if (!peer) throw new Error(`no peer ${id}`);
    return peer;
  }

  get status(): SessionStatus {
    return this.statusOf(this.first);
  }

  statusOf(peer: SimulatedPeer): SessionStatus {
    const config = this.table.configOf(peer);
    return sessionStatus(config, peer.state ?? createSession(config, this.now()), this.now());
  }

  get admitted(): Path | undefined {
    return this.first.admitted;
  }

  get memory(): SessionMemory | undefined {
    return this.first.memory;
  }

  /** The plane lets everybody go, behind the daemon's back. */
  evictAll(): void {
    for (const peer of this.peers) this.#evict(peer);
  }

  #evict(peer: SimulatedPeer): void {
    peer.admitted = undefined;
    peer.tags = undefined;
    peer.tagPlane = new TagPlane();
  }

  /** The disk is lost. */
  forgetAll(): void {
    for (const peer of this.peers) peer.memory = undefined;
  }

  /** Starts the daemon; whatever the plane still carries is adopted. */
  start(): void {
    this.table = this.#makeTable();
    this.running = true;
    for (const peer of this.peers) {
      peer.path = undefined;
      peer.state = undefined;
      this.table.directory.add(peer);
    }
    for (const peer of this.peers) {
      const remembered = peer.admitted !== undefined || peer.memory?.remote !== undefined;
      if (!remembered && this.peers.length > 1 && !this.table.isActive(peer.peer)) continue;
      if (peer.state === undefined) this.#carryOut(this.table.begin(peer, this.now()));
    }
  }

  /** The daemon dies; the plane goes on forwarding, as a kernel does. */
  kill(): void {
    this.running = false;
    for (const peer of this.peers) {
      peer.cancelWake?.();
      peer.wakeAt = undefined;
    }
  }

  /** The machine loses power: the plane is gone too, the disk stays. */
  reboot(): void {
    this.kill();
    for (const peer of this.peers) {
      this.#evict(peer);
      peer.kept = undefined;
      peer.rxPackets = 0n;
      peer.txPackets = 0n;
      peer.rxBytes = 0n;
      peer.txBytes = 0n;
    }
  }

  /** The local address of a family; undefined = no route. */
  local(family: Family): OuterIp | undefined {
    return ofFamily(this.ips, family);
  }

  /** Largest inner packet that the route to an address takes. */
  insideOf(remote: OuterIp): number {
    return this.routeMtu - overheadOf(familyOf(remote));
  }

  /** The routes of a family come, go or change; the daemon is told unless the news gets lost. */
  moveTo(family: Family, ip: OuterIp | undefined, told = true): void {
    const others = this.ips.filter((other) => familyOf(other) !== family);
    this.ips = ip === undefined ? others : [...others, ip];
    if (told) for (const peer of this.peers) this.dispatch(this.#located(peer.watched), peer);
  }

  #located(remotes: readonly OuterIp[]): SessionEvent {
    return { kind: 'located', ways: remotes.map((remote) => this.#wayTo(remote)) };
  }

  #wayTo(remote: OuterIp): Way {
    const local = this.local(familyOf(remote));
    if (local !== undefined) return { remote, local, mtu: this.insideOf(remote) };
    const local6 = this.local('ipv6');
    const translates = this.options.nat64 === true && familyOf(remote) === 'ipv4';
    if (!translates || local6 === undefined) return { remote, local: undefined };
    const via = nat64Of(remote);
    return { remote, via, local: local6, mtu: this.insideOf(via) };
  }

  /** Sends a data packet, if there is a tunnel. */
  sendData(peer = this.first, data = DATA): void {
    if (peer.admitted === undefined) return;
    peer.txPackets++;
    peer.txBytes += BigInt(data.length);
    if (!peer.tags) return this.#transmit(peer.admitted, data);
    const payload = peer.tagPlane.seal(peer.tags, data);
    this.options.plane?.sealed(this, peer.tags, payload);
    this.#transmit(peer.admitted, payload);
  }

  /** A packet arrives; gives back whose data it was, if it was that of an admitted peer. */
  receive(datagram: Datagram): SimulatedPeer | undefined {
    const path = { local: datagram.to, remote: datagram.from };
    if (datagram.to.port !== this.options.localPort) return undefined;
    const tagged = decodeTagHeader(datagram.payload);
    const owner = tagged && this.#ownerOf(tagged.index);
    if (owner) return this.#takeTagged(owner, path, datagram.payload);
    const carried = this.peers.find(({ admitted }) => admitted && samePath(admitted, path));
    if (carried && this.#isData(datagram.payload)) {
      if (carried.tags) return undefined;
      carried.rxPackets++;
      carried.rxBytes += BigInt(datagram.payload.length);
      return carried;
    }
    if (this.running) {
      this.#wakeDue();
      this.#answered = { to: datagram.from, bytes: 0 };
      this.#carryOut(this.table.receive(path, datagram.payload, this.now()));
      this.options.plane?.answered(this, datagram, this.#answered.bytes);
      this.#answered = undefined;
    }
    return undefined;
  }

  #ownerOf(index: number): SimulatedPeer | undefined {
    return this.peers.find(
      ({ admitted, tags }) => admitted && tags?.receive.some((key) => key.index === index),
    );
  }

  #takeTagged(peer: SimulatedPeer, path: Path, payload: Uint8Array): SimulatedPeer | undefined {
    const { tags, admitted } = peer;
    if (!tags || peer.tagPlane.open(tags, payload) !== 'taken') return undefined;
    peer.rxPackets++;
    this.options.plane?.took(this, payload);
    if (admitted && !samePath(admitted, path)) this.#tellRoamed(peer, path);
    return peer;
  }

  /** At most once in 100 ms for a path. */
  #tellRoamed(peer: SimulatedPeer, path: Path): void {
    const { now } = this.#clockwork;
    const name = endpointKey(path.remote);
    if (now - (peer.roamed.get(name) ?? -Infinity) < ROAMED_GAP) return;
    peer.roamed.set(name, now);
    this.dispatch({ kind: 'roamed', path }, peer);
  }

  dispatch(event: SessionEvent, peer = this.first): void {
    if (!this.running) return;
    this.#wakeDue();
    this.#carryOut(this.table.advance(peer, event, this.now()));
  }

  /** Everybody is woken who wanted to be by now: a real driver's timers are not behind its packets. */
  #wakeDue(): void {
    for (const peer of this.peers) {
      if (peer.wakeAt === undefined || peer.wakeAt > this.#clockwork.now) continue;
      this.#carryOut(this.table.advance(peer, { kind: 'wake' }, this.now()));
    }
  }

  #makeTable(): SessionTable<SimulatedPeer> {
    const { role, localPort, mtu, crypto, watch } = this.options;
    return new SessionTable({
      role,
      localPort,
      mtu,
      ipv6Inside: this.options.ipv6Inside ?? false,
      crypto,
      cookieSecret: new Uint8Array(16),
      planeIntegrity: this.options.planeIntegrity ?? ['none', 'header', 'full'],
      planeCounting: 'exact',
      recall: (peer) => ({
        memory: readBack(peer.memory),
        adopted: peer.admitted,
        kept: peer.kept,
      }),
      core: this.#watchedCore(watch),
    });
  }

  #watchedCore(watch: HostOptions['watch']): SessionCore {
    const core = this.options.core ?? { create: createSession, step };
    return {
      create: core.create,
      step: (config, tools, before, event, now) => {
        const result = core.step(config, tools, before, event, now);
        const { state: after, effects, wakeAt } = result;
        watch({ host: this, config, before, event, effects, after, wakeAt, now });
        return result;
      },
    };
  }

  #carryOut(outcomes: readonly Outcome<SimulatedPeer>[]): void {
    const left = [...outcomes];
    for (let next = left.shift(); next; next = left.shift()) {
      const { entry, effects } = next;
      if (entry) this.#schedule(entry);
      for (const effect of effects) {
        const answer = this.#perform(entry, effect);
        if (entry && answer) left.push(...this.table.advance(entry, answer, this.now()));
      }
    }
    this.options.plane?.settled(this);
  }

  #isData(payload: Uint8Array): boolean {
    return isInnerPacket(payload) && !this.#authLengths.includes(payload.length);
  }

  #schedule(peer: SimulatedPeer): void {
    peer.cancelWake?.();
    peer.cancelWake =
      peer.wakeAt === undefined
        ? undefined
        : this.#clockwork.at(peer.wakeAt, () => this.dispatch({ kind: 'wake' }, peer));
  }

  #perform(peer: SimulatedPeer | undefined, effect: SessionEffect): SessionEvent | undefined {
    if (effect.kind === 'event') this.logged.push(wordsOf(effect.event).words);
    if (peer === undefined) {
      if (effect.kind === 'send') this.#transmit(effect.path, effect.payload);
      return undefined;
    }
    switch (effect.kind) {
      case 'remember':
        peer.memory = effect.memory;
        break;
      case 'admit':
        if (this.admitFailure(effect.path)) return { kind: 'admit-failed', path: effect.path };
        this.#admit(peer, effect.path);
        peer.tags = effect.tags;
        peer.tagPlane.point(effect.tags);
        break;
      case 'keep':
        peer.kept = effect.record;
        break;
      case 'evict':
        this.#evict(peer);
        break;
      case 'limit-mtu':
        peer.mtuLimit = effect.mtu;
        break;
      case 'send':
        this.#transmit(effect.path, effect.payload);
        break;
      case 'resolve': {
        const { host } = effect;
        this.#clockwork.after(LOOKUP, () =>
          this.dispatch({ kind: 'resolved', addresses: this.options.resolve(host) }, peer),
        );
        break;
      }
      case 'locate':
        peer.watched = effect.remotes;
        this.#clockwork.after(LOOKUP, () => this.dispatch(this.#located(effect.remotes), peer));
        break;
      case 'poll-counters': {
        const { rxPackets, rxBytes, txPackets, txBytes } = peer;
        return { kind: 'counters', counts: { rxPackets, rxBytes, txPackets, txBytes } };
      }
      // Peers here have joined.
      case 'register':
      case 'event':
        break;
    }
    return undefined;
  }

  /** A plane cannot tell two peers on one path apart. */
  #admit(peer: SimulatedPeer, path: Path): void {
    const other = this.peers.find(
      (one) => one !== peer && one.admitted && samePath(one.admitted, path),
    );
    if (other) throw new Error(`${this.options.name} admits two peers on one path`);
    peer.admitted = path;
  }

  /** A packet leaves only while its source address is the machine's. */
  #transmit(path: Path, payload: Uint8Array): void {
    const from: Endpoint = path.local;
    const answered = this.#answered;
    if (answered && sameEndpoint(answered.to, path.remote)) answered.bytes += payload.length;
    if (this.ips.includes(from.ip))
      this.options.uplink({ from, to: path.remote, payload: payload.slice() });
  }
}

/** What a disk gives back of a value written as JSON. */
function readBack(memory: SessionMemory | undefined): SessionMemory | undefined {
  return memory && (JSON.parse(JSON.stringify(memory)) as SessionMemory);
}
