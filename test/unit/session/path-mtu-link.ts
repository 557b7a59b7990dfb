/** A simulated path for path MTU discovery: sizes, losses, latency, order; time is the test's. */
import {
  createPathMtu,
  pathLimit,
  pathMtuWakeAt,
  setCeiling,
  takeTooBig,
  takeTraffic,
} from '../../../src/core/session/path-mtu.ts';
import {
  pathReport,
  runPathMtu,
  takeAnswer,
  UNPADDED,
  type PathMtu,
} from '../../../src/core/session/path-mtu-search.ts';
import type { Family } from '../../../src/core/addr.ts';
import { pathSizes } from '../../../src/core/session/path-mtu-limits.ts';
import { overheadOf } from '../../../src/core/wire/overhead.ts';
import { millis } from '../../../src/core/units.ts';

export type LinkOptions = {
  outer?: Family;
  ipv6Inside?: boolean;
  /** Largest inner packet there and back. */
  forward?: number;
  back?: number;
  /** Chance that a packet is lost either way, 0..1. */
  loss?: number;
  /** Milliseconds there and back, and by how much more it may be. */
  roundTrip?: number;
  jitter?: number;
  replies?: 'exact' | 'bare' | 'none' | 'unpadded';
  seed?: number;
};

const BASIC_LENGTH = 90;
const BARE_LENGTH = 73;

export class Link {
  state: PathMtu;
  now = 0;
  forward: number;
  back: number;
  loss: number;
  replies: NonNullable<LinkOptions['replies']>;
  readonly #roundTrip: number;
  readonly #jitter: number;
  #seed: number;
  #arrivals: { at: number; length: number }[] = [];
  /** Every probe that was sent. */
  readonly sent: { at: number; size: number }[] = [];
  /** The limit whenever it changed. */
  readonly limits: { at: number; limit: number | undefined }[] = [];
  /** What the peer was told last. */
  told: number | undefined;

  constructor(options: LinkOptions = {}, probing = true, ceiling?: number) {
    const { outer = 'ipv4', ipv6Inside = false } = options;
    const whole = 1500 - overheadOf(outer);
    this.state = createPathMtu(pathSizes(outer, ipv6Inside), probing, ceiling ?? whole);
    this.forward = options.forward ?? whole;
    this.back = options.back ?? this.forward;
    this.loss = options.loss ?? 0;
    this.replies = options.replies ?? 'exact';
    this.#roundTrip = options.roundTrip ?? 40;
    this.#jitter = options.jitter ?? 0;
    this.#seed = options.seed ?? 1;
  }

  get limit(): number | undefined {
    return pathLimit(this.state);
  }

  /** A regular request is answered. */
  answered(): void {
    this.#hear(this.replies === 'bare' ? BARE_LENGTH : BASIC_LENGTH);
  }

  tooBig(size: number | undefined): void {
    this.#take(takeTooBig(this.state, size, millis(this.now)));
  }

  ceiling(size: number): void {
    this.#take(setCeiling(this.state, size));
  }

  /** Time passes; `flow` says of each two seconds whether data came and went. */
  pass(duration: number, flow?: (at: number) => { received: boolean; sent: boolean }): void {
    const end = this.now + duration;
    let poll = this.now + 2000;
    for (;;) {
      const wake = pathMtuWakeAt(this.state);
      const arrival = Math.min(...this.#arrivals.map(({ at }) => at));
      const next = Math.min(wake ?? Infinity, arrival, flow ? poll : Infinity);
      if (next > end) break;
      this.now = Math.max(this.now, next);
      if (arrival === next) this.#arrive();
      else if (flow && poll === next) {
        this.#take(takeTraffic(this.state, flow(this.now), millis(this.now)));
        poll += 2000;
      } else this.#run();
    }
    this.now = end;
  }

  #run(): void {
    const { state, probes } = runPathMtu(this.state, millis(this.now));
    if (probes.length === 0 && state === this.state) throw new Error('woken for nothing');
    this.#take(state);
    for (const size of probes) this.#send(size);
  }

  #send(size: number): void {
    this.sent.push({ at: this.now, size });
    if (size > this.forward || this.#lost()) return;
    this.told = pathReport(this.state);
    if (this.replies === 'none' || this.#lost()) return;
    if (this.replies === 'unpadded' && size !== UNPADDED) return;
    const exact = Math.max(size, BASIC_LENGTH);
    const length = this.replies === 'bare' ? BARE_LENGTH : exact;
    if (length > this.back) return;
    this.#arrivals.push({ at: this.now + this.#roundTrip + this.#random() * this.#jitter, length });
  }

  #arrive(): void {
    const [first, ...rest] = this.#arrivals.toSorted((a, b) => a.at - b.at);
    this.#arrivals = rest;
    if (first) this.#hear(first.length);
  }

  #hear(length: number): void {
    const answer =
      length === BARE_LENGTH ? ({ kind: 'bare' } as const) : ({ kind: 'exact', length } as const);
    this.#take(takeAnswer(this.state, answer, millis(this.now)));
  }

  #take(state: PathMtu): void {
    const before = this.limit;
    this.state = state;
    if (this.limit !== before) this.limits.push({ at: this.now, limit: this.limit });
  }

  #lost(): boolean {
    return this.#random() < this.loss;
  }

  /** Repeatable (mulberry32). */
  #random(): number {
    this.#seed = (this.#seed + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#seed ^ (this.#seed >>> 15), 1 | this.#seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  }
}
