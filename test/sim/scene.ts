import { sameEndpoint } from '../../src/core/addr.ts';
import { World, type Tunnel, type WorldOptions } from './world.ts';

/** Virtual milliseconds. */
export const SECOND = 1000;

/** Long enough to be answered by a challenge, from the client's address inside. */
export const LONG = Uint8Array.from([
  ...[0x45, 0, 0, 128, 0, 0, 0, 0, 64, 17, 0, 0],
  ...[172, 28, 0, 1],
  ...new Uint8Array(112).fill(1),
]);

/** A world whose tunnels have come up. */
export function startedWorld(options: Partial<WorldOptions> = {}): World {
  const world = new World({ seed: 1, ...options });
  world.start();
  world.clockwork.advance(2 * SECOND);
  return world;
}

/** Whether the server admits the client where the network shows it now. */
export function isReachable(world: World, tunnel: Tunnel): boolean {
  const outside = world.outsideOf(tunnel);
  const { admitted } = tunnel.member;
  return !!outside && !!admitted && sameEndpoint(admitted.remote, outside);
}

/** Seconds until data of the client is answered through the tunnel; undefined = not within ten minutes. */
export function secondsUntilEcho(world: World, tunnel: Tunnel): number | undefined {
  const begin = world.clockwork.now;
  const stop = world.talk(tunnel, SECOND);
  const found = world.clockwork.until(begin + 600 * SECOND, () => (tunnel.echoedAt ?? 0) > begin);
  stop();
  return found ? (world.clockwork.now - begin) / SECOND : undefined;
}
