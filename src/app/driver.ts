import { overheadOf } from '../core/wire/overhead.ts';
import { familyOf, type Path } from '../core/addr.ts';
import type { PeerConfig, Proof } from '../core/config/tunnel-config.ts';
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

/*
 * One tunnel's event loop. Events queue up; each is given to the session of its peer as a whole, and
 * all that the session wants done is done, in its order, before the next event is looked at. So the
 * sessions, the plane and the memory on disk never disagree about what came first, and the plane's
 * calls are made one at a time. What may take long (names, routes) runs beside the queue and comes
 * back as an event. Nothing here rejects: a failed effect becomes an event, a log line, or the end.
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
  readonly memories: Memories;
  /** The plane carries another path of a peer, or none. */
  readonly onPath: (path: Path | undefined) => void;
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
  #tail: Promise<void> = Promise.resolve();
  #wakeAt: Millis | undefined;
  #cancelWake: (() => void) | undefined;
  #outerErrors = 0;
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
    for (const slot of slots) {
      if (++count % START_BATCH === 0) await this.#othersTurn();
      if (this.#closing.signal.aborted) return;
      const active = this.table.isActive(slot.peer) || slot.carried !== undefined;
      if (slot.state !== undefined || !(active || mustBegin(slot))) continue;
      await this.#enqueue(async () => {
        if (slot.state !== undefined || !this.#isListed(slot)) return;
        await this.carryOut(this.table.begin(slot, this.#ports.clock.now()));
      });
    }
  }

  /** Resolves when everything that the event brings about is done. Never rejects. */
  dispatch(slot: PeerSlot, event: SessionEvent): Promise<void> {
    return this.#enqueue(async () => {
      if (!this.#isListed(slot)) return;
      await this.carryOut(this.table.advance(slot, event, this.#ports.clock.now()));
    });
  }

  /** Gives a packet to whose it is; resolves when all that it brings about is done. Never rejects. */
  receive({ path, payload }: ControlPacket): Promise<void> {
    return this.#enqueue(() =>
      this.carryOut(this.table.receive(path, payload, this.#ports.clock.now())),
    );
  }

  /** The network complains of packets to a remote. Dropped while too many wait: it may be forged. */
  outerError({ remote, kind, mtu }: OuterError): void {
    if (this.#outerErrors >= OUTER_ERRORS_WAITING) return;
    this.#outerErrors += 1;
    void this.#enqueue(async () => {
      const now = this.#ports.clock.now();
      const inner = mtu === undefined ? undefined : mtu - overheadOf(familyOf(remote.ip));
      const event = kind === 'too-big' ? { kind, mtu: inner } : { kind };
      for (const slot of this.table.atRemote(remote, now)) {
        await this.carryOut(this.table.advance(slot, event, now));
      }
    }).then(() => {
      this.#outerErrors -= 1;
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
      void this.#enqueue(() => work(this.#ports.plane).then(resolve, reject)).then(() =>
        reject(new Error('the tunnel is being taken down')),
      );
    });
  }

  /** Looks again for the local addresses towards remotes; tells the sessions where one is another. */
  relocate(): Promise<void> {
    return this.#lookups.relocate();
  }

  /** How many peers the plane carries. */
  get carried(): number {
    return this.#admission.carried;
  }

  /** What is wrong, in words. */
  get troubles(): readonly string[] {
    const { trouble } = this.memories;
    const memory = trouble === undefined ? [] : [trouble];
    return [...this.#admission.troubles, ...memory, ...this.#sender.troubles];
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
    this.memories.close();
    const { clock } = this.#ports;
    await new Promise<void>((resolve) => {
      const cancel = clock.callAt(millis(clock.now().monotonic + CLOSE_TIMEOUT), resolve);
      const done = (): void => {
        cancel();
        resolve();
      };
      void this.#tail.then(done);
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
    this.#timers.set(slot, undefined);
    this.#arm();
    this.#cancelEvict(slot);
    this.#lookups.forget(slot);
    this.#sender.forget(slot);
    const wasCarried = slot.carried !== undefined;
    this.#admission.forget(slot);
    if (wasCarried) this.#ports.onPath(undefined);
  }

  /** Gives a peer another config (of the same id); its session is over and must be begun again. */
  relist(slot: PeerSlot, peer: PeerConfig): void {
    this.#lookups.forget(slot);
    this.table.directory.relist(slot, () => {
      slot.peer = peer;
      slot.state = undefined;
      slot.wakeAt = undefined;
    });
    this.#timers.set(slot, undefined);
  }

  /** Carries out what a step of the table wants done, and what comes of that. */
  async carryOut(outcomes: readonly Outcome<PeerSlot>[]): Promise<void> {
    const left = [...outcomes];
    this.#setTimers(outcomes);
    for (let next = left.shift(); next; next = left.shift()) {
      const answers = await this.#perform(next);
      for (const answer of answers) {
        if (!next.entry || !this.#isListed(next.entry)) continue;
        const more = this.table.advance(next.entry, answer, this.#ports.clock.now());
        this.#setTimers(more);
        left.push(...more);
      }
    }
  }

  /** Takes a peer out of the plane, and keeps at it until it is out: one that stays is a hole. */
  async evict(slot: PeerSlot): Promise<void> {
    this.#cancelEvict(slot);
    if (await this.#admission.evict(slot)) {
      this.#ports.onPath(undefined);
      return;
    }
    const { clock } = this.#ports;
    const again = (): void => {
      this.#evicting.delete(slot);
      void this.#enqueue(async () => {
        if (this.#isListed(slot)) await this.evict(slot);
      });
    };
    this.#evicting.set(slot, clock.callAt(this.#admission.notBefore(slot), again));
  }

  #othersTurn(): Promise<void> {
    const { clock } = this.#ports;
    return new Promise((resolve) => void clock.callAt(clock.now().monotonic, resolve));
  }

  #isListed(slot: PeerSlot): boolean {
    return this.table.get(slot.peer.id) === slot;
  }

  #enqueue(work: () => Promise<void>): Promise<void> {
    const guarded = async (): Promise<void> => {
      if (this.#closing.signal.aborted) return;
      try {
        await work();
      } catch (error) {
        // Effects handle their own failures: whatever arrives here is a fault of this program.
        this.fail(new Error(`internal error: ${String(error)}`, { cause: error }));
      }
    };
    this.#tail = this.#tail.then(guarded);
    return this.#tail;
  }

  #setTimers(outcomes: readonly Outcome<PeerSlot>[]): void {
    for (const { entry } of outcomes) if (entry) this.#timers.set(entry, entry.wakeAt);
    this.#arm();
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
            void this.#enqueue(() => this.#wakeDue());
          });
  }

  async #wakeDue(): Promise<void> {
    for (let count = 0; count < WAKE_BATCH; count++) {
      const now = this.#ports.clock.now();
      const slot = this.#timers.takeDue(now.monotonic);
      if (slot === undefined) break;
      await this.carryOut(this.table.advance(slot, { kind: 'wake' }, now));
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

  async #perform({ entry, effects }: Outcome<PeerSlot>): Promise<readonly SessionEvent[]> {
    const answers: SessionEvent[] = [];
    let refused = false;
    for (const effect of effects) {
      if (effect.kind === 'log') this.#tell(entry, effect);
      else if (entry) {
        // A reply says that the tunnel is ready; after a refused `admit` it would not be true.
        if (refused && effect.kind === 'send' && effect.purpose === 'reply') continue;
        const answer = await this.#performFor(entry, effect);
        refused ||= answer?.kind === 'admit-failed';
        if (answer) answers.push(answer);
      }
    }
    return answers;
  }

  #tell(entry: PeerSlot | undefined, effect: SessionEffect & { kind: 'log' }): void {
    const several = entry !== undefined && this.table.directory.size > 1;
    const fields = several ? { peer: entry.peer.id, ...effect.fields } : effect.fields;
    this.#ports.log(effect.level, effect.event, fields);
  }

  /** Carries out one effect; returns the event that answers it, if it has one right away. */
  async #performFor(
    slot: PeerSlot,
    effect: Exclude<SessionEffect, { kind: 'log' }>,
  ): Promise<SessionEvent | undefined> {
    switch (effect.kind) {
      case 'remember':
        this.memories.save(slot.peer, effect.memory, effect.lazy !== true);
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
