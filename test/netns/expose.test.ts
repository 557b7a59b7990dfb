import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { inside, ipBatch, removeNamespaces } from '../../src/adapters/lab/namespaces.ts';
import { runChecked, type Program } from '../../src/adapters/lab/process.ts';
import { changed, DESCRIBED, type Daemon } from '../rig/daemon.ts';
import { labScene } from '../rig/lab-scene.ts';
import { patience, succeeds } from '../rig/patience.ts';
import { whatIsThere } from '../rig/traffic.ts';
import { PROJECT } from '../vm/rig/project.ts';

/*
 * Services behind NAT that visitors reach at the server's address. To the lab (src/adapters/lab/topology.ts) come
 *
 *   VISITOR                              SERVER            CLIENT                       CONTAINER
 *   v0 198.51.100.10 … .29 ───────── v0 198.51.100.1       c0 172.20.0.1 ──────────── c0 172.20.0.2
 *      2001:db8:51::10 …                2001:db8:51::1        publishes 8080 as Docker does
 *
 * Nobody at home has a route to visitors: an answer that takes the default route is lost.
 */
const scene = labScene({ families: 'both' });

const VISITORS = Array.from({ length: 20 }, (_, number) => `198.51.100.${10 + number}`);
const VISITORS6 = ['2001:db8:51::10', '2001:db8:51::11'];
const SERVER = '203.0.113.1';
const SERVER6 = '2001:db8::1';

const visitor = `ipipou-expose-${process.pid}-v`;
const container = `ipipou-expose-${process.pid}-c`;

const serverConfig = (plane: string, ...more: readonly string[]): string[] =>
  changed(
    DESCRIBED.server,
    `dataplane ${plane}`,
    'tunl-ip 172.28.0.0,fd28::',
    'tunl-peer-ip 172.28.0.1,fd28::1',
    'allowed-ips 172.20.0.0/24',
    ...more,
  );

const clientConfig = (plane: string, ...more: readonly string[]): string[] =>
  changed(
    DESCRIBED.client,
    `dataplane ${plane}`,
    'tunl-ip 172.28.0.1,fd28::1',
    'tunl-peer-ip 172.28.0.0,fd28::',
    'keepalive 1',
    'return-path tunnel',
    ...more,
  );

const services: Program[] = [];

beforeAll(async () => {
  const { lab } = scene;
  const client = lab.client();
  await ipBatch(undefined, [
    ...[visitor, container].map((name) => `netns add ${name}`),
    `link add v0 netns ${visitor} type veth peer name v0 netns ${lab.server}`,
    `link add c0 netns ${container} type veth peer name c0 netns ${client}`,
  ]);
  await ipBatch(lab.server, [
    'addr add 198.51.100.1/24 dev v0',
    'addr add 2001:db8:51::1/64 dev v0 nodad',
    'link set v0 up',
  ]);
  await ipBatch(visitor, [
    'link set lo up',
    ...VISITORS.map((ip) => `addr add ${ip}/24 dev v0`),
    ...VISITORS6.map((ip) => `addr add ${ip}/64 dev v0 nodad`),
    'link set v0 up',
    'route add default via 198.51.100.1',
    'route add default via 2001:db8:51::1',
  ]);
  await ipBatch(client, ['addr add 172.20.0.1/24 dev c0', 'link set c0 up']);
  await ipBatch(container, [
    'link set lo up',
    'addr add 172.20.0.2/24 dev c0',
    'link set c0 up',
    'route add default via 172.20.0.1',
  ]);
  // As Docker publishes a port.
  await sure(client, ['sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv4.conf.all.rp_filter=1']);
  const rules = [
    'table ip docker {',
    'chain pre { type nat hook prerouting priority dstnat; tcp dport 8080 fib daddr type local dnat to 172.20.0.2:8080; }',
    'chain post { type nat hook postrouting priority srcnat; ip saddr 172.20.0.0/24 oifname != "c0" masquerade; }',
    '}',
  ].join('\n');
  await runChecked(inside(client, ['nft', '-f', '-']), { input: rules });
  services.push(
    await serve(client, '443', '27015'),
    await serve(container, '8080'),
    await serve(container, '444'),
  );
});

afterAll(async () => {
  await Promise.all(services.map((one) => one.stop()));
  await removeNamespaces([visitor, container]);
});

async function sure(namespace: string, argv: readonly string[]): Promise<string> {
  return (await runChecked(inside(namespace, argv), { timeout: patience(20_000) })).stdout;
}

async function serve(namespace: string, ...ports: readonly string[]): Promise<Program> {
  const script = path.join(PROJECT, 'test/rig/service.mjs');
  const program = scene.lab.spawn(namespace, [process.execPath, script, ...ports]);
  await program.waitFor(/ready/);
  return program;
}

type Visit = {
  readonly to?: string;
  readonly from?: readonly string[];
  readonly namespace?: string;
  readonly seconds?: number;
};

/** What the service took each visitor for. */
async function visit(
  service: string,
  { to = SERVER, from = VISITORS.slice(0, 2), namespace = visitor, seconds = 8 }: Visit = {},
): Promise<Readonly<Record<string, string>>> {
  const [protocol = '', port = ''] = service.split('/');
  const script = path.join(PROJECT, 'test/rig/visitor.mjs');
  const wait = String(Math.ceil(patience(seconds * 1000) / 1000));
  const argv = [process.execPath, script, protocol, to, port, wait, ...from];
  const done = await runChecked(inside(namespace, argv), { timeout: patience(60_000) });
  const lines = done.stdout.trim().split('\n');
  return Object.fromEntries(
    lines.map((line): readonly [string, string] => {
      const [own = '', ...seen] = line.split(' ');
      return [own, seen.join(' ')];
    }),
  );
}

/** Each is seen as who it is. */
const themselves = (visitors: readonly string[]): Readonly<Record<string, string>> =>
  Object.fromEntries(visitors.map((ip) => [ip, ip]));

const nobody = (visitors: readonly string[]): Readonly<Record<string, string>> =>
  Object.fromEntries(visitors.map((ip) => [ip, 'no answer']));

async function both(
  server: readonly string[],
  client: readonly string[],
): Promise<{ readonly server: Daemon; readonly client: Daemon }> {
  const { lab, start } = scene;
  const daemons = {
    server: await start(lab.server, server),
    client: await start(lab.client(), client),
  };
  await daemons.client.established();
  await daemons.server.established();
  return daemons;
}

const everything =
  'expose tcp/443, tcp/2222:443, udp/27010-27020, tcp/8080, tcp/8444:172.20.0.2:444';

describe.each(['tun', 'bpf'])('dataplane %s', (plane) => {
  test('services are reached, and see who visits them', async () => {
    const { lab, hosts } = scene;
    const before = [await whatIsThere(lab, lab.server), await whatIsThere(lab, lab.client())];
    const daemons = await both(serverConfig(plane, everything), clientConfig(plane));

    expect(await visit('tcp/443', { from: VISITORS })).toEqual(themselves(VISITORS));
    expect(await visit('udp/27015', { from: VISITORS })).toEqual(themselves(VISITORS));
    expect(await visit('tcp/2222')).toEqual(themselves(VISITORS.slice(0, 2)));
    // At another address of the server's, and in IPv6.
    expect(await visit('tcp/443', { to: '198.51.100.1' })).toEqual(
      themselves(VISITORS.slice(0, 2)),
    );
    expect(await visit('tcp/443', { to: SERVER6, from: VISITORS6 })).toEqual(themselves(VISITORS6));
    expect(await visit('udp/27015', { to: SERVER6, from: VISITORS6 })).toEqual(
      themselves(VISITORS6),
    );
    // In a container whose port is published, and on a host behind the client.
    expect(await visit('tcp/8080')).toEqual(themselves(VISITORS.slice(0, 2)));
    expect(await visit('tcp/8444')).toEqual(themselves(VISITORS.slice(0, 2)));
    // From the server itself, and from home by the public address.
    expect(await visit('tcp/443', { namespace: lab.server, from: [SERVER] })).toEqual({
      [SERVER]: SERVER,
    });
    const home = lab.clientAddress();
    expect(await visit('tcp/443', { namespace: lab.client(), from: [home] })).toEqual({
      [home]: lab.natAddress(),
    });
    // Nothing else.
    expect(await visit('tcp/80', { seconds: 2 })).toEqual(nobody(VISITORS.slice(0, 2)));

    const shown = (await hosts.run(lab.server, ['show', 'ipipou0'])).stdout;
    expect(shown).toMatch(/exposed +tcp\/443: \d+ connections, \d+\.\d MiB in \d+ packets$/m);
    expect(shown).toMatch(/exposed +udp\/27010-27020: 22 connections/m);
    expect(daemons.server.program.output()).toContain('net.ipv4.ip_forward value=1 before=0');
    expect(daemons.client.program.output()).toContain('what comes by the tunnel is answered by it');

    expect(await daemons.server.stop()).toBe(0);
    expect(await daemons.client.stop()).toBe(0);
    const after = [await whatIsThere(lab, lab.server), await whatIsThere(lab, lab.client())];
    expect(after).toEqual(before);
  });

  test('what others flush is put back, and a killed server goes on', async () => {
    const { lab, hosts } = scene;
    const before = [await whatIsThere(lab, lab.server), await whatIsThere(lab, lab.client())];
    const daemons = await both(serverConfig(plane, everything), clientConfig(plane));
    await sure(lab.server, ['nft', 'delete', 'table', 'inet', 'ipipou-expose-ipipou0']);
    await sure(lab.client(), ['nft', 'delete', 'table', 'inet', 'ipipou-return-ipipou0']);
    const [, table = ''] = /table=(\d+)/.exec(daemons.client.program.output()) ?? [];
    await sure(lab.client(), ['ip', 'route', 'flush', 'table', table]);
    await sure(lab.client(), ['ip', 'rule', 'del', 'priority', '14800']);
    await succeeds(async () =>
      expect(await visit('tcp/443', { seconds: 1 })).toEqual(themselves(VISITORS.slice(0, 2))),
    );
    expect(daemons.server.program.output()).toContain('put back what was changed from outside');
    expect(daemons.client.program.output()).toContain('put back what was changed from outside');

    await Promise.all([daemons.server.kill(), daemons.client.kill()]);
    if (plane === 'bpf') {
      expect(await visit('tcp/443')).toEqual(themselves(VISITORS.slice(0, 2)));
    }
    // A start with less takes over, and cleans up what is no longer wanted.
    const again = await both(serverConfig(plane, 'expose tcp/2222:443'), clientConfig(plane));
    expect(await visit('tcp/2222')).toEqual(themselves(VISITORS.slice(0, 2)));
    expect(await visit('tcp/443', { seconds: 2 })).toEqual(nobody(VISITORS.slice(0, 2)));
    await Promise.all([again.server.kill(), again.client.kill()]);
    for (const namespace of [lab.server, lab.client()]) {
      expect(await hosts.run(namespace, ['down', 'ipipou0'])).toMatchObject({ code: 0 });
    }
    const after = [await whatIsThere(lab, lab.server), await whatIsThere(lab, lab.client())];
    expect(after).toEqual(before);
  });
});

test('a running server exposes more, and less, and says what that hides', async () => {
  const { lab, hosts } = scene;
  const daemons = await both(
    changed(
      DESCRIBED.server,
      ...['dataplane tun', '-auth-remote-pubkey-b64'],
      'peer home',
      `auth-remote-pubkey-b64 ${DESCRIBED.server[5].split(' ')[1]}`,
      'tunl-peer-ip 172.28.0.1',
    ),
    changed(DESCRIBED.client, 'dataplane tun', 'keepalive 1', 'return-path tunnel'),
  );
  const set = (...words: readonly string[]) =>
    hosts.run(lab.server, ['set', 'ipipou0', 'peer', 'home', ...words]);
  const two = ['198.51.100.10', '198.51.100.11'] as const;
  expect(await visit('tcp/443', { seconds: 2 })).toEqual(nobody(two));

  const own = await serve(lab.server, '443');
  expect(await visit('tcp/443')).toEqual(themselves(two));
  expect(await set('expose', 'tcp/443')).toMatchObject({ code: 0 });
  expect(daemons.server.program.output()).toMatch(/no longer reach what listens there.*listener=/);
  expect(await visit('tcp/443')).toEqual(themselves(two));
  expect(services[0]?.stdout).toContain(`from ${two[0]}`);
  const shown = (await hosts.run(lab.server, ['show', 'ipipou0', 'peer', 'home'])).stdout;
  expect(shown).toMatch(/exposed +tcp\/443: 2 connections.*not reached$/m);
  await own.stop();

  // Only from where it is said; and what is named otherwise stays.
  expect(await set('expose-from', `${two[1]}, 2001:db8:51::/64`)).toMatchObject({ code: 0 });
  expect(await visit('tcp/443', { seconds: 2 })).toEqual({
    [two[0]]: 'no answer',
    [two[1]]: two[1],
  });

  for (const refused of [
    `tcp/443, tcp/400-500`,
    'udp/10000',
    'tcp/443:10.9.9.9:443',
    '[2001:db8::1]:tcp/443',
    'tcp/0',
  ]) {
    expect(await set('expose', refused), refused).toMatchObject({ code: 2 });
  }
  expect(await visit('tcp/443', { from: [two[1]] })).toEqual(themselves([two[1]]));

  expect(await set('expose', '')).toMatchObject({ code: 0 });
  expect(await visit('tcp/443', { seconds: 2 })).toEqual(nobody(two));
  expect(await sure(lab.server, ['nft', 'list', 'tables'])).not.toContain('expose');
  expect((await sure(lab.server, ['sysctl', '-n', 'net.ipv4.ip_forward'])).trim()).toBe('0');
});
