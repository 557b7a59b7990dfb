import { expect, it } from 'vitest';
import type { Agreed, Offer } from '../../../src/core/session/secure/state.ts';
import { isLaterEpoch } from '../../../src/core/session/secure/moves.ts';
import { offersBeside } from '../../../src/core/session/secure/offers.ts';
import { millis } from '../../../src/core/units.ts';
import { endpoint } from './bench.ts';

const pathFrom = (port: number) => ({
  local: endpoint('192.0.2.1', 10_000),
  remote: endpoint('203.0.113.1', port),
});

function offer(port: number, counter: number, cookied = false): Offer {
  return {
    path: pathFrom(port),
    counter: BigInt(counter),
    cookied,
    agreed: {} as Agreed,
    challenge: new Uint8Array(8),
    epoch: 0,
    until: millis(0),
  };
}

const besides = (offers: readonly Offer[], claim: Offer) => {
  const kept = offersBeside(offers, claim);
  return typeof kept === 'string' ? kept : kept.map(({ path }) => path.remote.port);
};

it('a peer has one offer of a path, the later one', () => {
  expect(besides([offer(1, 7), offer(2, 5)], offer(1, 8))).toEqual([2]);
  expect(besides([offer(1, 7)], offer(1, 7))).toBe('replayed');
  expect(besides([offer(1, 7, true)], offer(1, 7))).toBe('replayed');
  expect(besides([offer(1, 7)], offer(1, 6))).toBe('outdone');
});

it('where there is no room the oldest leaves, and what is older than all stays out', () => {
  const four = [offer(1, 4), offer(2, 3), offer(3, 6), offer(4, 5)];
  expect(besides(four, offer(5, 9))).toEqual([1, 3, 4]);
  expect(besides(four, offer(5, 2))).toBe('outdone');
});

it('who sends an INIT on from elsewhere takes no place of the one that it was', () => {
  const own = [offer(1, 7), offer(2, 7), offer(3, 7), offer(4, 7)];
  expect(besides(own, offer(5, 7))).toBe('outdone');
  expect(besides(own, offer(5, 7, true))).toEqual([2, 3, 4]);
});

it('a cookie counts more than a time, so that a clock that was set back keeps nobody out', () => {
  const four = [offer(1, 4), offer(2, 3), offer(3, 6, true), offer(4, 5)];
  expect(besides(four, offer(5, 0, true))).toEqual([1, 3, 4]);
  expect(besides([offer(1, 7)], offer(1, 0, true))).toEqual([]);
  expect(besides([offer(1, 0, true)], offer(1, 7))).toBe('outdone');
});

it('path epochs go round', () => {
  expect(isLaterEpoch(1, 0)).toBe(true);
  expect(isLaterEpoch(0, 1)).toBe(false);
  expect(isLaterEpoch(5, 5)).toBe(false);
  expect(isLaterEpoch(0, 0xffff)).toBe(true);
  expect(isLaterEpoch(0xffff, 0)).toBe(false);
  expect(isLaterEpoch(0x8000, 0)).toBe(false);
});
