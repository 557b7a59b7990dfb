/**
 * The sessions of one tunnel.
 *
 * Each peer has a session of its own (step.ts), which decides about it and knows of no other. This is
 * what they share: the gate, the directory, and the rules between peers:
 * - A packet is given to the peer whose it seems to be, whose session tests it as if there were no
 *   other. Only where a packet may be several peers', it is given to one after the other until one takes
 *   it: the peer on that path first, for it is nearly always its own.
 * - A packet without a hint from an unknown path is tried on a few peers that were never seen using
 *   hints. Cheap tests come first; each signature then is charged to the strangers' budget.
 * - A path belongs to one peer. Whoever proves itself on it takes it over; the former is told and
 *   evicted before. A peer that only returns to a path (a retry, an earlier run) takes it from nobody.
 * - What is nobody's is counted here.
 *
 * A session begins with its peer's first event, so a peer that never comes costs no session. Nothing
 * here walks all peers. No I/O: memory is asked for by a function, effects are handed back.
 */
import { familyOf, parseOuterIp, samePath, type Endpoint, type Path } from '../addr.ts';
import { refused, type Refusal, type Refused } from '../auth/refusal.ts';
import { constantTimeEqual } from '../auth/bytes.ts';
import { AUTH_V1_LENGTHS, hintOf, hintOfKey } from '../auth/trailer.ts';
import type { PeerConfig, PeerId, Proof } from '../config/tunnel-config.ts';
import { PACKET_LENGTH, packetKind } from '../handshake/layout.ts';
import { createReset, receiverOf } from '../handshake/reset.ts';
import { decodeTagHeader } from '../tag/layout.ts';
import type { Instant, Millis, Port } from '../units.ts';
import { innerSource, isInnerPacket } from '../wire/inner-packet.ts';
import { Candidates } from './candidates.ts';
import { Directory, type Entry } from './directory.ts';
import { Gate } from './gate.ts';
import { IndexBook } from './index-book.ts';
import { Introductions } from './introductions.ts';
import { countRefusal } from './refusals.ts';
import type { SecureCrypto } from './secure/crypto.ts';
import { indexesOf, type KeptSession } from './secure/state.ts';
import { NO_REFUSALS, type Refusals } from './refusals.ts';
import { sessionPath, sessionPhase, type SessionState, type SessionTools } from './step.ts';
import type {
  SessionConfig,
  SessionCrypto,
  SessionEffect,
  SessionEvent,
  SessionMemory,
  StepResult,
} from './types.ts';

/** A peer with its session. All that may be written is the table's to write. */
export interface SessionEntry extends Entry {
  peer: PeerConfig;
  /** Undefined until its first event. */
  state: SessionState | undefined;
  /** When its session wants to be woken (monotonic). */
  wakeAt: Millis | undefined;
}

/** What is to be done for a peer (undefined: for none), in this order. */
export type Outcome<E> = {
  readonly entry: E | undefined;
  readonly effects: readonly SessionEffect[];
};

/** The pure machine of one session. */
export type SessionCore = {
  readonly create: (config: SessionConfig, now: Instant) => SessionState;
  readonly step: (
    config: SessionConfig,
    tools: SessionTools,
    state: SessionState,
    event: SessionEvent,
    now: Instant,
  ) => StepResult<SessionState>;
};

export type TableOptions<E> = {
  readonly core: SessionCore;
  readonly role: SessionConfig['role'];
  readonly localPort: Port;
  readonly mtu?: SessionConfig['mtu'];
  readonly families?: SessionConfig['families'];
  /** Whether the tunnel carries IPv6; absent = it does not. */
  readonly ipv6Inside?: boolean;
  readonly crypto: (proof: Proof) => SessionCrypto;
  /** What an earlier run left of a peer; asked for when its session begins. */
  readonly recall: (entry: E) => {
    readonly memory: SessionMemory | undefined;
    readonly adopted: Path | undefined;
    readonly kept?: KeptSession | undefined;
    readonly renew?: boolean;
  };
  /** What cookies are made of, 16 bytes that nobody else knows; the plane has the same. */
  readonly cookieSecret: Uint8Array;
  /** What of each packet the plane can prove; absent = nothing. */
  readonly planeIntegrity?: SessionConfig['planeIntegrity'];
  readonly planeCounting?: SessionConfig['planeCounting'];
};

export class SessionTable<E extends SessionEntry> {
  readonly gate = new Gate();
  readonly directory = new Directory<E>();
  readonly indexes = new IndexBook<E>();
  readonly #introductions: Introductions;
  readonly #candidates: Candidates<E>;
  readonly #options: TableOptions<E>;
  #refusals: Refusals = NO_REFUSALS;
  #established = 0;
  /** Whose RESET is sent next, of this side's keys. */
  #resetFrom = 0;

  constructor(options: TableOptions<E>) {
    this.#options = options;
    this.#introductions = new Introductions(options.cookieSecret);
    this.#candidates = new Candidates(options.role, this.directory, this.gate, options.crypto);
  }

  /** Packets that were nobody's, by reason. */
  get refused(): Readonly<Partial<Record<Refusal, number>>> {
    return this.#refusals.counts;
  }

  /** How many peers' sessions are established. */
  get established(): number {
    return this.#established;
  }

  get(id: PeerId): E | undefined {
    return this.directory.get(id);
  }

  /** The part of a peer's config that its session decides by. */
  configOf({ peer }: Pick<E, 'peer'>): SessionConfig {
    const { role, localPort, mtu, families, planeIntegrity, planeCounting } = this.#options;
    const { proof, auth, timers, remoteHost, remotePort, invitedUntil } = peer;
    const ipv6Inside = this.#options.ipv6Inside === true && takesIpv6(peer);
    return {
      role,
      localPort,
      mtu,
      families,
      planeIntegrity,
      planeCounting,
      ipv6Inside,
      proof,
      auth,
      timers,
      remoteHost,
      remotePort,
      invitedUntil,
    };
  }

  /** Gives an event to a peer's session, which begins now if it has not. */
  advance(entry: E, event: SessionEvent, now: Instant): readonly Outcome<E>[] {
    // Packets that somebody sends on from another peer's path move nobody there.
    if (event.kind === 'roamed' && this.directory.at(event.path)) return [];
    const outcomes: Outcome<E>[] = [];
    this.#give(entry, event, now, outcomes);
    return outcomes;
  }

  /** Begins a peer's session, or begins it anew from `memory`. */
  begin(
    entry: E,
    now: Instant,
    from: ReturnType<TableOptions<E>['recall']> = this.#options.recall(entry),
  ): readonly Outcome<E>[] {
    const outcomes: Outcome<E>[] = [];
    this.#setState(entry, this.#options.core.create(this.configOf(entry), now));
    this.#step(entry, { kind: 'start', ...from }, now, outcomes);
    return outcomes;
  }

  /** Ends a peer's session without a word; its next event begins another. */
  end(entry: E): void {
    this.#setState(entry, undefined);
    entry.wakeAt = undefined;
  }

  /** Gives a packet to the peer whose it is. */
  receive(path: Path, payload: Uint8Array, now: Instant): readonly Outcome<E>[] {
    if (this.#options.role === 'server') {
      if (packetKind(payload) === 'init') return this.#introduce(path, payload, now);
      const stray = this.#stray(path, payload);
      if (stray) return this.advance(stray, { kind: 'stray', path, length: payload.length }, now);
    }
    const known = this.#byIndex(path, payload, now);
    if (known) return known;
    const { sole } = this.directory;
    if (sole) return this.advance(sole, { kind: 'packet', path, payload }, now);
    const outcomes: Outcome<E>[] = [];
    let refusal: Refused = refused('unknown-peer');
    let allowed = 0;
    for (const candidate of this.#candidates.of(path, payload, now)) {
      if ('refusal' in candidate) {
        ({ refusal, allowed } = candidate);
        continue;
      }
      const { entry, tentative, charged } = candidate;
      const event = { kind: 'packet', path, payload, tentative, charged } as const;
      const reason = this.#give(entry, event, now, outcomes);
      if (reason === undefined) this.#learn(entry, path, payload);
      if (reason === undefined || !tentative) return outcomes;
    }
    const counted = countRefusal(this.#refusals, refusal, { path, now: now.monotonic, allowed });
    this.#refusals = counted.refusals;
    const { event } = counted;
    if (event) outcomes.push({ entry: undefined, effects: [{ kind: 'event', event }] });
    return outcomes;
  }

  /** A first message of session 2. */
  #introduce(path: Path, payload: Uint8Array, now: Instant): readonly Outcome<E>[] {
    const admitted = this.directory.at(path) !== undefined;
    const about = { path, payload, admitted };
    const read = this.#introductions.read(this.#ownKeys(), about, this.gate, now.monotonic);
    if (!read.ok) {
      if (read.why === undefined) return [];
      return this.#turnAway(path, read.why, read.answer ? [read.answer] : [], now);
    }
    const { introduction, edwards, cookied, own } = read;
    const entry = edwards && this.#bySecureKey(edwards, introduction.client);
    if (!entry) return this.#turnAway(path, refused('unknown-peer'), [], now);
    const outcomes: Outcome<E>[] = [];
    const event = { kind: 'packet', path, payload, introduction, cookied, charged: true } as const;
    const reason = this.#give(entry, event, now, outcomes);
    if (reason === 'rate-limited' && !cookied) {
      const answer = this.#introductions.cookie(own, about, this.gate, now.monotonic);
      if (answer) outcomes.push({ entry: undefined, effects: [answerTo(path, answer)] });
    }
    return outcomes;
  }

  #bySecureKey(edwards: Uint8Array, client: Uint8Array): E | undefined {
    return this.directory.byHint(hintOfKey(edwards)).find(({ peer }) => {
      const key = this.#options.crypto(peer.proof).secure?.peer();
      return key !== undefined && constantTimeEqual(client, key);
    });
  }

  *#ownKeys(): Generator<SecureCrypto> {
    for (const proof of this.directory.ownProofs()) {
      const { secure } = this.#options.crypto(proof);
      if (secure) yield secure;
    }
  }

  /** A packet that names a session: given to whose it is, or answered by a RESET; undefined where it names none. */
  #byIndex(path: Path, payload: Uint8Array, now: Instant): readonly Outcome<E>[] | undefined {
    const index = receiverOf(payload);
    if (index === undefined) return undefined;
    const entry = this.indexes.owner(index);
    if (entry) return this.advance(entry, { kind: 'packet', path, payload }, now);
    // What has another length may be a packet of session 1, which may begin with anything.
    const certain = payload.length === PACKET_LENGTH.control && packetKind(payload) === 'control';
    const tagged = decodeTagHeader(payload) !== undefined && !this.#mayBeFirst(payload.length);
    if (!certain && !tagged) return undefined;
    return this.#turnAway(path, refused('unknown-session'), this.#resets(path, payload, now), now);
  }

  #mayBeFirst(length: number): boolean {
    return AUTH_V1_LENGTHS.includes(length) || this.directory.hasTokenOf(length);
  }

  /**
   * Which of this side's keys the session had is not known: there is one for each, as many as come to no more bytes than the
   * packet, and others the next time.
   */
  #resets(path: Path, payload: Uint8Array, now: Instant): readonly Uint8Array[] {
    if (this.#options.role === 'client') return [];
    const keys = [...this.#ownKeys()];
    if (keys.length === 0 || !this.gate.reset(path.remote.ip, now.monotonic)) return [];
    const count = Math.min(keys.length, Math.floor(payload.length / PACKET_LENGTH.reset));
    const from = this.#resetFrom % keys.length;
    this.#resetFrom = (from + count) % keys.length;
    return [...keys, ...keys]
      .slice(from, from + count)
      .flatMap((each) => createReset(each.serverKeys(), path.remote, payload) ?? []);
  }

  #turnAway(
    path: Path,
    why: Refused,
    answers: readonly Uint8Array[],
    now: Instant,
  ): readonly Outcome<E>[] {
    const counted = countRefusal(this.#refusals, why, { path, now: now.monotonic, allowed: 0 });
    this.#refusals = counted.refusals;
    const effects: SessionEffect[] = counted.event ? [{ kind: 'event', event: counted.event }] : [];
    effects.push(...answers.map((answer) => answerTo(path, answer)));
    return [{ entry: undefined, effects }];
  }

  /** Whose data without proof this seems to be, by its inner source, where it comes from elsewhere. */
  #stray(path: Path, payload: Uint8Array): E | undefined {
    if (!isInnerPacket(payload) || this.directory.at(path)) return undefined;
    const entry = this.directory.byInner(innerSource(payload));
    return entry?.state?.role === 'server' && entry.state.secure.current ? entry : undefined;
  }

  /** Who is at an endpoint that the network complains of; nobody while it complains too often. */
  atRemote(remote: Endpoint, now: Instant): readonly E[] {
    const found = this.directory.atRemote(remote);
    return found.length > 0 && this.gate.outerError(now.monotonic) ? found : [];
  }

  /** Whether a peer's session has something to do before anybody sends it a packet. */
  isActive({ auth, remoteHost }: PeerConfig): boolean {
    if (this.#options.role === 'client') return true;
    return auth.byRemoteIp && remoteHost !== undefined && parseOuterIp(remoteHost) === undefined;
  }

  #give(entry: E, event: SessionEvent, now: Instant, outcomes: Outcome<E>[]): Refusal | undefined {
    if (entry.state === undefined) outcomes.push(...this.begin(entry, now));
    return this.#step(entry, event, now, outcomes);
  }

  #step(entry: E, event: SessionEvent, now: Instant, outcomes: Outcome<E>[]): Refusal | undefined {
    const { core, crypto } = this.#options;
    const { state: before } = entry;
    if (before === undefined) throw new TypeError('a session that has not begun');
    const { gate, indexes } = this;
    const tools = { crypto: crypto(entry.peer.proof), gate, indexes };
    const result = core.step(this.configOf(entry), tools, before, event, now);
    this.#setState(entry, result.state);
    entry.wakeAt = result.wakeAt;
    this.#noteAddresses(entry, before, result.state);
    const path = sessionPath(result.state);
    const holder = path && !isOn(entry, path) ? this.directory.at(path) : undefined;
    if (path && holder && holder !== entry) {
      if (!takesOver(event, path)) {
        const effects = result.effects.filter(({ kind }) => kind !== 'admit' && kind !== 'send');
        outcomes.push({ entry, effects });
        this.#step(entry, { kind: 'displaced', path }, now, outcomes);
        return result.refusal;
      }
      this.#step(holder, { kind: 'displaced', path }, now, outcomes);
    }
    if (path !== entry.path) this.directory.move(entry, path);
    outcomes.push({ entry, effects: result.effects });
    return result.refusal;
  }

  #setState(entry: E, state: SessionState | undefined): void {
    this.#established += Number(isEstablished(state)) - Number(isEstablished(entry.state));
    if (state?.secure !== entry.state?.secure) {
      const [before, after] = [entry.state, state].map((each) => each && indexesOf(each.secure));
      this.indexes.change(entry, before, after);
    }
    entry.state = state;
  }

  #noteAddresses(entry: E, before: SessionState, after: SessionState): void {
    if (before.role !== 'server' || after.role !== 'server') return;
    if (after.allowed !== before.allowed) this.directory.allow(entry, after.allowed ?? []);
  }

  /** Learns from a packet that was taken. */
  #learn(entry: E, path: Path, payload: Uint8Array): void {
    if (entry.peer.proof.kind !== 'ed25519' || !isOn(entry, path)) return;
    if (hintOf(payload) !== undefined) this.directory.usesHints(entry);
    else if (!isInnerPacket(payload)) this.directory.note(entry, path.remote.ip);
  }
}

/** Whether IPv6 is sent to a peer, or taken from it, where the tunnel carries any. */
function takesIpv6({ allowedIps }: PeerConfig): boolean {
  return allowedIps === 'any' || allowedIps.some(({ ip }) => familyOf(ip) === 'ipv6');
}

function answerTo(path: Path, payload: Uint8Array): SessionEffect {
  return { kind: 'send', purpose: 'reply', path, payload, ttl: undefined };
}

function isEstablished(state: SessionState | undefined): boolean {
  return state !== undefined && sessionPhase(state) === 'established';
}

function isOn({ path }: Entry, other: Path): boolean {
  return path !== undefined && samePath(path, other);
}

/** Whether a peer that gets a path by this event takes it from the one that has it. */
function takesOver(event: SessionEvent, path: Path): boolean {
  return event.kind === 'located' || (event.kind === 'packet' && samePath(event.path, path));
}
