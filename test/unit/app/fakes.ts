import type { OuterIp, Path } from '../../../src/core/addr.ts';
import type {
  SessionEffect,
  SessionEvent,
  SessionMemory,
  StepResult,
} from '../../../src/core/session/types.ts';
import { millis, port, seconds, type Instant, type Millis } from '../../../src/core/units.ts';
import {
  DEFAULT_PEER,
  type PeerConfig,
  type PeerId,
  type TunnelConfig,
} from '../../../src/core/config/tunnel-config.ts';
import { createSession, type SessionState } from '../../../src/core/session/step.ts';
import type { SessionCore } from '../../../src/core/session/table.ts';
import type { Clock } from '../../../src/ports/clock.ts';
import type {
  DataPlane,
  OutgoingControl,
  PeerCounters,
  PeerDescription,
  PlaneCapabilities,
  PlanePeer,
  PeerProperties,
  TakenPrefix,
  PlaneDescription,
} from '../../../src/ports/data-plane.ts';
import type { ReachHost } from '../../../src/ports/reach.ts';
import type { KeptSession } from '../../../src/core/session/secure/state.ts';
import type { MemoryJournal, MemoryStore, SessionKeeper } from '../../../src/ports/run-store.ts';
import type { Log, LogFields, LogLevel } from '../../../src/ports/log.ts';
import type { Tell } from '../../../src/ports/tell.ts';
import { toldTo } from '../../../src/app/told-to.ts';
import { inner } from '../../rig/addresses.ts';

export const ip = (text: string): OuterIp => text as OuterIp;

/** A path from 192.0.2.1:10000 to 198.51.100.`last`:20000. */
export function pathTo(last: number): Path {
  return {
    local: { ip: ip('192.0.2.1'), port: port(10000) },
    remote: { ip: ip(`198.51.100.${last}`), port: port(20000) },
  };
}

/** Lets every promise that can settle do so. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 50; turn += 1) await Promise.resolve();
}

/** A clock that goes only when it is told to. */
export class FakeClock implements Clock {
  #now = 0;
  readonly #timers = new Set<{ readonly at: number; readonly callback: () => void }>();

  now(): Instant {
    return { monotonic: millis(this.#now), unix: millis(1_700_000_000_000 + this.#now) };
  }

  callAt(at: Millis, callback: () => void): () => void {
    const timer = { at, callback };
    this.#timers.add(timer);
    return () => void this.#timers.delete(timer);
  }

  get pending(): readonly number[] {
    return [...this.#timers].map(({ at }) => at).toSorted((a, b) => a - b);
  }

  /** Goes on by `duration` milliseconds, timer by timer, letting promises settle after each. */
  async advance(duration: number): Promise<void> {
    const end = this.#now + duration;
    for (;;) {
      const due = [...this.#timers].filter(({ at }) => at <= end);
      const [next] = due.toSorted((a, b) => a.at - b.at);
      if (!next) break;
      this.#timers.delete(next);
      this.#now = Math.max(this.#now, next.at);
      next.callback();
      await settle();
    }
    this.#now = end;
  }
}

/** A plane that writes down its calls and fails where it is told to. */
export class FakePlane implements DataPlane {
  readonly name = 'tun';
  capabilities: PlaneCapabilities = {
    maxPeers: undefined,
    integrity: ['none'],
    counting: 'exact',
  };
  readonly adopted = new Map<PeerId, Path>();
  readonly calls: string[] = [];
  readonly watched = new Set<number>();
  readonly fail: Partial<
    Record<'admit' | 'evict' | 'send' | 'counters' | 'close' | 'refresh', Error>
  > = {};
  /** Awaited by `admit`: holds it back. */
  gate: Promise<void> = Promise.resolve();
  taken: readonly TakenPrefix[] = [];
  counts: PeerCounters = { rxPackets: 0n, rxBytes: 0n, txPackets: 0n, txBytes: 0n };

  async admit(_peer: PeerId, { path }: PeerProperties): Promise<void> {
    this.calls.push(`admit ${path.remote.ip}`);
    await this.gate;
    if (this.fail.admit) throw this.fail.admit;
    this.calls.push(`admitted ${path.remote.ip}`);
  }

  async evict(): Promise<void> {
    this.calls.push('evict');
    if (this.fail.evict) throw this.fail.evict;
  }

  async send({ path, payload }: OutgoingControl): Promise<void> {
    this.calls.push(`send ${payload.length} to ${path.remote.ip}`);
    if (this.fail.send) throw this.fail.send;
  }

  async counters(): Promise<PeerCounters> {
    this.calls.push('counters');
    if (this.fail.counters) throw this.fail.counters;
    return this.counts;
  }

  async describe(): Promise<PlaneDescription> {
    return { device: 'ipipou0', mtu: 1472, refused: { guard: 7n }, taken: this.taken };
  }

  async describePeer(peer: PeerId): Promise<PeerDescription> {
    return {
      ...(await this.counters()),
      device: 'ipipou0',
      mtu: 1472,
      localAlt: undefined,
      refused: {},
      taken: this.taken.filter((one) => one.peer === peer),
    };
  }

  async configure(peers: readonly PlanePeer[]): Promise<void> {
    this.calls.push(`configure ${peers.map(({ id }) => id).join(' ')}`);
  }

  async watch(lengths: readonly number[]): Promise<void> {
    for (const length of lengths) this.watched.add(length);
  }

  async remove(peers: readonly PeerId[]): Promise<void> {
    this.calls.push(`remove ${peers.join(' ')}`);
  }

  async limitMtu(peer: PeerId, mtu: number | undefined): Promise<void> {
    this.calls.push(`limit ${peer} to ${mtu}`);
  }

  async refresh(): Promise<void> {
    this.calls.push('refresh');
    if (this.fail.refresh) throw this.fail.refresh;
  }

  async close(mode: 'remove' | 'leave'): Promise<void> {
    this.calls.push(`close ${mode}`);
    if (this.fail.close) throw this.fail.close;
  }
}

/** A server's peer that needs no proof. */
export function peerConfig(id: PeerId = DEFAULT_PEER): PeerConfig {
  return {
    id,
    proof: { kind: 'none' },
    auth: {
      byRemoteIp: false,
      byRemotePort: false,
      packetTtl: undefined,
      replyOnAuthOk: false,
      session: 'v1',
      integrity: 'none',
    },
    timers: {
      authLifetime: seconds(0),
      keepalive: seconds(0),
      connectionIdle: seconds(120),
      deadPeerTimeout: seconds(30),
    },
    remoteHost: undefined,
    remotePort: undefined,
    innerIps: [inner('172.28.0.1')],
    allowedIps: 'any',
  };
}

/** A session that answers events with the effects a test gives it. */
export class ScriptedCore implements SessionCore {
  readonly events: SessionEvent[] = [];
  readonly answers: {
    readonly kind: SessionEvent['kind'];
    readonly effects: readonly SessionEffect[];
  }[] = [];
  wakeAt: Millis | undefined;

  /** The next event of this kind brings these effects; one that nothing is scripted for, none. */
  on(kind: SessionEvent['kind'], ...effects: readonly SessionEffect[]): this {
    this.answers.push({ kind, effects });
    return this;
  }

  readonly create = createSession;

  step: SessionCore['step'] = (_config, _tools, state, event) => this.answer(state, event);

  answer(state: SessionState, event: SessionEvent): StepResult<SessionState> {
    this.events.push(event);
    const index = this.answers.findIndex(({ kind }) => kind === event.kind);
    const [answer] = index < 0 ? [] : this.answers.splice(index, 1);
    const { wakeAt } = this;
    return { state, effects: answer?.effects ?? [], wakeAt, refusal: undefined };
  }

  get kinds(): readonly string[] {
    return this.events.map(({ kind }) => kind);
  }
}

/** Memory that stays in memory. */
export class FakeMemory implements MemoryStore, MemoryJournal {
  readonly kept = new Map<PeerId, SessionMemory>();
  readonly loaded: PeerId[] = [];
  readonly learned: PeerId[] = [];
  readonly saved: SessionMemory[] = [];
  damage: readonly string[] = [];
  /** Why nothing can be written. */
  fails: Error | undefined;
  /** Awaited by `flush`: a slow disk. */
  disk: Promise<void> = Promise.resolve();
  flushes = 0;

  async open(
    _config: TunnelConfig,
    { remotes }: { readonly remotes: boolean },
  ): Promise<MemoryJournal> {
    if (this.fails) throw this.fails;
    for (const [id, memory] of this.kept) {
      if (!remotes) this.kept.set(id, { ...memory, remote: undefined });
    }
    return this;
  }

  load({ id }: PeerConfig): SessionMemory | undefined {
    this.loaded.push(id);
    return this.kept.get(id);
  }

  learn(peers: readonly PeerConfig[]): void {
    this.learned.push(...peers.map(({ id }) => id));
  }

  note({ id }: PeerConfig, memory: SessionMemory): void {
    this.kept.set(id, memory);
    this.saved.push(memory);
  }

  forget({ id }: PeerConfig): void {
    const memory = this.kept.get(id);
    if (memory) this.kept.set(id, { ...memory, remote: undefined });
  }

  async flush(): Promise<void> {
    this.flushes += 1;
    await this.disk;
    if (this.fails) throw this.fails;
  }

  async close(): Promise<void> {}
}

export type Line = { readonly level: LogLevel; readonly event: string; readonly fields: LogFields };

/** A log that keeps its lines. */
export function keepLog(): { readonly log: Log; readonly tell: Tell; readonly lines: Line[] } {
  const lines: Line[] = [];
  const log: Log = (level, event, fields = {}) => void lines.push({ level, event, fields });
  return { lines, log, tell: toldTo(log) };
}

/** A host on which nothing is exposed. */
export const unreachable: ReachHost = {
  open: async () => ({
    expose: async () => undefined,
    counts: () => [],
    lead: async () => undefined,
    keepOutside: async () => undefined,
    lookingUp: (work) => work(),
    facts: () => [],
    close: async () => undefined,
  }),
  require: async () => undefined,
  killSwitch: () => {
    throw new Error('no kill switch here');
  },
  clean: async () => undefined,
};

/** Keeps sessions as a run directory does. */
export class FakeSessions implements SessionKeeper {
  readonly kept = new Map<PeerId, KeptSession>();

  load(peer: PeerId): KeptSession | undefined {
    return this.kept.get(peer);
  }

  keep(peer: PeerId, record: KeptSession | undefined): void {
    if (record === undefined) this.kept.delete(peer);
    else this.kept.set(peer, record);
  }
}
