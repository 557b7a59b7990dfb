import { expect, test } from 'vitest';
import { compareResults, formatComparison } from '../../../src/bench/compare.ts';
import { resultsOf, rounds } from './sample-results.ts';

const STEADY = [10_000, 10_400, 9700, 10_100];

function verdicts(...args: Parameters<typeof compareResults>) {
  return compareResults(...args).differences.map(
    ({ contestant, verdict }) => `${contestant} ${verdict}`,
  );
}

test('a contestant that lost a fifth is told, and the bare path is not', () => {
  const before = resultsOf(rounds('tcpUp', STEADY, [5000, 5200, 4850, 5050]));
  const after = resultsOf(rounds('tcpUp', STEADY.toReversed(), [4040, 3880, 4160, 4000]));
  expect(verdicts(before, after)).toEqual(['bare noise', 'ipipou-tun worse']);
  expect(formatComparison(compareResults(before, after))).toMatch(
    /^worse +-20\.0 %  ipipou-tun, super: TCP up, one stream \(p = 0\.0286\)/,
  );
});

test('a machine that got slower as a whole changes the bare path, and no contestant', () => {
  const before = resultsOf(rounds('tcpUp', STEADY, [5000, 5250, 4800, 5060]));
  const half = before.samples.map((each) => ({
    ...each,
    values: { tcpUp: (each.values['tcpUp'] ?? 0) / 2 },
  }));
  expect(verdicts(before, resultsOf(half))).toEqual(['bare worse', 'ipipou-tun noise']);
});

test('less is better where it is', () => {
  const before = resultsOf(rounds('pingAvg', STEADY, [1, 1.1, 1.2, 1.3]));
  const after = resultsOf(rounds('pingAvg', STEADY, [0.5, 0.6, 0.55, 0.52]));
  expect(verdicts(before, after)).toEqual(['bare noise', 'ipipou-tun better']);
});

test('a difference that nobody would notice is noise, however sure', () => {
  const before = resultsOf(rounds('pingAvg', STEADY, [1, 1.001, 1.002, 1.003]));
  const after = resultsOf(rounds('pingAvg', STEADY, [1.01, 1.011, 1.012, 1.013]));
  expect(verdicts(before, after)).toEqual(['bare noise', 'ipipou-tun noise']);
});

test('overlapping values are noise, and near misses a perhaps', () => {
  const before = resultsOf(rounds('start', [], [100, 110, 120, 130]));
  expect(verdicts(before, resultsOf(rounds('start', [], [105, 115, 125, 135])))).toEqual([
    'ipipou-tun noise',
  ]);
  expect(verdicts(before, resultsOf(rounds('start', [], [125, 140, 150, 160])))).toEqual([
    'ipipou-tun perhaps worse',
  ]);
});

test('three rounds can tell nothing, and that is said', () => {
  const before = resultsOf(rounds('start', [], [1, 2, 3]));
  const compared = compareResults(before, resultsOf(rounds('start', [], [10, 20, 30])));
  expect(compared.undecidable).toBe(1);
  expect(formatComparison(compared)).toMatch(/1 of them have too few rounds/);
});

test('a run against itself shows no change, and what has no counterpart is left out', () => {
  const run = resultsOf(rounds('tcpUp', STEADY, [5000, 5250, 4800, 5060]));
  expect(verdicts(run, run)).toEqual(['bare noise', 'ipipou-tun noise']);
  expect(formatComparison(compareResults(run, run))).toMatch(/^No change that stands out/);
  expect(compareResults(run, resultsOf([])).differences).toEqual([]);
});
