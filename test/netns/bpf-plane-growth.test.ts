/*
 * Larger maps take the place of smaller ones, whatever a device does meanwhile. The drawing of the hosts is at
 * the head of test/rig/two-hosts.ts; b has two more devices, of which the first takes no program:
 *
 *     a   w0 10.7.0.1 ── w0 10.7.0.2   b   d0 10.8.0.1 (somebody else's filter, where ours would be)
 */
import { expect, test } from 'vitest';
import type { PeerId } from '../../src/core/config/tunnel-config.ts';
import { port } from '../../src/core/units.ts';
import { ip } from '../rig/addresses.ts';
import { innerIp, peerOf } from '../rig/many-clients.ts';
import { NamespaceSocket } from '../rig/namespace-sockets.ts';
import { eventually, INNER_B, pairForEach, type PlanePair } from '../rig/plane-pair.ts';
import { innerEcho } from '../rig/traffic.ts';

const LOCAL = { ip: ip('10.7.0.2'), port: port(10_000) };
const CLIENT = { ip: ip('10.7.0.1'), port: port(20_000) };
const MORE = Array.from({ length: 400 }, (_, number) => peerOf(number + 1));

let pair: PlanePair;

pairForEach('bpf', (made) => {
  pair = made;
});

async function layDevices(): Promise<void> {
  const { cable } = pair;
  const lines = [
    [cable.b, 'link add d0 index 40 type veth peer name d1'],
    [cable.b, 'addr add 10.8.0.1/24 dev d0'],
    [cable.b, 'link set d0 up'],
    [cable.b, `link add w0 index 50 type veth peer name w0 netns ${cable.a}`],
    [cable.b, 'addr add 10.7.0.2/24 dev w0'],
    [cable.b, 'link set w0 up'],
    [cable.a, 'addr add 10.7.0.1/24 dev w0'],
    [cable.a, 'link set w0 up'],
  ] as const;
  for (const [host, line] of lines) await cable.sure(host, 'ip', ...line.split(' '));
}

async function foreignFilter(): Promise<void> {
  const { cable } = pair;
  await cable.sure(cable.b, 'tc', 'qdisc', 'add', 'dev', 'd0', 'clsact');
  const words = 'filter add dev d0 ingress pref 100 protocol ip u32 match u32 0 0 classid 1:1';
  await cable.sure(cable.b, 'tc', ...words.split(' '));
}

async function descriptors(): Promise<number> {
  return (await pair.b.descriptors()).filter((what) => what.includes('bpf')).length;
}

test('a device that takes no program keeps none from growing: whoever is removed stays out', async () => {
  await layDevices();
  await foreignFilter();
  const { b, cable } = pair;
  await b.open({ ips: [INNER_B], peers: [peerOf(0)] });
  await b.admit({ local: LOCAL, remote: CLIENT }, peerOf(0).id);
  using client = NamespaceSocket.udp(cable.a, CLIENT);
  client.send(LOCAL, innerEcho(innerIp(0), INNER_B));
  await eventually(() => expect(client.received()).toHaveLength(1));
  const before = await descriptors();
  await b.configure(MORE);
  expect(await descriptors()).toBe(before);
  client.send(LOCAL, innerEcho(innerIp(0), INNER_B));
  await eventually(() => expect(client.received()).toHaveLength(1));
  const arrived = await pair.arrivedInB();
  await b.remove(peerOf(0).id);
  client.send(LOCAL, innerEcho(innerIp(0), INNER_B));
  // What comes next shows that this has been looked at.
  const other = { ip: CLIENT.ip, port: port(20_001) };
  using next = NamespaceSocket.udp(cable.a, other);
  await b.admit({ local: LOCAL, remote: other }, 'peer400' as PeerId);
  next.send(LOCAL, innerEcho(innerIp(400), INNER_B));
  await eventually(() => expect(next.received()).toHaveLength(1));
  expect(client.received()).toEqual([]);
  expect(await pair.arrivedInB()).toBe(arrived + 1);
  expect(b.events).toContainEqual({
    event: 'disturbed',
    what: 'tc filter of d0',
    repaired: false,
  });
});

test('a device that takes no program is not the end of those that come later', async () => {
  await layDevices();
  await foreignFilter();
  const { b, cable } = pair;
  await b.open({ ips: [INNER_B], peers: [peerOf(0)] });
  for (const line of [
    'link add z0 index 60 type veth peer name z1',
    'addr add 10.6.0.1/24 dev z0',
    'link set z0 up',
  ]) {
    await cable.sure(cable.b, 'ip', ...line.split(' '));
  }
  await eventually(async () => {
    const filters = await cable.sure(cable.b, 'tc', 'filter', 'show', 'dev', 'z0', 'ingress');
    expect(filters).toMatch(/ipipou_decap/);
  });
  // When the other filter goes, the device is served at the next look.
  await cable.sure(cable.b, 'tc', 'filter', 'del', 'dev', 'd0', 'ingress');
  await cable.sure(cable.b, 'ip', 'addr', 'add', '10.8.0.7/24', 'dev', 'd0');
  await eventually(async () => {
    const filters = await cable.sure(cable.b, 'tc', 'filter', 'show', 'dev', 'd0', 'ingress');
    expect(filters).toMatch(/ipipou_decap/);
  });
});

test('a device that is gone when the maps grow', async () => {
  await layDevices();
  const { b, cable } = pair;
  await b.open({ ips: [INNER_B], peers: [peerOf(0)] });
  const before = await descriptors();
  await Promise.all([cable.sure(cable.b, 'ip', 'link', 'del', 'd0'), b.configure(MORE)]);
  expect(await descriptors()).toBe(before);
  await b.admit({ local: LOCAL, remote: CLIENT }, 'peer400' as PeerId);
  using client = NamespaceSocket.udp(cable.a, CLIENT);
  client.send(LOCAL, innerEcho(innerIp(400), INNER_B));
  await eventually(() => expect(client.received()).toHaveLength(1));
});
