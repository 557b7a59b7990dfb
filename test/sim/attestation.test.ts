/** Attestation between two machines: who injects is noticed, and nobody else is taken for him. */
import { expect, it } from 'vitest';
import { DATA } from './host.ts';
import { FINE } from './network.ts';
import { seededRandom } from './random.ts';
import { SECOND, secondsUntilEcho, startedWorld } from './scene.ts';
import { ip, type Tunnel, type World } from './world.ts';

const SEEDS = Array.from({ length: 20 }, (_unused, index) => index + 1);
const EPOCH = 10 * SECOND;

const attested = (seed: number): World => startedWorld({ seed, session: 'v2', mtu: 1472 });

const alarms = (logged: readonly string[]): number =>
  logged.filter((line) => line.startsWith('more has come')).length;

/** Packets that nobody has sent, on the admitted path to one side. */
function inject(world: World, { client, member }: Tunnel, to: 'server' | 'client', count: number) {
  const path = member.admitted;
  if (!path) throw new Error('nobody is admitted');
  void client;
  const [from, at] = to === 'server' ? [path.remote, path.local] : [path.local, path.remote];
  for (let i = 0; i < count; i += 1) {
    world.network.inject({ from, to: at, payload: DATA }, world.random.below(50));
  }
}

it.each(['server', 'client'] as const)(
  'who injects to the %s is noticed, into a tunnel that is busy',
  (to) => {
    for (const seed of SEEDS) {
      const world = attested(seed);
      const { tunnel } = world;
      world.talk(tunnel, 100);
      world.clockwork.advance(6.4 * EPOCH + seed * 700);
      const { [to]: host } = tunnel;
      expect(alarms(host.logged)).toBe(0);
      // Two epochs carry two hundred packets: what is less than they lose is not seen.
      inject(world, tunnel, to, 300);
      world.clockwork.advance(3.1 * EPOCH);
      expect(alarms(host.logged), `seed ${seed}`).toBeGreaterThan(0);
      const other = to === 'server' ? tunnel.client : tunnel.server;
      const status = host.statusOf(to === 'server' ? tunnel.member : host.first);
      expect(status.secure.attestation?.injected.packets).toBeGreaterThan(90);
      // Every injected packet is answered by one that the client has not asked for: those are true.
      expect(alarms(other.logged)).toBe(0);
    }
  },
);

it('who injects little into a tunnel that is still is noticed, once something is asked', () => {
  for (const seed of SEEDS) {
    const world = attested(seed);
    const { tunnel } = world;
    world.clockwork.advance(100 * SECOND + seed * 700);
    inject(world, tunnel, 'server', 5);
    world.clockwork.advance(150 * SECOND);
    expect(alarms(tunnel.server.logged), `seed ${seed}`).toBe(1);
  }
});

it('loss, reordering, moves, restarts and new keys are no injection', () => {
  for (const seed of SEEDS) {
    const world = attested(seed);
    const random = seededRandom(seed);
    const { tunnel } = world;
    const { client, server } = tunnel;
    let stop = world.talk(tunnel, 50);
    const happenings = [
      () => {
        const loss = random.pick([0, 0.01, 0.3, 0.9]);
        const delay = random.pick([1, 100, 900]);
        world.network.weather = { loss, duplication: 0, delay, spread: random.pick([0, 50, 3000]) };
      },
      () => (world.network.weather = FINE),
      () => world.nat.forget(),
      () => world.nat.move(ip(`203.0.113.${1 + random.below(50)}`)),
      () => world.moveClient(tunnel, ip(`10.1.${1 + random.below(200)}.2`)),
      () => [server.kill(), server.start()],
      () => [client.kill(), client.start()],
      () => [server.reboot(), server.start()],
      () => [client.reboot(), client.start()],
      () => [server.kill(), server.evictAll(), server.start()],
      () => client.dispatch({ kind: 'reauthenticate' }),
      () => {
        stop();
        stop = world.talk(tunnel, random.pick([10, 50, 1000, 30_000]));
      },
    ] as const;
    for (let step = 0; step < 60; step += 1) {
      random.pick(happenings)();
      world.clockwork.advance(random.pick([0.1, 3, 15, 60]) * SECOND * random.next());
    }
    world.network.weather = FINE;
    world.clockwork.advance(10 * EPOCH);
    expect(alarms([...server.logged, ...client.logged]), `seed ${seed}`).toBe(0);
    expect(secondsUntilEcho(world, tunnel), `seed ${seed}`).toBeLessThan(60);
    world.clockwork.advance(3 * EPOCH);
    // It has been watched all the time.
    expect(client.status.secure.attestation, `seed ${seed}`).toMatchObject({ counting: 'exact' });
    expect(server.statusOf(tunnel.member).secure.attestation).toBeDefined();
  }
});

it('what is lost is shown', () => {
  const world = attested(1);
  const { tunnel } = world;
  world.talk(tunnel, 100);
  world.clockwork.advance(3 * EPOCH);
  world.network.weather = { ...FINE, loss: 0.5 };
  world.clockwork.advance(10 * EPOCH);
  world.network.weather = FINE;
  world.clockwork.advance(3 * EPOCH);
  const { lost } = tunnel.server.statusOf(tunnel.member).secure.attestation ?? {};
  expect(lost?.packets).toBeGreaterThan(350);
  expect(lost?.packets).toBeLessThan(650);
});

it('says nothing where packets have tags, and to who does not tell', () => {
  for (const options of [{ session: 'v2', integrity: 'full' }, { session: 'v1' }] as const) {
    const world = startedWorld({ seed: 1, ...options });
    world.talk(world.tunnel, 100);
    world.clockwork.advance(5 * EPOCH);
    expect(world.tunnel.client.status.secure.attestation).toBeUndefined();
    expect(world.tunnel.server.status.secure.attestation).toBeUndefined();
  }
});
