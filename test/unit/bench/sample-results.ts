import {
  FORMAT,
  VERSION,
  type Entry,
  type Results,
  type Sample,
} from '../../../src/bench/results.ts';

/* Results as a run leaves them, made up. */

export const BARE: Entry = {
  name: 'bare',
  title: 'bare path',
  kind: 'bare',
  runsIn: 'kernel',
  overhead: 0,
  mtu: 1500,
  router: 'translates',
  remark: 'no tunnel',
};

export const TUN: Entry = {
  ...BARE,
  name: 'ipipou-tun',
  title: 'ipipou, tun',
  kind: 'plain',
  runsIn: 'user space',
  overhead: 28,
  mtu: 1472,
};

export const ABSENT: Entry = {
  ...TUN,
  name: 'wireguard',
  title: 'WireGuard, kernel',
  kind: 'encrypted',
  unavailable: 'this kernel has no wireguard',
};

export function sample(
  contestant: string,
  round: number,
  values: Readonly<Record<string, number>>,
  scene = 'super',
): Sample {
  return { scene, contestant, round, values, missing: {} };
}

export function resultsOf(samples: readonly Sample[], more: Partial<Results> = {}): Results {
  return {
    format: FORMAT,
    version: VERSION,
    facts: {
      ...{ place: 'host', kernel: '6.1.0', cpu: 'a processor', cpus: 2, memoryMiB: 2048 },
      ...{ versions: { node: 'v20' }, commit: 'abc', date: '2026-01-02T03:04:05.678Z' },
      ...{ netem: true, crypto: { 'aes-256-gcm': 1000 } },
    },
    options: {
      ...{ rounds: 4, seconds: 1, slowed: {} },
      scenes: [...new Set(samples.map(({ scene }) => scene))],
    },
    contestants: [BARE, TUN, ABSENT],
    samples,
    failures: [],
    ...more,
  };
}

/** The same measure of the bare path and of one contestant, round by round. */
export function rounds(
  measure: string,
  bare: readonly number[],
  tun: readonly number[],
): readonly Sample[] {
  return [
    ...bare.map((value, index) => sample('bare', index + 1, { [measure]: value })),
    ...tun.map((value, index) => sample('ipipou-tun', index + 1, { [measure]: value })),
  ];
}
