import { expect, test } from 'vitest';
import { behindOf } from '../../../src/bench/standing.ts';
import { ABSENT, BARE, resultsOf, sample, TUN } from './sample-results.ts';

const VXLAN = { ...TUN, name: 'vxlan', title: 'VXLAN' };
const FOU = { ...TUN, name: 'ipipou-fou', title: 'ipipou, fou' };
const WIREGUARD = { ...ABSENT, unavailable: undefined };
const contestants = [BARE, FOU, TUN, VXLAN, WIREGUARD];

function standing(measure: string, figures: Readonly<Record<string, readonly number[]>>) {
  const samples = Object.entries(figures).flatMap(([name, values]) =>
    values.map((value, index) => sample(name, index + 1, { [measure]: value })),
  );
  return behindOf(resultsOf(samples, { contestants })).map(({ who, ahead }) => `${ahead} > ${who}`);
}

test('the best plane is measured by other plain tunnels, every plane by encrypted ones', () => {
  const figures = {
    bare: [1000, 1001, 1002],
    'ipipou-fou': [800, 801, 802],
    'ipipou-tun': [100, 101, 102],
    vxlan: [900, 901, 902],
    wireguard: [200, 201, 202],
  };
  expect(standing('tcpUp', figures)).toEqual([
    'VXLAN > ipipou, fou',
    'WireGuard, kernel > ipipou, tun',
  ]);
  expect(standing('pingAvg', figures)).toEqual(['WireGuard, kernel > ipipou, fou']);
});

test('what cannot be told apart is no standing', () => {
  expect(standing('tcpUp', { 'ipipou-fou': [800, 900, 1000], vxlan: [820, 950, 960] })).toEqual([]);
  expect(standing('tcpUp', { 'ipipou-fou': [900, 901, 902], vxlan: [910, 911, 912] })).toEqual([]);
});

test('without ipipou there is nothing to say', () => {
  expect(standing('tcpUp', { bare: [1], vxlan: [2] })).toEqual([]);
});
