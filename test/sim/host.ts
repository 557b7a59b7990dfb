import { samePath, type Endpoint, type Ipv4, type Path } from '../../src/core/addr.ts';
import { schemeOf, isInnerPacket } from '../../src/core/auth/schemes.ts';
import {
  createSession,
  sessionStatus,
  step,
  type SessionState,
} from '../../src/core/session/step.ts';
import type {
  SessionConfig,
  SessionCrypto,
  SessionEffect,
  SessionEvent,
  SessionMemory,
  SessionStatus,
} from '../../src/core/session/types.ts';
import { millis, type Instant, type Millis } from '../../src/core/units.ts';
import type { Cancel, Clockwork } from './clockwork.ts';
import type { Datagram } from './network.ts';

/** One call of `step`, as the referee sees it. */
export type Move = {
  readonly host: Host;
  readonly before: SessionState;
  readonly event: SessionEvent;
  readonly effects: readonly SessionEffect[];
  readonly after: SessionState;
  readonly wakeAt: Millis | undefined;
  readonly now: Instant;
};

export type HostOptions = {
  readonly name: string;
  readonly config: SessionConfig;
  readonly crypto: SessionCrypto;
  readonly ip: Ipv4;
  /** Puts a packet on the host's link. */
  readonly uplink: (datagram: Datagram) => void;
  readonly resolve: (host: string) => readonly Ipv4[];
  readonly watch: (move: Move) => void;
};

/** Unix time at which the world begins. */
const EPOCH = 1_795_000_000_000;
/** How long names and routes take to look up. */
const LOOKUP = 5;

/** An inner packet of 28 bytes, as a plane carries it. */
export const DATA = Uint8Array.from([0x45, 0, 0, 28, ...new Uint8Array(24).fill(1)]);

/**
 * A machine: a session core, a plane reduced to what matters (one admitted path, counters), a disk
 * and a clock. It carries out effects as a real driver does, one event at a time.
 */
export class Host {
  readonly options: HostOptions;
  /** What the disk holds. */
  memory: SessionMemory | undefined;
  /** The path that the plane carries. */
  admitted: Path | undefined;
  /** The local address; undefined = no route. */
  ip: Ipv4 | undefined;
  running = false;
  /** Milliseconds that this machine's clock is ahead of true time. */
  skew = 0;
  /** Probability that the plane refuses an `admit`. */
  admitFailure = (): boolean => false;
  rxPackets = 0n;
  txPackets = 0n;
  readonly logged: string[] = [];
  state: SessionState;
  #wake: Cancel | undefined;
  #wakeAt: Millis | undefined;
  readonly #clockwork: Clockwork;
  readonly #authLengths: readonly number[];

  constructor(clockwork: Clockwork, options: HostOptions) {
    this.#clockwork = clockwork;
    this.options = options;
    this.ip = options.ip;
    this.#authLengths = schemeOf(options.config.auth.proof).authLengths;
    this.state = createSession(options.config, this.now());
  }

  now(): Instant {
    const { now } = this.#clockwork;
    return { monotonic: millis(now), unix: millis(Math.round(EPOCH + now + this.skew)) };
  }

  get status(): SessionStatus {
    return sessionStatus(this.options.config, this.state, this.now());
  }

  /** Starts the daemon; whatever the plane still carries is adopted. */
  start(): void {
    this.state = createSession(this.options.config, this.now());
    this.running = true;
    this.dispatch({ kind: 'start', memory: readBack(this.memory), adopted: this.admitted });
  }

  /** The daemon dies; the plane goes on forwarding, as a kernel does. */
  kill(): void {
    this.running = false;
    this.#wake?.();
    this.#wakeAt = undefined;
  }

  /** The machine loses power: the plane is gone too, the disk stays. */
  reboot(): void {
    this.kill();
    this.admitted = undefined;
    this.rxPackets = 0n;
    this.txPackets = 0n;
  }

  /** The route comes, goes or changes; the daemon is told unless the news gets lost. */
  moveTo(ip: Ipv4 | undefined, told = true): void {
    this.ip = ip;
    if (told) this.dispatch({ kind: 'local', ip });
  }

  /** Sends a data packet, if there is a tunnel. */
  sendData(): void {
    if (this.admitted === undefined) return;
    this.txPackets++;
    this.#transmit(this.admitted, DATA);
  }

  /** A packet arrives; gives back whether it was data of the admitted peer. */
  receive(datagram: Datagram): boolean {
    const path = { local: datagram.to, remote: datagram.from };
    if (datagram.to.port !== this.options.config.localPort) return false;
    const carried = this.admitted !== undefined && samePath(this.admitted, path);
    if (carried && this.#isData(datagram.payload)) {
      this.rxPackets++;
      return true;
    }
    this.dispatch({ kind: 'packet', path, payload: datagram.payload });
    return false;
  }

  dispatch(event: SessionEvent): void {
    if (!this.running) return;
    const due = this.#wakeAt !== undefined && this.#wakeAt <= this.#clockwork.now;
    const events: SessionEvent[] = due ? [{ kind: 'wake' }, event] : [event];
    for (let next = events.shift(); next; next = events.shift()) {
      const before = this.state;
      const now = this.now();
      const { config, crypto } = this.options;
      const result = step(config, crypto, before, next, now);
      this.state = result.state;
      this.#schedule(result.wakeAt);
      this.options.watch({
        host: this,
        before,
        event: next,
        effects: result.effects,
        after: result.state,
        wakeAt: result.wakeAt,
        now,
      });
      for (const effect of result.effects) {
        const answer = this.#perform(effect);
        if (answer) events.push(answer);
      }
    }
  }

  #isData(payload: Uint8Array): boolean {
    return isInnerPacket(payload) && !this.#authLengths.includes(payload.length);
  }

  #schedule(wakeAt: Millis | undefined): void {
    this.#wake?.();
    this.#wakeAt = wakeAt;
    this.#wake =
      wakeAt === undefined
        ? undefined
        : this.#clockwork.at(wakeAt, () => this.dispatch({ kind: 'wake' }));
  }

  #perform(effect: SessionEffect): SessionEvent | undefined {
    switch (effect.kind) {
      case 'remember':
        this.memory = effect.memory;
        break;
      case 'admit':
        if (this.admitFailure()) return { kind: 'admit-failed', path: effect.path };
        this.admitted = effect.path;
        break;
      case 'evict':
        this.admitted = undefined;
        break;
      case 'send':
        this.#transmit(effect.path, effect.payload);
        break;
      case 'resolve': {
        const { host } = effect;
        this.#clockwork.after(LOOKUP, () =>
          this.dispatch({ kind: 'resolved', addresses: this.options.resolve(host) }),
        );
        break;
      }
      case 'locate':
        this.#clockwork.after(LOOKUP, () => this.dispatch({ kind: 'local', ip: this.ip }));
        break;
      case 'poll-counters': {
        const { rxPackets, txPackets } = this;
        return { kind: 'counters', counts: { rxPackets, txPackets } };
      }
      case 'log':
        this.logged.push(effect.event);
        break;
    }
    return undefined;
  }

  /** A packet leaves only while its source address is the machine's. */
  #transmit(path: Path, payload: Uint8Array): void {
    const from: Endpoint = path.local;
    if (from.ip === this.ip)
      this.options.uplink({ from, to: path.remote, payload: payload.slice() });
  }
}

/** What a disk gives back of a value written as JSON. */
function readBack(memory: SessionMemory | undefined): SessionMemory | undefined {
  return memory && (JSON.parse(JSON.stringify(memory)) as SessionMemory);
}
