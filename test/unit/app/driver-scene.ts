import { Driver } from '../../../src/app/driver.ts';
import type { AskVerify } from '../../../src/app/verifier.ts';
import type { Route } from '../../../src/app/locator.ts';
import { Memories } from '../../../src/app/memories.ts';
import type { OuterIp, Path } from '../../../src/core/addr.ts';
import { DEFAULT_PEER } from '../../../src/core/config/tunnel-config.ts';
import type { NoRoute } from '../../../src/core/events/trouble.ts';
import type { SessionEvent } from '../../../src/core/session/types.ts';
import { port } from '../../../src/core/units.ts';
import {
  FakeClock,
  FakeMemory,
  FakePlane,
  FakeSessions,
  ip,
  keepLog,
  peerConfig,
  ScriptedCore,
} from './fakes.ts';

/** A driver of one peer whose session a test writes, its start behind it. */
export async function setUp({
  verify,
  killSwitch = false,
}: { readonly verify?: AskVerify; readonly killSwitch?: boolean } = {}) {
  const clock = new FakeClock();
  const plane = new FakePlane();
  const core = new ScriptedCore();
  const { tell, lines } = keepLog();
  const paths: (Path | undefined)[] = [];
  const fatal: Error[] = [];
  const outside = {
    locate: async (_remote: OuterIp): Promise<Route | NoRoute> => ({
      kind: 'way',
      local: ip('192.0.2.1'),
      routed: true,
      mtu: 1500,
    }),
    resolve: async (_host: string, _signal: AbortSignal): Promise<readonly OuterIp[]> => [],
  };
  const memory = new FakeMemory();
  const memories = new Memories({ journal: memory, clock, tell });
  const driver = new Driver(
    {
      core,
      role: 'server',
      localPort: port(10_000),
      cookieSecret: new Uint8Array(16),
      crypto: () => ({ random: (length) => new Uint8Array(length) }),
      plane,
      clock,
      tell,
      resolver: { resolve: (host, _families, signal) => outside.resolve(host, signal) },
      families: ['ipv4', 'ipv6'],
      locate: (remote) => outside.locate(remote),
      killSwitch,
      isOwn: async (address) => address === ip('192.0.2.1'),
      memories,
      sessions: new FakeSessions(),
      verify,
      onPath: (path) => void paths.push(path),
      onEstablished: () => undefined,
      onFatal: (error) => void fatal.push(error),
    },
    [peerConfig()],
  );
  const slot = driver.table.get(DEFAULT_PEER);
  if (!slot) throw new Error('no peer');
  await driver.start([slot], () => true);
  core.events.length = 0;
  const dispatch = (event: SessionEvent): Promise<void> => driver.dispatch(slot, event);
  return { driver, slot, dispatch, clock, plane, core, lines, memory, paths, fatal, outside };
}
