import type { Ipv4, Path } from '../core/addr.ts';
import type {
  SessionEffect,
  SessionEvent,
  SessionMemory,
  SessionStatus,
} from '../core/session/types.ts';
import { millis, type Instant, type Millis } from '../core/units.ts';
import type { Clock } from '../ports/clock.ts';
import type { DataPlane, PeerCounters, PeerId } from '../ports/data-plane.ts';
import type { Resolver } from '../ports/host-network.ts';
import type { Log } from '../ports/log.ts';
import { Admission } from './admission.ts';
import { explain } from './explain.ts';
import { CLOSE_TIMEOUT, MEMORY_RETRY, RESOLVE_TIMEOUT } from './limits.ts';

/*
 * One tunnel's event loop. Events queue up; each is given to the session core as a whole, and all
 * that the core wants done is done, in its order, before the next event is looked at. So the core,
 * the plane and the memory on disk never disagree about what came first, and the plane's calls are
 * made one at a time. What may take long (names, routes) runs beside the queue and comes back as
 * an event. Nothing here rejects: a failed effect becomes an event, a log line, or the end.
 */

/** The session core with its config and crypto bound. */
export interface SessionMachine {
  /** Advances by one event; returns what is to be done and when to wake (monotonic). */
  step(
    event: SessionEvent,
    now: Instant,
  ): { readonly effects: readonly SessionEffect[]; readonly wakeAt: Millis | undefined };
  status(now: Instant): SessionStatus;
}

export type DriverPorts = {
  readonly machine: SessionMachine;
  readonly plane: DataPlane;
  readonly peer: PeerId;
  readonly clock: Clock;
  readonly log: Log;
  readonly resolver: Resolver;
  /** The local address to reach `remote` from; undefined when there is no route. */
  readonly locate: (remote: Ipv4) => Promise<Ipv4 | undefined>;
  /** Durable when it returns; throws when it cannot be. */
  readonly remember: (memory: SessionMemory) => void;
  /** The plane carries another path, or none. */
  readonly onPath: (path: Path | undefined) => void;
  /** The tunnel cannot go on; called once. */
  readonly onFatal: (error: Error) => void;
};

export class Driver {
  readonly #ports: DriverPorts;
  readonly #admission: Admission;
  readonly #closing = new AbortController();
  #tail: Promise<void> = Promise.resolve();
  #cancelWake: (() => void) | undefined;
  #cancelEvict: (() => void) | undefined;
  #cancelSave: (() => void) | undefined;
  #resolving: AbortController | undefined;
  #remote: Ipv4 | undefined;
  #local: Ipv4 | undefined;
  #lookups = 0;
  #answerDue = false;
  #unsaved: SessionMemory | undefined;
  #memoryTrouble: string | undefined;
  #sendTrouble: string | undefined;
  #fatal = false;

  constructor(ports: DriverPorts) {
    this.#ports = ports;
    this.#admission = new Admission(ports.plane, ports.peer, ports.plane.adopted.get(ports.peer), {
      clock: ports.clock,
      log: ports.log,
      onFatal: (error) => this.fail(error),
    });
  }

  /** Resolves when everything that the event brings about is done. Never rejects. */
  dispatch(event: SessionEvent): Promise<void> {
    return this.#enqueue(() => this.#advance(event));
  }

  /** Runs plane work between events, with the plane to itself. Rejects as `work` does, or when closing. */
  exclusive<T>(work: (plane: DataPlane) => Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      void this.#enqueue(() => work(this.#ports.plane).then(resolve, reject)).then(() =>
        reject(new Error('the tunnel is being taken down')),
      );
    });
  }

  /** Looks again for the local address towards the remote; tells the core when it is another. */
  async relocate(): Promise<void> {
    if (this.#remote !== undefined) await this.#locate(this.#remote, false);
  }

  status(): { readonly session: SessionStatus; readonly troubles: readonly string[] } {
    const troubles = [this.#admission.trouble, this.#memoryTrouble, this.#sendTrouble];
    return {
      session: this.#ports.machine.status(this.#ports.clock.now()),
      troubles: troubles.filter((trouble) => trouble !== undefined),
    };
  }

  /** The path that the plane carries now. */
  get path(): Path | undefined {
    return this.#admission.path;
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
    this.#cancelEvict?.();
    this.#cancelSave?.();
    this.#resolving?.abort();
    this.#resolving = undefined;
    if (this.#unsaved) this.#save(this.#unsaved);
    this.#cancelSave?.();
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

  async #advance(first: SessionEvent): Promise<void> {
    const events: SessionEvent[] = [first];
    for (let event = events.shift(); event; event = events.shift()) {
      const { effects, wakeAt } = this.#ports.machine.step(event, this.#ports.clock.now());
      this.#wakeAt(wakeAt);
      const refused = new Set<Path>();
      for (const effect of effects) {
        const answer = await this.#perform(effect, refused.size > 0);
        if (answer?.kind === 'admit-failed') refused.add(answer.path);
        if (answer) events.push(answer);
      }
    }
  }

  #wakeAt(at: Millis | undefined): void {
    this.#cancelWake?.();
    this.#cancelWake = undefined;
    if (at === undefined || this.#closing.signal.aborted) return;
    this.#cancelWake = this.#ports.clock.callAt(at, () => void this.dispatch({ kind: 'wake' }));
  }

  /** Carries out one effect; returns the event that answers it, if it has one right away. */
  async #perform(effect: SessionEffect, refused: boolean): Promise<SessionEvent | undefined> {
    switch (effect.kind) {
      case 'remember':
        this.#save(effect.memory);
        break;
      case 'admit': {
        this.#cancelEvict?.();
        const admitted = await this.#admission.admit(effect.path);
        if (!admitted) return { kind: 'admit-failed', path: effect.path };
        this.#ports.onPath(effect.path);
        break;
      }
      case 'evict':
        await this.#evict();
        break;
      case 'send':
        // A reply says that the tunnel is ready; after a refused `admit` it would not be true.
        if (!(refused && effect.purpose === 'reply')) await this.#send(effect);
        break;
      case 'resolve':
        void this.#resolve(effect.host);
        break;
      case 'locate':
        void this.#locate(effect.remote, true);
        break;
      case 'poll-counters':
        return this.#pollCounters();
      case 'log':
        this.#ports.log(effect.level, effect.event, effect.fields);
        break;
    }
    return undefined;
  }

  async #evict(): Promise<void> {
    this.#cancelEvict?.();
    this.#cancelEvict = undefined;
    if (await this.#admission.evict()) {
      this.#ports.onPath(undefined);
      return;
    }
    // A peer that must go and does not is a hole: keep at it until it is gone or we are.
    this.#cancelEvict = this.#ports.clock.callAt(this.#admission.notBefore, () => {
      void this.#enqueue(() => this.#evict());
    });
  }

  async #send(effect: SessionEffect & { kind: 'send' }): Promise<void> {
    try {
      await this.#ports.plane.send({
        path: effect.path,
        payload: effect.payload,
        ttl: effect.ttl,
      });
      if (this.#sendTrouble !== undefined) this.#ports.log('info', 'sending works again');
      this.#sendTrouble = undefined;
    } catch (error) {
      const fields = explain(error);
      const trouble = `cannot send (${effect.purpose}): ${fields['error']}`;
      // The same failure again is no news: keepalives would fill the log while a link is down.
      const level = trouble === this.#sendTrouble ? 'debug' : 'warn';
      this.#ports.log(level, `cannot send (${effect.purpose})`, fields);
      this.#sendTrouble = trouble;
    }
  }

  /**
   * Memory that cannot be written does not stop the tunnel: while this process lives, its own
   * state protects from replays, and a full disk should not cost the only way to a machine. It is
   * told loudly and tried again.
   */
  #save(memory: SessionMemory): void {
    this.#cancelSave?.();
    this.#cancelSave = undefined;
    try {
      this.#ports.remember(memory);
      this.#unsaved = undefined;
      if (this.#memoryTrouble !== undefined) this.#ports.log('info', 'memory is written again');
      this.#memoryTrouble = undefined;
    } catch (error) {
      this.#unsaved = memory;
      const fields = explain(error);
      this.#memoryTrouble = `replay protection would not survive a restart: ${fields['error']}`;
      this.#ports.log('error', 'cannot write the session memory', fields);
      const { clock } = this.#ports;
      this.#cancelSave = clock.callAt(millis(clock.now().monotonic + MEMORY_RETRY), () => {
        if (this.#unsaved) this.#save(this.#unsaved);
      });
    }
  }

  async #pollCounters(): Promise<SessionEvent | undefined> {
    let counters: PeerCounters;
    try {
      counters = await this.#ports.plane.counters(this.#ports.peer);
    } catch (error) {
      this.#ports.log('debug', 'cannot read counters', explain(error));
      return undefined;
    }
    const counts = { rxPackets: counters.rxPackets, txPackets: counters.txPackets };
    return { kind: 'counters', counts };
  }

  /** One resolution at a time: the newest question counts. */
  async #resolve(host: string): Promise<void> {
    this.#resolving?.abort();
    const attempt = new AbortController();
    this.#resolving = attempt;
    const { clock, log, resolver } = this.#ports;
    const cancel = clock.callAt(millis(clock.now().monotonic + RESOLVE_TIMEOUT), () =>
      attempt.abort('no answer in time'),
    );
    let addresses: readonly Ipv4[] = [];
    try {
      addresses = await raceAbort(resolver.resolve(host, attempt.signal), attempt.signal);
    } catch (error) {
      if (this.#resolving === attempt)
        log('warn', 'name does not resolve', { host, ...explain(error) });
    }
    cancel();
    if (this.#resolving !== attempt || this.#closing.signal.aborted) return;
    this.#resolving = undefined;
    await this.dispatch({ kind: 'resolved', addresses });
  }

  async #locate(remote: Ipv4, answerAnyway: boolean): Promise<void> {
    this.#remote = remote;
    this.#lookups += 1;
    // A look that is overtaken leaves its answer to the newer one.
    this.#answerDue ||= answerAnyway;
    const lookup = this.#lookups;
    let local: Ipv4 | undefined;
    try {
      local = await this.#ports.locate(remote);
    } catch (error) {
      this.#ports.log('warn', 'cannot look up the route', { remote, ...explain(error) });
    }
    if (this.#lookups !== lookup || (!this.#answerDue && local === this.#local)) return;
    this.#answerDue = false;
    this.#local = local;
    await this.dispatch({ kind: 'local', ip: local });
  }
}

/** `work`'s result, unless `signal` aborts first: a resolver that ignores its signal cannot hold us. */
function raceAbort<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    signal.addEventListener('abort', () => reject(new Error(String(signal.reason))), {
      once: true,
    });
    work.then(resolve, reject);
  });
}
