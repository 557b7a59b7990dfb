import type { Family } from '../core/addr.ts';
import { PEERS, SIZES } from './measures.ts';

/*
 * Where contestants are measured: a link, and what is asked of them there.
 */

/** How the lab's links are made. */
export type Shape = {
  /** Of the addresses outside; IPv4 where nothing is said. */
  readonly family?: Family;
  /** `on`: super-packets cross whole. `off`: frames of the MTU's size, aggregated where received. */
  readonly segmentation: 'on' | 'off';
  /** Mbit/s each way, at the router; undefined: as fast as it goes. */
  readonly rate: number | undefined;
  /** Round trip, in milliseconds, where the kernel can delay (netem). */
  readonly delay: number | undefined;
};

/** One thing that is done in a turn; what it yields is in the table of measures. */
export type Step =
  | { readonly kind: 'ping' }
  | { readonly kind: 'tcp'; readonly id: string; readonly down: boolean; readonly streams: number }
  /** `rate` in Mbit/s; undefined: as fast as it goes. */
  | { readonly kind: 'udp'; readonly id: string; readonly size: number; readonly rate?: number }
  | { readonly kind: 'peers'; readonly count: number }
  | { readonly kind: 'recover' }
  | { readonly kind: 'profile' };

export type Scene = {
  readonly name: string;
  readonly title: string;
  readonly shape: Shape;
  /** How many; contestants that serve fewer have no turn. */
  readonly clients: number;
  readonly steps: readonly Step[];
  /** Names of contestants that have no turn, unless they are asked for by name. */
  readonly without: readonly string[];
  /** Rounds that it takes part in, as a share of all: what hardly varies need not be repeated as often. */
  readonly share: number;
  /** Seconds of a measurement, as a multiple of what was asked for. */
  readonly stretch: number;
};

const UP = { kind: 'tcp', id: 'tcpUp', down: false, streams: 1 } as const;
const DOWN = { kind: 'tcp', id: 'tcpDown', down: true, streams: 1 } as const;
const UP_MANY = { kind: 'tcp', id: 'tcpUpMany', down: false, streams: 4 } as const;
const DOWN_MANY = { kind: 'tcp', id: 'tcpDownMany', down: true, streams: 4 } as const;

const UNLIMITED = { rate: undefined, delay: undefined } as const;

function udp(size: number): Step {
  return { kind: 'udp', id: `udp${size}`, size };
}

function udpAt(rate: number): Step {
  return { kind: 'udp', id: 'udpRate', size: 1400, rate };
}

/** Each is like another but for a header or a program: the unlimited links show what that makes. */
const ALIKE = ['recipe-gue', 'ipip', 'gre', 'geneve', 'fastd-null'] as const;

/** Bytes and rounds that show whether everybody starts, carries, and stops. */
export const QUICK: Scene = {
  name: 'quick',
  title: 'a short look, GSO super-packets',
  shape: { segmentation: 'on', ...UNLIMITED },
  clients: 1,
  steps: [{ kind: 'ping' }, UP, DOWN],
  without: [],
  share: 1,
  stretch: 1,
};

/** IPv6 outside, routed: on request only. */
export const IPV6: Scene = {
  name: 'ipv6',
  title: 'IPv6 outside, GSO super-packets',
  shape: { segmentation: 'on', ...UNLIMITED, family: 'ipv6' },
  clients: 1,
  steps: [{ kind: 'ping' }, UP, DOWN],
  without: [],
  share: 1,
  stretch: 1,
};

/** Where the time goes, of those that ipipou can learn from; in the first round only. */
export const PROFILE: Scene = {
  name: 'profile',
  title: 'one TCP stream up, MTU-sized frames',
  shape: { segmentation: 'off', ...UNLIMITED },
  clients: 1,
  steps: [{ kind: 'profile' }],
  without: [...ALIKE, 'fastd-l2tp', 'openvpn-plain', 'openvpn', 'ssh', 'bare-again'],
  share: 1 / 1000,
  stretch: 2,
};

/** Rounds of scenes that vary less, or matter less, than the unlimited links: two of five. */
const SOME = 0.4;

/** The four links, then the two sweeps. */
export const SCENES: readonly Scene[] = [
  {
    name: 'super',
    title: 'unlimited, GSO super-packets',
    shape: { segmentation: 'on', ...UNLIMITED },
    clients: 1,
    steps: [{ kind: 'ping' }, UP, DOWN, UP_MANY, DOWN_MANY, { kind: 'recover' }],
    without: [],
    share: 1,
    stretch: 1,
  },
  {
    name: 'frames',
    title: 'unlimited, MTU-sized frames',
    shape: { segmentation: 'off', ...UNLIMITED },
    clients: 1,
    steps: [UP, DOWN],
    without: [],
    share: 1,
    stretch: 1,
  },
  {
    name: 'gigabit',
    title: '1 Gbit/s',
    shape: { segmentation: 'on', rate: 1000, delay: undefined },
    clients: 1,
    steps: [UP, UP_MANY, udpAt(100)],
    without: ALIKE,
    share: SOME,
    stretch: 1,
  },
  {
    name: 'slow',
    title: '20 Mbit/s, 200 ms',
    shape: { segmentation: 'on', rate: 20, delay: 200 },
    clients: 1,
    steps: [UP_MANY, udpAt(10)],
    without: ALIKE,
    share: SOME,
    // With the delay: connections take several round trips to fill the link.
    stretch: 4,
  },
  {
    name: 'sizes',
    title: 'packet sizes',
    shape: { segmentation: 'on', ...UNLIMITED },
    clients: 1,
    steps: SIZES.map(udp),
    without: ALIKE,
    share: SOME,
    stretch: 1,
  },
  {
    name: 'peers',
    title: 'number of clients',
    shape: { segmentation: 'on', ...UNLIMITED },
    clients: Math.max(...PEERS),
    steps: PEERS.map((count) => ({ kind: 'peers', count })),
    without: ALIKE,
    share: SOME,
    stretch: 1,
  },
];

/** The same in an emulated machine, where sixteen clients in user space take minutes to start. */
export const GUEST_SCENES: readonly Scene[] = SCENES.map((scene) =>
  scene.name === 'peers'
    ? { ...scene, without: [...scene.without, 'ipipou-tun', 'bare-again'] }
    : scene,
);

/** What a guest is not asked for by default: emulated, most tunnels are slower than that link. */
export const NO_GUEST_SCENE = 'gigabit';
