/*
 * A client that sends everything through its tunnel and has the rules of Docker. Topology: the drawing at the head of
 * test/rig/full-tunnel-scene.ts; a visitor comes by the router, another by the tunnel.
 */
import path from 'node:path';
import process from 'node:process';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Daemon } from '../rig/daemon.ts';
import { dockerRules } from '../rig/docker-rules.ts';
import { fullClient, fullServer } from '../rig/full-tunnel-cases.ts';
import { fullTunnelScene, SEEN } from '../rig/full-tunnel-scene.ts';
import { patience, succeeds } from '../rig/patience.ts';
import { whatIsThere } from '../rig/traffic.ts';
import { PROJECT } from '../vm/rig/project.ts';

const scene = fullTunnelScene();
const { seenAs, sure, connect, container, watchLeaks } = scene;
const CASES = [
  { docker: 'Docker 27', plane: 'tun' },
  { docker: 'Docker 28', plane: 'bpf' },
  { docker: 'Docker 29 by nftables', plane: 'tun' },
] as const;
const LAN = '192.168.9.1';
/** Of the router's, where the client's default route alone leads. */
const FAR = '198.18.5.5';

beforeAll(async () => {
  const { lab } = scene.base;
  const service = [process.execPath, path.join(PROJECT, 'test/rig/service.mjs'), '80'];
  await lab.spawn(container(), service).waitFor(/ready/);
  await sure(lab.router, ['ip', 'addr', 'add', `${FAR}/32`, 'dev', 'lo']);
});

beforeEach(async () => {
  await sure(scene.base.lab.client(), ['nft', 'flush', 'ruleset']);
  await connect();
});

afterEach(async () => {
  await sure(scene.base.lab.client(), ['nft', 'flush', 'ruleset']);
});

/** Whom the container takes a visitor of the published port for. */
async function visit(namespace: string, to: string, from: string): Promise<string> {
  const script = path.join(PROJECT, 'test/rig/visitor.mjs');
  const wait = String(Math.ceil(patience(2000) / 1000));
  const argv = [process.execPath, script, 'tcp', to, '8080', wait, from];
  return (await sure(namespace, argv)).trim().slice(from.length + 1);
}

async function both(
  plane: string,
  ...more: readonly string[]
): Promise<{ readonly server: Daemon; readonly client: Daemon }> {
  const { lab, start } = scene.base;
  const server = await start(lab.server, fullServer(plane));
  const client = await start(lab.client(), fullClient(plane, 'return-path tunnel', ...more));
  await client.established();
  await server.established();
  return { server, client };
}

async function everything(namespace: string): Promise<string> {
  const there = await whatIsThere(scene.base.lab, namespace);
  return there.replaceAll(/packets \d+ bytes \d+/g, 'counted');
}

describe.each(CASES)('on $plane with the rules of $docker', ({ docker, plane }) => {
  const install = () =>
    dockerRules(scene.base.lab.client(), docker, { network: '172.20.0.0/24', box: '172.20.0.2' });

  test('containers go by the tunnel, and are visited by either way', async () => {
    const { lab, hosts } = scene.base;
    const name = lab.client();
    await install();
    const before = await everything(name);
    const { client } = await both(plane);
    await succeeds(async () => expect(await seenAs(container())).toBe(SEEN));
    expect(await visit(lab.router, '192.168.9.2', LAN)).toBe(LAN);
    expect(await visit(lab.router, lab.clientAddress(), FAR)).toBe(FAR);
    expect(await visit(lab.server, '172.28.0.1', '172.28.0.0')).toBe('172.28.0.0');
    const examined = (await hosts.run(name, ['doctor', 'ipipou0'])).stdout;
    expect(examined).toMatch(/^ok +firewall/m);
    expect(examined).not.toMatch(/^(wrong|warning|unknown) +firewall/m);
    await sure(name, ['nft', 'delete', 'table', 'inet', 'ipipou-beside-ipipou0']);
    const rule = ['ip', 'rule', 'show', 'priority', '32500'];
    await sure(name, [...rule.slice(0, 2), 'del', ...rule.slice(3)]);
    await succeeds(async () => expect(await sure(name, rule)).toContain('lookup main'));
    await succeeds(async () => expect(await visit(lab.router, lab.clientAddress(), FAR)).toBe(FAR));
    expect(await client.stop()).toBe(0);
    expect(await everything(name)).toBe(before);
    expect(await visit(lab.router, '192.168.9.2', LAN)).toBe(LAN);
  });

  test('nothing leaves beside a kill switch', async () => {
    const { lab, hosts } = scene.base;
    const name = lab.client();
    await install();
    const before = await everything(name);
    const { client } = await both(plane, 'kill-switch strict');
    const leaks = await watchLeaks();
    await succeeds(async () => expect(await seenAs(container())).toBe(SEEN));
    await succeeds(async () => expect(await seenAs(name)).toBe(SEEN));
    expect(await visit(lab.server, '172.28.0.1', '172.28.0.0')).toBe('172.28.0.0');
    expect(await visit(lab.router, '192.168.9.2', LAN)).toBe('no answer');
    await client.kill();
    if (plane !== 'tun') await sure(name, ['ip', 'link', 'del', 'ipipou0']);
    for (const namespace of [name, container()]) {
      expect(await seenAs(namespace)).toBe('no answer');
    }
    expect(await leaks.end()).toEqual([]);
    expect(await hosts.run(name, ['down', 'ipipou0'])).toMatchObject({ code: 0 });
    expect(await everything(name)).toBe(before);
  });
});

test.each(['tun', 'bpf'])(
  'on %s who is logged in from elsewhere when the tunnel starts stays so, also after kill -9',
  async (plane) => {
    const { lab, start } = scene.base;
    const name = lab.client();
    const serve = `const server = require('node:net').createServer((socket) => {
      setInterval(() => socket.write('tick\\n'), 100);
      socket.on('error', () => undefined);
    });
    server.listen(2222, '::', () => console.log('ready'));`;
    await lab.spawn(name, [process.execPath, '-e', serve]).waitFor(/ready/);
    const log = `const where = { port: 2222, host: '${lab.clientAddress()}', localAddress: '${FAR}' };
    require('node:net').connect(where).pipe(process.stdout);`;
    const session = lab.spawn(lab.router, [process.execPath, '-e', log]);
    await session.waitFor(/tick/);
    const goesOn = async (): Promise<void> => {
      const { length } = session.stdout;
      await succeeds(() => expect(session.stdout.length).toBeGreaterThan(length + 50));
    };
    const { client } = await both(plane);
    await succeeds(async () => expect(await seenAs(name)).toBe(SEEN));
    await goesOn();
    await client.kill();
    await goesOn();
    const again = await start(name, fullClient(plane));
    await again.established();
    await succeeds(async () => expect(await seenAs(name)).toBe(SEEN));
    await goesOn();
    await session.stop();
  },
);
