import { expect, test } from 'vitest';
import { History, SAMPLES_MAX } from '../../../src/app/ui/history.ts';
import { PAGE_PEERS, viewOf, type Wanted } from '../../../src/app/ui/view.ts';
import type { Tunnel } from '../../../src/app/management/survey.ts';
import { millis } from '../../../src/core/units.ts';

const sample = (at: number, rxBytes: number, refused = 0) => ({
  ...{ at: millis(at), rxBytes, txBytes: 0, refused },
});

test('rates are a second’s worth between samples, and an hour of them at most', () => {
  const history = new History();
  history.add(sample(0, 100));
  expect(history.rates()).toEqual([]);
  history.add(sample(10_000, 1100, 5));
  history.add(sample(20_000, 0, 0));
  expect(history.rates()).toEqual([sample(10_000, 100, 0.5), sample(20_000, 0)]);
  for (let at = 0; at < 2 * SAMPLES_MAX; at += 1) history.add(sample(30_000 + at, 0));
  expect(history.rates()).toHaveLength(SAMPLES_MAX - 1);
});

/** A thousand peers; what of a tunnel the page does not look at is left out. */
const tunnel = {
  ...{ daemon: 'answers', device: 'ipipou0', name: 'home', role: 'server', plane: 'tun' },
  ...{ phase: 'established', peerCount: 1000, establishedCount: 1, troubles: [], innerIps: [] },
  peers: Array.from({ length: 1000 }, (_, index) => ({
    id: `peer${index}`,
    phase: index === 7 ? 'established' : 'listening',
    innerIps: [`172.28.${index >> 8}.${index & 255}`],
    troubles: [],
  })),
} as unknown as Tunnel;

test('peers are told a page at a time, and those that a filter leaves', () => {
  const look = (wanted: Partial<Wanted>) =>
    viewOf(1, [tunnel], [], () => [], { device: undefined, filter: '', page: 0, ...wanted }).chosen;
  expect(look({})).toMatchObject({ total: 1000, matching: 1000, page: 0, pages: 20 });
  expect(look({})?.peers).toHaveLength(PAGE_PEERS);
  expect(look({ page: 19 })?.peers[0]?.id).toBe('peer950');
  expect(look({ page: 99 })?.page).toBe(19);
  expect(look({ filter: 'ESTAB' })?.peers.map(({ id }) => id)).toEqual(['peer7']);
  expect(look({ filter: '172.28.3.231' })).toMatchObject({ matching: 1, pages: 1 });
  expect(look({ filter: 'nobody' })).toMatchObject({ matching: 0, pages: 1, peers: [] });
});
