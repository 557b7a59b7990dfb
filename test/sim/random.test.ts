import { describe, expect, it } from 'vitest';
import { ACTIONS, Attacker, calm, FAMILY_ACTIONS } from './actions.ts';
import { seededRandom, type Random } from './random.ts';
import { SERVER_IP, SERVER_IP6, World, type Tunnel, type WorldOptions } from './world.ts';

/** Sequences in all, over so many tests that a failure names a small range; SIM_SEQUENCES: another number. */
const SEQUENCES = Number(process.env['SIM_SEQUENCES'] ?? 4000);
const PARTS = 10;
/** One daemon for several clients, with and without hints. */
const SHARED: readonly Partial<WorldOptions>[] = [
  { tunnels: 3, shared: true },
  { tunnels: 3, shared: true, hints: () => false },
  { tunnels: 4, shared: true, hints: (index) => index % 2 === 0 },
];

/** What each side has outside: IPv4 alone, both, or what makes one of them useless. */
const FAMILIES: readonly [Partial<WorldOptions>, ...Partial<WorldOptions>[]] = [
  {},
  {},
  {},
  { families: { client: ['ipv4', 'ipv6'], server: ['ipv6', 'ipv4'] } },
  { families: { client: ['ipv4', 'ipv6'], server: ['ipv6', 'ipv4'] }, ipv6Inside: true },
  { families: { client: ['ipv4', 'ipv6'], server: ['ipv4', 'ipv6'] } },
  { families: { client: ['ipv4', 'ipv6'], server: ['ipv4'] } },
  { families: { client: ['ipv6'], server: ['ipv6', 'ipv4'] } },
  { families: { client: ['ipv6'], server: ['ipv6'] }, ipv6Inside: true },
  { families: { client: ['ipv6'], server: ['ipv4'] }, nat64: true },
];

/** Longest time, in seconds, that a tunnel may need to work again once all trouble has ended. */
const RECOVERY = 300;

function drawOptions(random: Random, seed: number): WorldOptions {
  const keepalive = random.pick([0, 10, 27]);
  const families = random.pick(FAMILIES);
  const literal = random.chance(0.2) && (families.families?.server[0] ?? 'ipv4');
  return {
    seed,
    ...families,
    ...random.pick<Partial<WorldOptions>>([{}, {}, { tunnels: 2 }, ...SHARED]),
    ...random.pick<Partial<WorldOptions>>([{}, { mtu: 'auto' }, { mtu: 1300 }]),
    reply: random.chance(0.7),
    signedReplies: random.chance(0.5),
    literal,
    timers: {
      keepalive,
      // 0: never notice. Then it takes keepalives, and a server that does not move.
      deadPeerTimeout:
        keepalive > 0 && literal !== false ? random.pick([0, 30]) : random.pick([10, 30]),
      connectionIdle: random.pick([10, 120]),
      authLifetime: random.pick([0, 30, 3600]),
    },
    serverTimers: { keepalive: random.pick([0, 20]) },
  };
}

/** Lets random things happen to a world; returns it when all trouble has ended. */
function live(seed: number): World {
  const random = seededRandom(seed ^ 0x5eed);
  const options = drawOptions(random, seed);
  const world = new World(options);
  const attacker = new Attacker(world);
  world.start();
  const steps = 5 + random.below(25);
  for (let i = 0; i < steps; i++) {
    const tunnel = world.tunnels[random.below(world.tunnels.length)] ?? world.tunnel;
    const apart = options.families !== undefined && random.chance(0.3);
    random.pick(apart ? FAMILY_ACTIONS : ACTIONS)(world, tunnel, attacker);
    world.clockwork.advance(random.pick([0, 100, 3000, 20_000, 60_000]) * random.next());
  }
  // A literal address cannot follow a server that has moved.
  if (options.literal !== false)
    world.moveServer(options.literal === 'ipv6' ? SERVER_IP6 : SERVER_IP);
  calm(world);
  return world;
}

/** Whether an answer to new data comes back through the tunnel in time. */
function recovers(world: World, tunnel: Tunnel): boolean {
  const { clockwork } = world;
  const begin = clockwork.now;
  const stop = world.talk(tunnel, 5000);
  const works = clockwork.until(
    begin + RECOVERY * 1000,
    () => tunnel.echoedAt !== undefined && tunnel.echoedAt > begin,
  );
  stop();
  return works;
}

function check(seed: number): number {
  try {
    const world = live(seed);
    for (const [index, tunnel] of world.tunnels.entries()) {
      if (!recovers(world, tunnel)) {
        const { server, client } = tunnel;
        const told = JSON.stringify({ server: server.status, client: client.status }, null, 1);
        throw new Error(`tunnel ${index} does not work again\n${told}`);
      }
    }
    return world.tunnels.reduce((sum, tunnel) => sum + tunnel.referee.accepted, 0);
  } catch (error) {
    throw new Error(`seed ${seed}: ${String(error)}`, { cause: error });
  }
}

describe('random sequences of events keep every rule, and the tunnel works again afterwards', () => {
  const size = Math.ceil(SEQUENCES / PARTS);
  it.each(Array.from({ length: PARTS }, (_unused, part) => part * size))(
    'seeds from %d',
    (first) => {
      let accepted = 0;
      for (let seed = first; seed < first + size; seed++) accepted += check(seed);
      // The rules were tried on packets that were accepted, not only on junk.
      expect(accepted).toBeGreaterThan(size);
    },
  );
});
