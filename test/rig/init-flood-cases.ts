/*
 * A flood of forged first messages of session 2, and of what looks like its packets: who is connected goes on, who is not
 * gets in, and the server does no more for it than its budgets say. The topology is drawn at the head of
 * src/adapters/lab/topology.ts; the flood comes from the router. Not how fast it is: bench/flood.ts tells that.
 */
import { describe, expect, test } from 'vitest';
import { generateKeyPair } from '../../src/adapters/crypto.ts';
import { dhPairOf, noiseCrypto } from '../../src/adapters/crypto-noise.ts';
import { SERVER_ADDRESS } from '../../src/adapters/lab/topology.ts';
import { formatBase64 } from '../../src/core/base64.ts';
import { CONTROL_LIMITS, PROGRAM_RATES } from '../../src/core/budgets.ts';
import { serverKeysOf } from '../../src/core/handshake/keys.ts';
import { port } from '../../src/core/units.ts';
import { floodCommand, floodSent, routeForged, type FloodSpec } from './flood.ts';
import { labScene, type LabScene } from './lab-scene.ts';
import { eventually } from './plane-pair.ts';
import { patience, succeeds } from './patience.ts';

const [server, one, two] = [generateKeyPair(), generateKeyPair(), generateKeyPair()];
const keys = { one, two };
const mac1 = Buffer.from(serverKeysOf(noiseCrypto, dhPairOf(server.privateSeed)).mac1);
const b64 = formatBase64;

const FLOODS = [
  ['made for this server', { packets: 'inits', mac1: mac1.toString('hex') }],
  ['made for none', { packets: 'inits' }],
  ['that are only as long', { packets: 'junk' }],
] as const satisfies readonly (readonly [string, Partial<FloodSpec>])[];
/**
 * Packets a second: the programs answer every fourth of these. The thread is told a part of them, and comes to run for each.
 * `fou` is tried in an emulated guest, where everything takes fifty times as long: more than the session looks at, so that
 * the rest is answered by cookies. `attempts`: those that a client may need, each of which is several packets.
 */
const TRIED = {
  bpf: { rate: 200_000, frames: 32_768, attempts: 8, timeout: 120_000, floods: FLOODS },
  tun: { rate: 20_000, frames: 32_768, attempts: 8, timeout: 120_000, floods: FLOODS },
  fou: { rate: 500, frames: 256, attempts: 100, timeout: 900_000, floods: [FLOODS[0]] },
} as const;

/** To be called once in a test file, for planes that this kernel has. */
export function describeInitFlood(planes: readonly (keyof typeof TRIED)[]): void {
  const scene = labScene({ clients: 2 });
  for (const plane of planes) {
    describe(`on ${plane}, first messages`, { timeout: TRIED[plane].timeout }, () => {
      describeOne(scene, plane);
    });
  }
}

function describeOne(scene: LabScene, plane: keyof typeof TRIED): void {
  const { attempts, floods, frames, rate } = TRIED[plane];
  const common = [`dataplane ${plane}`, 'session v2', 'auth-secret topsecret', 'verb 3'];

  const serve = () =>
    scene.start(scene.lab.server, [
      ...['server', 'fou-dev eth0', 'tunl-ip 172.28.0.0', ...common],
      `auth-key-b64 ${b64(server.privateSeed)}`,
      ...['peer one', 'tunl-peer-ip 172.28.0.1', `auth-remote-pubkey-b64 ${b64(one.publicKey)}`],
      ...['peer two', 'tunl-peer-ip 172.28.0.2', `auth-remote-pubkey-b64 ${b64(two.publicKey)}`],
    ]);

  const connect = (name: 'one' | 'two', number: number) =>
    scene.start(scene.lab.client(number), [
      ...['client', 'fou-local @eth0', `fou-remote ${SERVER_ADDRESS}:10000`, ...common],
      ...[`tunl-ip 172.28.0.${number + 1}`, 'tunl-peer-ip 172.28.0.0', 'keepalive 5'],
      `auth-key-b64 ${b64(keys[name].privateSeed)}`,
      `auth-remote-pubkey-b64 ${b64(server.publicKey)}`,
    ]);

  /** In a flood a packet may be lost. */
  async function expectCarried(namespace: string): Promise<void> {
    const ping = ['ping', '-c20', '-i0.1', '-w30', '-q', '172.28.0.0'];
    const { code, stdout } = await scene.lab.exec(namespace, ping, { timeout: patience(60_000) });
    expect(code, `${namespace}: ${stdout}`).toBe(0);
  }

  async function bytes(way: 'rx' | 'tx'): Promise<number> {
    const file = `/sys/class/net/eth0/statistics/${way}_bytes`;
    return Number((await scene.lab.exec(scene.lab.server, ['cat', file])).stdout);
  }

  test.each<readonly [string, Partial<FloodSpec>]>(floods)(
    '%s keep nobody out',
    async (_what, spec) => {
      const { lab } = scene;
      await routeForged(lab);
      const daemon = await serve();
      await daemon.ready();
      const first = await connect('one', 0);
      await first.established();
      const { stdout } = await lab.exec(lab.server, ['cat', '/sys/class/net/eth0/address']);
      const before = { rx: await bytes('rx'), tx: await bytes('tx') };
      const from = performance.now();
      const command = floodCommand({
        ...{ device: 'wan', mac: stdout.trim(), packets: 'inits', count: 0, rate },
        ...{
          frames,
          sources: 65_536,
          to: { ip: SERVER_ADDRESS, port: port(10_000) },
          ...spec,
        },
      });
      await using flood = lab.spawn(lab.router, command);
      await flood.waitFor(/flooding/, patience(60_000));
      try {
        const second = await connect('two', 1);
        const { authPacketsSent } = await second.established();
        expect(authPacketsSent).toBeLessThanOrEqual(attempts);
        // Other ports: the server is asked from there, and follows.
        const names = ['one', 'two'];
        const where = async (name: string) =>
          succeeds(async () => (await daemon.peer(name)).path?.remote.port);
        const ports = await Promise.all(names.map(where));
        await lab.remapNat();
        for (const { program } of [first, second]) program.signal('SIGUSR1');
        for (const [at, name] of names.entries()) {
          await eventually(async () => expect(await where(name)).not.toBe(ports[at]));
        }
        for (const client of [0, 1]) await expectCarried(lab.client(client));
      } finally {
        expect(await floodSent(flood, true)).toBeGreaterThan(1000);
      }
      const seconds = (performance.now() - from) / 1000;
      const after = { rx: await bytes('rx'), tx: await bytes('tx') };
      expect(after.tx - before.tx).toBeLessThanOrEqual(after.rx - before.rx);
      const { refused } = await daemon.ready();
      const looked = Object.values(refused).reduce((sum, count) => sum + count, 0);
      // Each processor may take the same token once.
      const rates = [PROGRAM_RATES.init, PROGRAM_RATES.strangerAll, CONTROL_LIMITS.strangers];
      const most = rates.reduce(
        (sum, { burst, perSecond }) => sum + 2 * (burst + perSecond * seconds),
        0,
      );
      expect(looked).toBeLessThan(most);
    },
  );
}
