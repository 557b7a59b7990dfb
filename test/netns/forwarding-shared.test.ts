/* Topology: the drawing at the head of test/rig/visitor-scene.ts. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Program } from '../../src/adapters/lab/process.ts';
import type { Daemon } from '../rig/daemon.ts';
import { clientConfig, serverConfig } from '../rig/expose-cases.ts';
import { nobody, SERVER, themselves, VISITORS, visitorScene } from '../rig/visitor-scene.ts';

const scene = visitorScene();
const two = VISITORS.slice(0, 2);
const world = VISITORS[0] ?? '';

/** Another tunnel of the server, which nobody is at the other end of. */
async function another(...options: readonly string[]): Promise<Daemon> {
  const daemon = await scene.base.start(
    scene.base.lab.server,
    ['server', 'number 1', 'dataplane tun', 'fou-dev eth0', 'auth-token t', ...options],
    'ipipou1',
  );
  await daemon.ready();
  return daemon;
}

const pair = (...options: readonly string[]) =>
  scene.both(serverConfig('tun', ...options), clientConfig('tun'));

/** What a network of the server's takes the client for, which sends there by the tunnel. */
async function seenBeyond(): Promise<string> {
  const client = scene.base.lab.client();
  await scene.sure(client, ['ip', 'route', 'replace', `${world}/32`, 'dev', 'ipipou0']);
  const from = '172.28.0.1';
  const asked = { namespace: client, from: [from], to: world, seconds: 2 };
  return (await scene.visit('tcp/446', asked))[from] ?? '';
}

/** What the router takes visitors for, whose packets the server has to forward from one of its networks to another. */
async function seenByRouter(): Promise<Readonly<Record<string, string>>> {
  const { router } = scene.base.lab;
  const way = ['198.51.100.0/24', 'via', SERVER];
  await scene.sure(router, ['ip', 'route', 'replace', ...way]);
  const service = await scene.serve(router, '447');
  const seen = await scene.visit('tcp/447', { to: '203.0.113.2', seconds: 2 });
  await service.stop();
  return seen;
}

const forwarding = async (): Promise<string> => {
  const names = ['net.ipv4.ip_forward', 'net.ipv6.conf.all.forwarding'];
  return (await scene.sure(scene.base.lab.server, ['sysctl', '-n', ...names])).replace('\n', ' ');
};

let beyond: Program;
beforeEach(async () => {
  beyond = await scene.serve(scene.visitor, '446');
});
afterEach(async () => {
  await beyond.stop();
});

test('what a tunnel masquerades leaves another what it exposes, and what it masquerades', async () => {
  const first = await another('masquerade');
  const exposes = await pair('expose tcp/443');
  expect(await scene.visit('tcp/443')).toEqual(themselves(two));
  expect(await seenBeyond()).toBe('no answer');
  await exposes.server.stop();
  await exposes.client.stop();

  const masquerades = await pair('masquerade');
  expect(await seenBeyond()).toBe('198.51.100.1');
  // Nothing else is forwarded, whatever mark it bears.
  expect(await seenByRouter()).toEqual(nobody(two));
  const { server } = scene.base.lab;
  const marks = 'chain c { type filter hook prerouting priority 0; meta mark set 0xffffffff; }';
  await scene.sure(server, ['nft', `table ip t { ${marks}; }`]);
  expect(await seenByRouter()).toEqual(nobody(two));
  expect(await seenBeyond()).toBe('198.51.100.1');
  await scene.sure(server, ['nft', 'delete', 'table', 'ip', 't']);
  expect(await masquerades.server.stop()).toBe(0);
  expect(await first.stop()).toBe(0);
  expect(await forwarding()).toBe('0 0\n');
});

test('that this host did not forward before is known to all tunnels, and the last one puts it back', async () => {
  const first = await another('expose tcp/441');
  const second = await pair('expose tcp/443');
  expect(await scene.visit('tcp/443')).toEqual(themselves(two));
  expect(await seenBeyond()).toBe('no answer');
  expect(await seenByRouter()).toEqual(themselves(two));
  expect(await first.stop()).toBe(0);
  expect(await forwarding()).toMatch(/^1/);
  expect(await seenBeyond()).toBe('no answer');

  const again = await another('expose tcp/441');
  const rules = await scene.sure(scene.base.lab.server, [
    'nft',
    'list',
    'table',
    'inet',
    'ipipou-expose-ipipou1',
  ]);
  expect(rules).toMatch(/meta nfproto ipv4 ct status (?:& dnat != dnat|! dnat) drop/);
  expect(await second.server.stop()).toBe(0);
  expect(await forwarding()).toMatch(/^1/);
  expect(await again.stop()).toBe(0);
  expect(await forwarding()).toBe('0 0\n');
});
