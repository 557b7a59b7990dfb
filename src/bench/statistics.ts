/*
 * Medians and what is known about them. Benchmarks on a shared machine have outliers on one side:
 * nothing here assumes a normal distribution.
 */

/** The median with the quartiles: half of all values lie from `low` to `high`. */
export type Spread = {
  readonly median: number;
  readonly low: number;
  readonly high: number;
  readonly count: number;
};

/** Undefined for no values. */
export function spread(values: readonly number[]): Spread | undefined {
  if (values.length === 0) return undefined;
  const sorted = values.toSorted((a, b) => a - b);
  return {
    median: quantile(sorted, 0.5),
    low: quantile(sorted, 0.25),
    high: quantile(sorted, 0.75),
    count: sorted.length,
  };
}

export function median(values: readonly number[]): number {
  return quantile(
    values.toSorted((a, b) => a - b),
    0.5,
  );
}

/** Linear between neighbours (type 7 of Hyndman and Fan, what R and NumPy do); NaN for no values. */
function quantile(sorted: readonly number[], share: number): number {
  const at = (sorted.length - 1) * share;
  const [below, above] = [sorted[Math.floor(at)], sorted[Math.ceil(at)]];
  if (below === undefined || above === undefined) return Number.NaN;
  return below + (above - below) * (at - Math.floor(at));
}

/** Half the interquartile range as a share of the median: the ± of the tables. */
export function relativeSpread({ median, low, high }: Spread): number {
  return median === 0 ? 0 : (high - low) / 2 / Math.abs(median);
}

/**
 * Two-sided exact p of the Mann–Whitney rank test: how often two samples from one and the same
 * source would differ in their ranks at least so much. Ties get middle ranks, and the distribution
 * is that of all ways to deal these very ranks out. 1 when either side is empty.
 */
export function rankTest(a: readonly number[], b: readonly number[]): number {
  if (a.length === 0 || b.length === 0) return 1;
  const ranks = doubledRanks([...a, ...b]);
  const observed = sum(ranks.slice(0, a.length));
  const ways = waysBySum(ranks, a.length);
  // The mean of the rank sum; the distribution is symmetric around it.
  const middle = (sum(ranks) * a.length) / ranks.length;
  const distance = Math.abs(observed - middle);
  const EPSILON = 1e-9;
  let extreme = 0;
  let total = 0;
  for (const [rankSum, count] of ways) {
    total += count;
    if (Math.abs(rankSum - middle) >= distance - EPSILON) extreme += count;
  }
  return extreme / total;
}

/** The least p that `rankTest` can give for so many values without ties. */
export function leastP(a: number, b: number): number {
  let ways = 1;
  for (let i = 1; i <= a; i++) ways *= (b + i) / i;
  return Math.min(1, 2 / ways);
}

/** Twice the middle ranks, which are whole numbers then. */
function doubledRanks(values: readonly number[]): readonly number[] {
  return values.map((value) => {
    const below = values.filter((other) => other < value).length;
    const equal = values.filter((other) => other === value).length;
    return 2 * below + equal + 1;
  });
}

/** For every sum of `pick` of the ranks, the number of ways to get it. */
function waysBySum(ranks: readonly number[], pick: number): ReadonlyMap<number, number> {
  const byCount: Map<number, number>[] = Array.from(
    { length: pick + 1 },
    () => new Map<number, number>(),
  );
  byCount[0]?.set(0, 1);
  for (const rank of ranks) {
    // From the most picked down: each rank is picked once.
    for (let count = pick; count > 0; count--) {
      for (const [total, ways] of byCount[count - 1] ?? []) {
        const target = byCount[count];
        target?.set(total + rank, (target.get(total + rank) ?? 0) + ways);
      }
    }
  }
  return byCount[pick] ?? new Map();
}

/** By what factor `b` lies above `a`: the median of all pairwise ratios (Hodges and Lehmann). */
export function shift(a: readonly number[], b: readonly number[]): number {
  return median(a.flatMap((x) => b.map((y) => (x === 0 ? Number.NaN : y / x))).filter(isFinite));
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
