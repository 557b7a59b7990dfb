import type { Millis } from '../../core/units.ts';

/** What a tunnel has carried and refused, as it counts now. */
export type Sample = {
  readonly at: Millis;
  readonly rxBytes: number;
  readonly txBytes: number;
  /** Packets that the tunnel did not take, of peers and of strangers. */
  readonly refused: number;
};

/** How often a sample is taken, and how many are kept: an hour. */
export const SAMPLE_EVERY = 10_000 as Millis;
export const SAMPLES_MAX = 361;

/** The last hour of one tunnel. */
export class History {
  readonly #samples: Sample[] = [];

  add(sample: Sample): void {
    this.#samples.push(sample);
    if (this.#samples.length > SAMPLES_MAX) this.#samples.shift();
  }

  /** A second's worth between one sample and the next, at the later one's time. */
  rates(): readonly Sample[] {
    const rates: Sample[] = [];
    for (const [index, later] of this.#samples.entries()) {
      const former = this.#samples[index - 1];
      if (former === undefined) continue;
      const seconds = (later.at - former.at) / 1000;
      // A daemon that has begun anew counts from nought.
      const rate = (key: 'rxBytes' | 'txBytes' | 'refused'): number =>
        seconds > 0 ? Math.max(0, later[key] - former[key]) / seconds : 0;
      rates.push({
        at: later.at,
        rxBytes: rate('rxBytes'),
        txBytes: rate('txBytes'),
        refused: rate('refused'),
      });
    }
    return rates;
  }
}
