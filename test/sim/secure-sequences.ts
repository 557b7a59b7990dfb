/** Random sequences of what may happen to a tunnel of session 2, with somebody at work. */
import type { SessionCore } from '../../src/core/session/table.ts';
import { ACTIONS, Attacker, calm } from './actions.ts';
import { Blocker, Injector, isTheirs, Relay, Replayer, type Kind } from './adversaries.ts';
import { seededRandom, type Random } from './random.ts';
import { secondsUntilEcho } from './scene.ts';
import { SERVER_IP, World, type Tunnel, type WorldOptions } from './world.ts';

/** Longest time, in seconds, that a tunnel may need to work again once all trouble has ended. */
const RECOVERY = 300;

type Act = () => void;
export type Adversary = (world: World) => { readonly act: Act; readonly leave: Act };

const KINDS: readonly [readonly Kind[], ...(readonly Kind[])[]] = [
  ['init'],
  ['response'],
  ['control'],
  ['cookie'],
  ['reset'],
  ['data'],
  ['init', 'control'],
];

export const ADVERSARIES = {
  relay: (world: World) => {
    let relay: Relay | undefined;
    const { random } = world;
    const leave = (): void => relay?.stop();
    return {
      leave,
      act() {
        leave();
        relay = new Relay(world, { stops: random.chance(0.3), delay: random.pick([1, 15, 100]) });
      },
    };
  },
  injector: (world: World) => {
    const injector = new Injector(world, new Replayer(world));
    return { act: () => injector.inject(1 + world.random.below(30)), leave: () => undefined };
  },
  replayer: (world: World) => {
    const replayer = new Replayer(world);
    return { act: () => replayer.replay(1 + world.random.below(60)), leave: () => undefined };
  },
  blocker: (world: World) => {
    const blocker = new Blocker(world);
    const leave = (): void => {
      blocker.kinds = [];
    };
    return {
      leave,
      act() {
        blocker.kinds = world.random.pick(KINDS);
        blocker.probability = world.random.pick([0.5, 1]);
      },
    };
  },
} satisfies Readonly<Record<string, Adversary>>;

function drawOptions(random: Random, seed: number): WorldOptions {
  return {
    seed,
    session: random.chance(0.8) ? 'v2' : 'auto',
    integrity: random.pick(['none', 'none', 'header', 'full']),
    ...random.pick<Partial<WorldOptions>>([{}, {}, { tunnels: 3, shared: true }]),
    ...random.pick<Partial<WorldOptions>>([{}, { mtu: 'auto' }]),
    timers: {
      keepalive: random.pick([10, 27]),
      deadPeerTimeout: random.pick([10, 30]),
      connectionIdle: random.pick([10, 120]),
      authLifetime: random.pick([0, 30, 3600]),
    },
    serverTimers: { keepalive: random.pick([0, 20]) },
  };
}

/** Lets random things happen to a world, with somebody at work; gives it back when all trouble has ended. */
function live(seed: number, adversary: Adversary, core?: SessionCore): World {
  const random = seededRandom(seed ^ 0x5ec);
  const world = new World({ ...drawOptions(random, seed), ...(core && { core }) });
  const attacker = new Attacker(world);
  const { act, leave } = adversary(world);
  world.start();
  const steps = 5 + random.below(20);
  for (let i = 0; i < steps; i++) {
    const tunnel = world.tunnels[random.below(world.tunnels.length)] ?? world.tunnel;
    if (random.chance(0.5)) act();
    else random.pick(ACTIONS)(world, tunnel, attacker);
    world.clockwork.advance(random.pick([0, 100, 3000, 20_000, 60_000]) * random.next());
  }
  leave();
  world.moveServer(SERVER_IP);
  calm(world);
  return world;
}

function recovers(world: World, tunnel: Tunnel): boolean {
  const seconds = secondsUntilEcho(world, tunnel);
  return seconds !== undefined && seconds <= RECOVERY;
}

/** Throws where a rule is broken; gives back how many CONTROL packets were taken. */
export function check(seed: number, adversary: Adversary, core?: SessionCore): number {
  try {
    const world = live(seed, adversary, core);
    for (const [index, tunnel] of world.tunnels.entries()) {
      const { server, client, member } = tunnel;
      const works = recovers(world, tunnel);
      const status = { server: server.statusOf(member), client: client.status };
      const told = JSON.stringify(status, null, 1);
      if (!works) throw new Error(`tunnel ${index} does not work again\n${told}`);
      // Whoever has left is followed no more, once the peer has said where it is.
      const isLeft = (): boolean => !member.admitted || !isTheirs(member.admitted.remote);
      const { clockwork } = world;
      const left = isLeft() || clockwork.until(clockwork.now + 1000 * RECOVERY, isLeft);
      if (!left) throw new Error(`tunnel ${index} is at the attacker's\n${told}`);
    }
    return world.tunnels.reduce((sum, each) => sum + (each.secureReferee?.accepted ?? 0), 0);
  } catch (error) {
    throw new Error(`seed ${seed}: ${String(error)}`, { cause: error });
  }
}
