import { overheadOf } from '../core/wire/overhead.ts';
import { familyOf, formatEndpoint, type Path } from '../core/addr.ts';
import type { PeerConfig, Proof } from '../core/config/tunnel-config.ts';
import type { TunnelEvent } from '../core/events/event.ts';
import type { TroubleReport } from '../core/events/trouble.ts';
import { reportTrouble } from '../core/events/trouble-words.ts';
import { wordsOf } from '../core/events/words.ts';
import { SessionTable, type Outcome, type SessionCore } from '../core/session/table.ts';
import type {
  SessionConfig,
  SessionCrypto,
  SessionEffect,
  SessionEvent,
} from '../core/session/types.ts';
import { TimerHeap } from '../core/timer-heap.ts';
import { millis, type Millis, type Port } from '../core/units.ts';
import type { Clock } from '../ports/clock.ts';
import type { ControlPacket, DataPlane, OuterError } from '../ports/data-plane.ts';
import type { Resolver } from '../ports/host-network.ts';
import type { Log } from '../ports/log.ts';
import { Admission } from './admission.ts';
import { explain } from './explain.ts';
import {
  CLOSE_TIMEOUT,
  OUTER_ERRORS_WAITING,
  REAUTH_SPREAD,
  START_BATCH,
  WAKE_BATCH,
} from './limits.ts';
import { Lookups, type LookupPorts } from './lookups.ts';
import type { Memories } from './memories.ts';
import { PeerSlot } from './peer-slot.ts';
import { Sender } from './sender.ts';
import { Turns } from './turns.ts';

/*
 * One tunnel's event loop. Events take turns; each is given to the session of its peer as a whole. All
 * that the session wants done is done in its order, before what the peer's next event brings, and after
 * what must be remembered is on the disk; other peers do not wait for that. The plane's calls are made
 * one at a time. What may take long (names, routes) runs beside the turns and comes back as an event.
 * Nothing here rejects: a failed effect becomes an event, a log line, or the end.
 *
 * Peers' timers are one heap and one timer of the clock. Nothing walks all peers but what is asked to
 * (a change of the config, a new route, the start after a crash).
 */

export type DriverPorts = {
  readonly core: SessionCore;
  readonly role: SessionConfig['role'];
  readonly localPort: Port;
  readonly mtu?: SessionConfig['mtu'];
  readonly crypto: (proof: Proof) => SessionCrypto;
  readonly plane: DataPlane;
  readonly clock: Clock;
  readonly log: Log;
  readonly resolver: Resolver;
  readonly locate: LookupPorts['locate'];
  readonly isOwn: LookupPorts['isOwn'];
  readonly memories: Memories;
  /** The plane carries another path of a peer, or none. */
  readonly onPath: (path: Path | undefined) => void;
  /** More or fewer peers are established. */
  readonly onEstablished: () => void;
  /** The tunnel cannot go on; called once. */
  readonly onFatal: (error: Error) => void;
};

export class Driver {
  readonly table: SessionTable<PeerSlot>;
  readonly memories: Memories;
  readonly #ports: DriverPorts;
  readonly #admission: Admission;
  readonly #sender: Sender;
  readonly #lookups: Lookups;
  readonly #timers = new TimerHeap<PeerSlot>();
  readonly #closing = new AbortController();
  /** Peers that must go and have not gone yet: what cancels the next attempt. */
  readonly #evicting = new Map<PeerSlot, () => void>();
  /** Peers that still have to authenticate as the operator asked. */
  #reauthenticating: PeerSlot[] = [];
  #cancelReauth: (() => void) | undefined;
  readonly #turns = new Turns<PeerSlot>((error) => {
    // Effects handle their own failures: whatever arrives here is a fault of this program.
    this.fail(new Error(`internal error: ${String(error)}`, { cause: error }));
  });
  #wakeAt: Millis | undefined;
  #cancelWake: (() => void) | undefined;
  /** What the network says that waits for its turn, by what and of whom. */
  readonly #outerErrors = new Map<string, OuterError>();
  #established = 0;
  #fatal = false;

  /** Peers are known to the plane already; their sessions begin with `start`. */
  constructor(ports: DriverPorts, peers: readonly PeerConfig[]) {
    this.#ports = ports;
    this.memories = ports.memories;
    this.table = new SessionTable({
      core: ports.core,
      role: ports.role,
      localPort: ports.localPort,
      mtu: ports.mtu,
      crypto: ports.crypto,
      recall: ({ peer, carried }) => ({ memory: ports.memories.recall(peer), adopted: carried }),
    });
    this.#admission = new Admission(ports.plane, {
      clock: ports.clock,
      log: ports.log,
      isSole: () => this.table.directory.size === 1,
      onFatal: (error) => this.fail(error),
    });
    this.#sender = new Sender(ports.plane, ports.log);
    this.#lookups = new Lookups(ports, (slot, event) => this.dispatch(slot, event));
    for (const peer of peers) this.add(peer, ports.plane.adopted.get(peer.id));
  }

  /**
   * Begins the sessions that do not wait for a packet: all of `slots` that have something to do now. A
   * batch at a time: what comes meanwhile has its turn between, whether its peer has begun or not.
   */
  async start(
    slots: Iterable<PeerSlot>,
    mustBegin: (slot: PeerSlot) => boolean = () => false,
  ): Promise<void> {
    let count = 0;
    const held: Promise<void>[] = [];
    for (const slot of slots) {
      if (++count % START_BATCH === 0) {
        await Promise.all(held.splice(0));
        await this.#othersTurn();
      }
      if (this.#closing.signal.aborted) return;
      const active = this.table.isActive(slot.peer) || slot.carried !== undefined;
      if (slot.state !== undefined || !(active || mustBegin(slot))) continue;
      await this.#turns.take(async () => {
        if (slot.state !== undefined || !this.#isListed(slot)) return;
        const { later } = await this.#carry(this.table.begin(slot, this.#ports.clock.now()));
        if (later) held.push(later);
      });
    }
    await Promise.all(held);
  }

  /** Resolves when everything that the event brings about is done. Never rejects. */
  dispatch(slot: PeerSlot, event: SessionEvent): Promise<void> {
    return this.#event(() =>
      this.#isListed(slot) ? this.table.advance(slot, event, this.#ports.clock.now()) : [],
    );
  }

  /** Gives a packet to whose it is; resolves when all that it brings about is done. Never rejects. */
  receive({ path, payload }: ControlPacket): Promise<void> {
    return this.#event(() => this.table.receive(path, payload, this.#ports.clock.now()));
  }

  /**
   * The network complains of packets to a remote: the last complaint of each kind counts. Dropped while
   * too many wait: it may be forged.
   */
  outerError(error: OuterError): void {
    const key = `${error.kind} ${formatEndpoint(error.remote)}`;
    const waiting = this.#outerErrors.size;
    if (waiting >= OUTER_ERRORS_WAITING && !this.#outerErrors.has(key)) return;
    this.#outerErrors.set(key, error);
    if (waiting === 0) void this.#event(() => this.#takeOuterErrors());
  }

  #takeOuterErrors(): readonly Outcome<PeerSlot>[] {
    const errors = [...this.#outerErrors.values()];
    this.#outerErrors.clear();
    const now = this.#ports.clock.now();
    return errors.flatMap((complaint) => {
      const event =
        complaint.kind === 'too-big' ? { ...complaint, mtu: innerMtu(complaint) } : complaint;
      return this.table
        .atRemote(complaint.remote, now)
        .flatMap((slot) => this.table.advance(slot, event, now));
    });
  }

  /** Has every peer's session authenticate now: the first at once, the others spread over a while. */
  async reauthenticate(): Promise<void> {
    const [first, ...others] = this.table.directory.entries();
    this.#reauthenticating = others;
    if (first) await this.dispatch(first, { kind: 'reauthenticate' });
    if (others.length > 0) this.#reauthenticateNext(millis(REAUTH_SPREAD / others.length));
  }

  /** Runs plane work between events, with the plane to itself. Rejects as `work` does, or when closing. */
  exclusive<T>(work: (plane: DataPlane) => Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const turn = (): Promise<void> =>
        this.#turns.use(() => work(this.#ports.plane).then(resolve, reject));
      void this.#turns.take(turn).then(() => reject(new Error('the tunnel is being taken down')));
    });
  }

  /** The same when all that earlier events brought about is done, so that peers may come and go. */
  settled<T>(work: (plane: DataPlane) => Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const turn = async (): Promise<void> => {
        await this.#turns.settled();
        await this.#turns.use(() => work(this.#ports.plane).then(resolve, reject));
      };
      void this.#turns.take(turn).then(() => reject(new Error('the tunnel is being taken down')));
    });
  }

  /** Looks again for the local addresses towards remotes; tells the sessions where one is another. */
  relocate(): Promise<void> {
    return this.#lookups.relocate();
  }

  /** How many peers there are, and how many of them are established. */
  get count(): { readonly peers: number; readonly established: number } {
    return { peers: this.table.directory.size, established: this.table.established };
  }

  /** What is wrong, apart from the sessions' own troubles. */
  get troubles(): readonly TroubleReport[] {
    const { trouble } = this.memories;
    const others = [...(trouble ? [trouble] : []), ...this.#sender.troubles];
    return [...this.#admission.troubles, ...others.map((one) => reportTrouble(one))];
  }

  /** Ends the tunnel through its owner; the first failure counts. */
  fail(error: Error): void {
    if (this.#fatal || this.#closing.signal.aborted) return;
    this.#fatal = true;
    this.#ports.onFatal(error);
  }

  /** Takes no more events and waits for work in hand, but not after `hurry` nor for long. */
  async close(hurry?: AbortSignal): Promise<void> {
    this.#closing.abort();
    this.#cancelWake?.();
    this.#cancelReauth?.();
    for (const cancel of this.#evicting.values()) cancel();
    this.#lookups.close();
    const { clock } = this.#ports;
    await new Promise<void>((resolve) => {
      const cancel = clock.callAt(millis(clock.now().monotonic + CLOSE_TIMEOUT), resolve);
      const done = (): void => {
        cancel();
        resolve();
      };
      void this.#turns.close().then(done);
      hurry?.addEventListener('abort', done, { once: true });
      if (hurry?.aborted) done();
    });
  }

  // What follows is for work that has the queue to itself (`exclusive`).

  /** Lists a peer that the plane knows, and may carry already. */
  add(peer: PeerConfig, carried?: Path): PeerSlot {
    const slot = new PeerSlot(peer);
    this.#admission.carry(slot, carried);
    this.table.directory.add(slot);
    return slot;
  }

  /** Forgets a peer that the plane has let go. */
  drop(slot: PeerSlot): void {
    this.table.directory.remove(slot);
    this.table.end(slot);
    this.#timers.set(slot, undefined);
    this.#arm();
    this.#cancelEvict(slot);
    this.#lookups.forget(slot);
    this.#sender.forget(slot);
    this.memories.forget(slot.peer);
    const wasCarried = slot.carried !== undefined;
    this.#admission.forget(slot);
    if (wasCarried) this.#ports.onPath(undefined);
  }

  /** Has the plane, which has let a peer go, carry what it did; its session is told when it does not. */
  async readmit(slot: PeerSlot): Promise<void> {
    const path = slot.carried;
    if (path === undefined || (await this.#admission.admit(slot, path))) return;
    this.#admission.carry(slot, undefined);
    this.#ports.onPath(undefined);
    const event = { kind: 'admit-failed', path } as const;
    await this.carryOut(this.table.advance(slot, event, this.#ports.clock.now()));
  }

  /** Gives a peer another config (of the same id); its session is over and must be begun again. */
  relist(slot: PeerSlot, peer: PeerConfig): void {
    this.#lookups.forget(slot);
    this.table.directory.relist(slot, () => {
      slot.peer = peer;
      this.table.end(slot);
    });
    this.#timers.set(slot, undefined);
  }

  /** Has done what a step of the table wants: now, or as soon as the disk allows. */
  async carryOut(outcomes: readonly Outcome<PeerSlot>[]): Promise<void> {
    const written = this.#note(outcomes);
    const peers = peersOf(outcomes);
    if (written === undefined && !this.#turns.holds(peers)) return this.#perform(outcomes, true);
    void this.#turns.perform(peers, written, async () =>
      this.#perform(outcomes, (await written) ?? true),
    );
  }

  /** Takes a peer out of the plane, and keeps at it until it is out: one that stays is a hole. */
  async evict(slot: PeerSlot): Promise<void> {
    this.#cancelEvict(slot);
    if (await this.#admission.evict(slot)) {
      this.#ports.onPath(undefined);
      return;
    }
    const { clock } = this.#ports;
    const again = async (): Promise<void> => {
      // It may have been admitted again, or be gone.
      if (this.#evicting.get(slot) === cancel) await this.evict(slot);
    };
    const cancel = clock.callAt(this.#admission.notBefore(slot), () => {
      void this.#turns.take(() => this.#turns.perform([slot], undefined, again).done);
    });
    this.#evicting.set(slot, cancel);
  }

  #othersTurn(): Promise<void> {
    const { clock } = this.#ports;
    return new Promise((resolve) => void clock.callAt(clock.now().monotonic, resolve));
  }

  #isListed(slot: PeerSlot): boolean {
    return this.table.get(slot.peer.id) === slot;
  }

  /** A turn of an event; resolves when all that it brings about is done. Never rejects. */
  async #event(step: () => readonly Outcome<PeerSlot>[]): Promise<void> {
    let later: Promise<void> | undefined;
    await this.#turns.take(async () => {
      ({ later } = await this.#carry(step()));
    });
    await later;
  }

  /** In a turn: does what a step wants. What has to wait for the disk, or for what waits, is `later`. */
  async #carry(
    outcomes: readonly Outcome<PeerSlot>[],
  ): Promise<{ readonly later: Promise<void> | undefined }> {
    if (outcomes.length === 0) return { later: undefined };
    const written = this.#note(outcomes);
    const work = async (): Promise<void> => this.#perform(outcomes, (await written) ?? true);
    const { held, done } = this.#turns.perform(peersOf(outcomes), written, work);
    if (held) return { later: done };
    await done;
    return { later: undefined };
  }

  /** Takes what is to be remembered and the timers; resolves with whether memory is on the disk. */
  #note(outcomes: readonly Outcome<PeerSlot>[]): Promise<boolean> | undefined {
    let written: Promise<boolean> | undefined;
    for (const { entry, effects } of outcomes) {
      if (entry === undefined) continue;
      this.#timers.set(entry, entry.wakeAt);
      for (const effect of effects) {
        if (effect.kind !== 'remember') continue;
        if (effect.lazy === true) this.memories.note(entry.peer, effect.memory);
        else written = bothOf(written, this.memories.save(entry.peer, effect.memory));
      }
    }
    this.#arm();
    this.#countEstablished();
    return written;
  }

  #countEstablished(): void {
    const { established } = this.table;
    if (established === this.#established) return;
    this.#established = established;
    this.#ports.onEstablished();
  }

  /** Sets the one timer of the clock to the earliest wake-up. */
  #arm(): void {
    const { earliest } = this.#timers;
    if (earliest === this.#wakeAt || this.#closing.signal.aborted) return;
    this.#cancelWake?.();
    this.#wakeAt = earliest;
    this.#cancelWake =
      earliest === undefined
        ? undefined
        : this.#ports.clock.callAt(earliest, () => {
            this.#cancelWake = undefined;
            void this.#turns.take(() => this.#wakeDue());
          });
  }

  async #wakeDue(): Promise<void> {
    for (let count = 0; count < WAKE_BATCH; count++) {
      const now = this.#ports.clock.now();
      const slot = this.#timers.takeDue(now.monotonic);
      if (slot === undefined) break;
      await this.#carry(this.table.advance(slot, { kind: 'wake' }, now));
    }
    // Also where the earliest is the same as before: its call has been used up.
    this.#wakeAt = undefined;
    this.#arm();
  }

  #reauthenticateNext(pause: Millis): void {
    const { clock } = this.#ports;
    this.#cancelReauth?.();
    this.#cancelReauth = clock.callAt(millis(clock.now().monotonic + pause), () => {
      const slot = this.#reauthenticating.shift();
      if (slot === undefined) return;
      void this.dispatch(slot, { kind: 'reauthenticate' });
      this.#reauthenticateNext(pause);
    });
  }

  /** Does what is wanted, and what comes of that. What is not `remembered` admits nobody. */
  async #perform(outcomes: readonly Outcome<PeerSlot>[], remembered: boolean): Promise<void> {
    const left = outcomes.map((outcome) => ({ outcome, remembered }));
    for (let next = left.shift(); next; next = left.shift()) {
      const { entry } = next.outcome;
      for (const answer of await this.#performOne(next.outcome, next.remembered)) {
        if (!entry || !this.#isListed(entry)) continue;
        const more = this.table.advance(entry, answer, this.#ports.clock.now());
        const written = (await this.#note(more)) ?? true;
        left.push(...more.map((outcome) => ({ outcome, remembered: written })));
      }
    }
  }

  async #performOne(
    { entry, effects }: Outcome<PeerSlot>,
    remembered: boolean,
  ): Promise<readonly SessionEvent[]> {
    const answers: SessionEvent[] = [];
    let refused = !remembered;
    for (const effect of effects) {
      if (effect.kind === 'event') this.#tell(entry, effect.event);
      else if (entry) {
        // A reply says that the tunnel is ready; after a refused `admit` it would not be true.
        if (refused && effect.kind === 'send' && effect.purpose === 'reply') continue;
        if (refused && effect.kind === 'admit') {
          answers.push({ kind: 'admit-failed', path: effect.path });
          continue;
        }
        const answer = await this.#performFor(entry, effect);
        refused ||= answer?.kind === 'admit-failed';
        if (answer) answers.push(answer);
      }
    }
    return answers;
  }

  #tell(entry: PeerSlot | undefined, event: TunnelEvent): void {
    const { level, words, fields } = wordsOf(event);
    const several = entry !== undefined && this.table.directory.size > 1;
    this.#ports.log(level, words, several ? { peer: entry.peer.id, ...fields } : fields);
  }

  /** Carries out one effect; returns the event that answers it, if it has one right away. */
  async #performFor(
    slot: PeerSlot,
    effect: Exclude<SessionEffect, { kind: 'event' }>,
  ): Promise<SessionEvent | undefined> {
    switch (effect.kind) {
      case 'remember':
        // Taken with the step (#note).
        break;
      case 'admit': {
        this.#cancelEvict(slot);
        const admitted = await this.#admission.admit(slot, effect.path);
        if (!admitted) return { kind: 'admit-failed', path: effect.path };
        this.#ports.onPath(effect.path);
        break;
      }
      case 'evict':
        await this.evict(slot);
        break;
      case 'send':
        await this.#sender.send(slot, effect);
        break;
      case 'resolve':
        void this.#lookups.resolve(slot, effect.host);
        break;
      case 'locate':
        void this.#lookups.locate(slot, effect.remote);
        break;
      case 'limit-mtu':
        await this.#limitMtu(slot, effect.mtu);
        break;
      case 'poll-counters':
        return this.#pollCounters(slot);
    }
    return undefined;
  }

  #cancelEvict(slot: PeerSlot): void {
    this.#evicting.get(slot)?.();
    this.#evicting.delete(slot);
  }

  /** A limit that cannot be set costs big packets, not the tunnel. */
  async #limitMtu({ peer }: PeerSlot, mtu: number | undefined): Promise<void> {
    try {
      await this.#ports.plane.limitMtu(peer.id, mtu);
    } catch (error) {
      this.#ports.log('warn', 'cannot set the MTU towards a peer', {
        peer: peer.id,
        mtu,
        ...explain(error),
      });
    }
  }

  async #pollCounters(slot: PeerSlot): Promise<SessionEvent | undefined> {
    try {
      const { rxPackets, txPackets, heardAt } = await this.#ports.plane.counters(slot.peer.id);
      return { kind: 'counters', counts: { rxPackets, txPackets }, heardAt };
    } catch (error) {
      this.#ports.log('debug', 'cannot read counters', explain(error));
      return undefined;
    }
  }
}

function peersOf(outcomes: readonly Outcome<PeerSlot>[]): readonly PeerSlot[] {
  const peers = outcomes.flatMap(({ entry }) => entry ?? []);
  return peers.length > 1 ? [...new Set(peers)] : peers;
}

async function bothOf(
  one: Promise<boolean> | undefined,
  other: Promise<boolean>,
): Promise<boolean> {
  const told = await Promise.all([one ?? true, other]);
  return told.every(Boolean);
}

/** What fits into packets that fit a hop. */
function innerMtu({ remote, mtu }: Extract<OuterError, { kind: 'too-big' }>): number | undefined {
  return mtu === undefined ? undefined : mtu - overheadOf(familyOf(remote.ip));
}
