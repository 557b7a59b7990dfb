import { describe, expect, test } from 'vitest';
import { chartsOf } from '../../../src/bench/chart-input.ts';
import { drawCharts } from '../../../src/bench/draw.ts';
import { PEERS, SIZES } from '../../../src/bench/measures.ts';
import { resultsOf, rounds, sample } from './sample-results.ts';

const each = (values: (round: number) => Readonly<Record<string, number>>, scene: string) =>
  [1, 2, 3].flatMap((round) => [
    sample('bare', round, values(round * 100), scene),
    sample('ipipou-tun', round, values(round * 10), scene),
  ]);

const byId = (ids: readonly string[], value: number) =>
  Object.fromEntries(ids.map((id) => [id, value]));

const whole = resultsOf([
  ...each((value) => byId(['tcpUp', 'tcpUpEfficiency', 'pingAvg', 'loadAvg'], value), 'super'),
  ...each((value) => byId(['tcpUp', 'tcpUpEfficiency'], value), 'frames'),
  ...each(
    (v) =>
      byId(
        SIZES.flatMap((size) => [`udp${size}Pps`, `udp${size}Cost`]),
        v,
      ),
    'sizes',
  ),
  ...each(
    (v) =>
      byId(
        PEERS.flatMap((n) => [`peers${n}`, `peers${n}Efficiency`]),
        v,
      ),
    'peers',
  ),
]);

describe('what charts show', () => {
  test('bandwidth in Gbit/s, by link, in the order of the contestants', () => {
    const [bandwidth] = chartsOf(whole);
    expect(bandwidth).toMatchObject({
      ...{ kind: 'bars', name: 'bandwidth', unit: 'Gbit/s' },
      panels: [{ title: 'GSO super-packets' }, { title: 'MTU-sized frames' }],
    });
    const bars = bandwidth?.kind === 'bars' ? bandwidth.panels[0]?.bars : undefined;
    expect(bars).toEqual([
      {
        ...{ label: 'bare path', role: 'bare' },
        spread: { median: 0.2, low: 0.15, high: 0.25, count: 3 },
      },
      {
        ...{ label: 'ipipou, tun', role: 'ipipou' },
        spread: { median: 0.02, low: 0.015, high: 0.025, count: 3 },
      },
    ]);
  });

  test('lines over sizes and clients', () => {
    const lines = chartsOf(whole).filter(({ kind }) => kind === 'lines');
    expect(lines.map(({ name }) => name)).toEqual(['sizes', 'peers']);
    expect(lines[0]).toMatchObject({
      panels: [{ xs: SIZES, lines: [{ ys: SIZES.map(() => 0.2) }, {}] }, { unit: 'µs' }],
    });
  });

  test('nothing where a run has no figures', () => {
    expect(chartsOf(resultsOf([]))).toEqual([]);
    const few = resultsOf(rounds('tcpUp', [1, 2], [1, 2]));
    expect(chartsOf(few).map(({ name }) => name)).toEqual(['bandwidth']);
  });
});

/** The library takes its time to load on a busy machine. */
const LONG = { timeout: 30_000 };

describe('drawings', () => {
  const WORDS = {
    bandwidth: ['Bandwidth', 'Gbit/s', 'GSO super-packets', 'MTU-sized frames', 'no tunnel'],
    efficiency: ['Mbit/s per CPU-%'],
    latency: ['milliseconds, logarithmic', 'idle', 'while four TCP streams go up'],
    sizes: ['bytes of UDP payload', 'packets that arrive, thousands a second', '1400'],
    peers: ['clients that send at one time', 'TCP of all clients together, Gbit/s'],
  };

  test('are sound XML with titles, units, names and legends, in both schemes', LONG, async () => {
    const drawings = await drawCharts(whole);
    expect(drawings.map(({ name }) => name)).toEqual(
      Object.keys(WORDS).flatMap((name) => [`${name}-light`, `${name}-dark`]),
    );
    for (const { name, svg } of drawings) {
      expect(unsound(svg), name).toEqual([]);
      const words = WORDS[name.replace(/-.*/, '') as keyof typeof WORDS];
      const texts = [...svg.matchAll(/<text[^>]*>([^<]*)/g)].map(([, text]) => text);
      expect(texts, name).toEqual(expect.arrayContaining(['ipipou, tun', 'bare path']));
      for (const word of words) expect(texts.join('|'), name).toContain(word);
      expect(svg).toContain(name.endsWith('dark') ? 'fill="#0d1117"' : 'fill="#ffffff"');
    }
  });

  test('are the same for the same run', LONG, async () => {
    expect(await drawCharts(whole)).toEqual(await drawCharts(whole));
  });
});

/** Tags that are no XML, or that do not close what was opened last. */
function unsound(svg: string): readonly string[] {
  const TAG = /^<(\/?)([a-zA-Z]+)((?: [a-zA-Z:-]+="[^"<>]*")*)\s*(\/?)>$/;
  const open: string[] = [];
  const bad: string[] = [];
  for (const [tag] of svg.matchAll(/<[^>]*>/g)) {
    const [, closing, name = '', , empty] = TAG.exec(tag) ?? [];
    if (name === '') bad.push(tag);
    else if (closing === '/') {
      if (open.pop() !== name) bad.push(tag);
    } else if (empty !== '/') open.push(name);
  }
  return [...bad, ...open];
}
