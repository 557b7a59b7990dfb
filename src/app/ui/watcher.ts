import { NoAnswer } from '../../core/errors.ts';
import type { Clock } from '../../ports/clock.ts';
import type { ControlClient, FeedLine } from '../../ports/control.ts';
import type { RunEntry, RunList } from '../../ports/run-store.ts';
import { surveyTunnels, type SurveyPorts, type Tunnel } from '../management/survey.ts';
import { History, SAMPLE_EVERY } from './history.ts';
import { viewOf, type EventView, type View, type Wanted } from './view.ts';

export type WatcherPorts = Omit<SurveyPorts, 'control' | 'runs'> & {
  readonly control: Pick<ControlClient, 'ask' | 'follow'>;
  readonly runs: Pick<RunList, 'find' | 'list'>;
  readonly clock: Clock;
  /** An event's values beside its words. */
  readonly fieldsText: (fields: Extract<FeedLine, { told: unknown }>['told']['fields']) => string;
};

/** Tunnels that are watched, peers of each that are asked for, and events that are kept. */
const TUNNELS_MAX = 32;
const PEERS_MAX = 10_000;
const EVENTS_MAX = 100;
/** Where there are more peers their traffic is what their device has counted. */
const SUMMED_MAX = 1000;
/** A look is new enough for so long. */
const FRESH = 2000;

/** Follows the tunnels of this network namespace: what they say, what happens, and how much in the last hour. */
export class Watcher {
  readonly #ports: WatcherPorts;
  readonly #signal: AbortSignal;
  readonly #histories = new Map<string, History>();
  readonly #followed = new Set<string>();
  readonly #events: EventView[] = [];
  #stopSampling: () => void = () => undefined;
  #look: { readonly at: number; readonly tunnels: Promise<readonly Tunnel[]> } | undefined;

  constructor(ports: WatcherPorts, signal: AbortSignal) {
    this.#ports = ports;
    this.#signal = signal;
    signal.addEventListener('abort', () => this.#stopSampling(), { once: true });
  }

  /** Begins, and goes on until the signal is aborted. */
  start(): void {
    this.#sample();
  }

  async view(wanted: Wanted): Promise<View> {
    const tunnels = await this.#tunnels();
    const rates = (device: string) => this.#histories.get(device)?.rates() ?? [];
    return viewOf(this.#ports.clock.now().unix, tunnels, this.#events, rates, wanted);
  }

  /** One look for all who ask at about the same time. */
  #tunnels(): Promise<readonly Tunnel[]> {
    const { monotonic: now } = this.#ports.clock.now();
    if (this.#look === undefined || now - this.#look.at > FRESH) {
      const tunnels = surveyTunnels(this.#entries(), this.#ports, () => PEERS_MAX);
      this.#look = { at: now, tunnels };
      // It is asked for again, whoever asks then.
      tunnels.catch(() => (this.#look = undefined));
    }
    return this.#look.tunnels;
  }

  #entries(): readonly RunEntry[] {
    return this.#ports.runs.list().slice(0, TUNNELS_MAX);
  }

  #sample(): void {
    if (this.#signal.aborted) return;
    const { monotonic } = this.#ports.clock.now();
    const next = (monotonic + SAMPLE_EVERY) as typeof monotonic;
    this.#stopSampling = this.#ports.clock.callAt(next, () => this.#sample());
    // What cannot be seen now may be the next time; the page says so when it asks.
    this.#takeSamples().catch(() => undefined);
  }

  async #takeSamples(): Promise<void> {
    const entries = this.#entries();
    for (const entry of entries) this.#follow(entry);
    const devices = new Set(entries.map(({ device }) => device));
    for (const device of this.#histories.keys()) {
      if (!devices.has(device)) this.#histories.delete(device);
    }
    const tunnels = await surveyTunnels(entries, this.#ports, ({ peerCount }) =>
      peerCount > SUMMED_MAX ? 0 : peerCount,
    );
    const { unix: at } = this.#ports.clock.now();
    for (const tunnel of tunnels) {
      if (tunnel.daemon !== 'answers') continue;
      const { device, peers, refused, refusedBelow } = tunnel;
      const history = this.#histories.get(device) ?? new History();
      this.#histories.set(device, history);
      const counted = peers.length > 0 ? peers : [{ traffic: this.#ports.deviceCounters(device) }];
      history.add({
        at,
        rxBytes: total(counted.map(({ traffic }) => traffic?.rxBytes ?? 0)),
        txBytes: total(counted.map(({ traffic }) => traffic?.txBytes ?? 0)),
        refused: total(
          [refused, refusedBelow, ...peers.map((peer) => peer.refused)].flatMap(Object.values),
        ),
      });
    }
  }

  /** Until its daemon ends; the next look finds it again. */
  #follow(entry: RunEntry): void {
    const { device, controlPath } = entry;
    if (this.#followed.has(device)) return;
    this.#followed.add(device);
    void this.#take(device, controlPath).finally(() => this.#followed.delete(device));
  }

  async #take(device: string, controlPath: string): Promise<void> {
    try {
      for await (const line of this.#ports.control.follow(controlPath, this.#signal)) {
        if ('lost' in line || line.told.level === 'debug') continue;
        const { at, level, words, peer, fields } = line.told;
        const text = this.#ports.fieldsText(fields).trim();
        this.#events.unshift({ at, level, words, device, peer, fields: text });
        this.#events.length = Math.min(this.#events.length, EVENTS_MAX);
      }
    } catch (error) {
      if (!(error instanceof NoAnswer)) throw error;
    }
  }
}

function total(counts: readonly number[]): number {
  return counts.reduce((sum, count) => sum + count, 0);
}
