/* Whose a packet is, of many peers. Drawing: test/rig/many-clients.ts. */
import { describe, expect, test } from 'vitest';
import { inside } from '../../src/adapters/lab/namespaces.ts';
import { Program } from '../../src/adapters/lab/process.ts';
import { hostPrefix } from '../../src/core/addr.ts';
import { inner, ip } from '../rig/addresses.ts';
import {
  clientEnd,
  innerIp,
  innerOf,
  manyClientsForEach,
  pathOf,
  peerOf,
} from '../rig/many-clients.ts';
import { NamespaceSocket } from '../rig/namespace-sockets.ts';
import type { PlaneHost } from '../rig/plane-host.ts';
import { A, B, eventually, INNER_B, onePair, type PlanePair } from '../rig/plane-pair.ts';
import { innerEcho } from '../rig/traffic.ts';
import type { TwoHosts } from '../rig/two-hosts.ts';

let pair: PlanePair;
let cable: TwoHosts;
let b: PlaneHost;

onePair('bpf', (made) => {
  pair = made;
  ({ cable, b } = made);
});

describe('eight clients behind one address', () => {
  let clients: readonly NamespaceSocket[] = [];

  manyClientsForEach(
    () => pair,
    8,
    (made) => {
      clients = made;
    },
  );

  test("another peer's inner source is dropped and counted with who sent it", async () => {
    const before = await pair.arrivedInB();
    clients[3]?.send(B, innerEcho(innerIp(4), INNER_B));
    clients[3]?.send(B, innerEcho(inner('192.0.2.1'), INNER_B));
    await eventually(async () => {
      expect((await b.describePeer(peerOf(3).id)).refused).toEqual({ incoming: 2n });
    });
    expect(await pair.arrivedInB()).toBe(before);
    expect((await b.describe()).refused).toEqual({ 'foreign-source': 2n });
    expect((await b.describePeer(peerOf(4).id)).refused).toEqual({});
  });

  test('one is taken away: the others go on, and its place is given to a new one', async () => {
    await b.remove(peerOf(2).id);
    const before = await pair.arrivedInB();
    clients[2]?.send(B, innerEcho(innerIp(2), INNER_B));
    await pair.heardInB(1);
    expect(await pair.arrivedInB()).toBe(before);
    await expect(b.admit(pathOf(clientEnd(2)), peerOf(2).id)).rejects.toMatchObject({
      exit: 'createTunnel',
    });
    expect(await cable.sure(cable.b, 'ip', 'route', 'show', innerIp(2))).toBe('');
    await b.configure([peerOf(20)]);
    await b.admit(pathOf(clientEnd(2)), peerOf(20).id);
    expect(await b.counters(peerOf(20).id)).toMatchObject({ rxPackets: 0n, heardAt: 0 });
    clients[2]?.send(B, innerEcho(innerIp(20), INNER_B));
    clients[1]?.send(B, innerEcho(innerIp(1), INNER_B));
    await eventually(async () => {
      expect(await pair.arrivedInB()).toBe(before + 2);
    });
  });

  test('a path that one has is refused to another', async () => {
    await expect(b.admit(pathOf(clientEnd(5)), peerOf(6).id)).rejects.toMatchObject({
      exit: 'updateTunnel',
      errno: 'EEXIST',
      hint: expect.stringContaining('peer5') as unknown,
    });
    clients[5]?.send(B, innerEcho(innerIp(5), INNER_B));
    await eventually(() => {
      expect(innerOf(clients[5]?.received() ?? [])).toHaveLength(1);
    });
  });
});

test('networks behind peers: the longest prefix says whose a packet is', async () => {
  const wide = { ip: inner('192.168.0.0'), length: 16 };
  const narrow = { ip: inner('192.168.5.0'), length: 24 };
  const [first, second] = [peerOf(1), peerOf(2)];
  await b.open({
    ips: [INNER_B],
    peers: [
      { ...first, allowedIps: [...first.innerIps.map((ip) => hostPrefix(ip)), wide] },
      { ...second, allowedIps: [...second.innerIps.map((ip) => hostPrefix(ip)), narrow] },
    ],
  });
  using one = NamespaceSocket.udp(cable.a, clientEnd(1));
  using other = NamespaceSocket.udp(cable.a, clientEnd(2));
  await b.admit(pathOf(clientEnd(1)), first.id);
  await b.admit(pathOf(clientEnd(2)), second.id);
  const routes = await cable.sure(cable.b, 'ip', 'route', 'show', 'dev', 'ipipou0');
  expect(routes).toMatch(/192\.168\.0\.0\/16/);
  expect(routes).toMatch(/192\.168\.5\.0\/24/);
  await cable.exec(cable.b, 'ping', '-c1', '-W1', '192.168.7.7');
  await cable.exec(cable.b, 'ping', '-c1', '-W1', '192.168.5.5');
  expect(innerOf(one.received())).toEqual([[INNER_B, '192.168.7.7']]);
  expect(innerOf(other.received())).toEqual([[INNER_B, '192.168.5.5']]);
  // The network moves to the other one.
  await b.configure([
    { ...first, allowedIps: [...first.innerIps.map((ip) => hostPrefix(ip))] },
    { ...second, allowedIps: [...second.innerIps.map((ip) => hostPrefix(ip)), narrow, wide] },
  ]);
  await cable.exec(cable.b, 'ping', '-c1', '-W1', '192.168.7.7');
  expect(one.received()).toEqual([]);
  expect(innerOf(other.received())).toEqual([[INNER_B, '192.168.7.7']]);
  one.send(B, innerEcho(inner('192.168.7.7'), INNER_B));
  await eventually(async () => {
    expect((await b.describe()).refused).toMatchObject({ 'foreign-source': 1n });
  });
});

test('a peer that roams under load loses no more than what was on its way', async () => {
  await pair.openBoth();
  const moved = { local: { ...A, ip: ip('10.9.0.3') }, remote: B };
  const pinging = new Program(inside(cable.b, ['ping', '-i', '0.01', '-c', '300', '172.28.0.1']));
  await pinging.waitFor(/icmp_seq=100 /);
  await pair.a.close('remove');
  await pair.openA({ localIps: [moved.local.ip] });
  await Promise.all([pair.a.admit(moved), b.admit({ local: B, remote: moved.local })]);
  const { stdout } = await pinging.finished;
  const received = Number(/ ([0-9]+) received/.exec(stdout)?.[1] ?? 0);
  expect(received).toBeGreaterThan(100);
  expect(await cable.pings(cable.a, INNER_B)).toBe(true);
});
