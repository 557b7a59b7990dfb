/*
 * A server with many peers on one device and one port. The clients of the tests are sockets, which send
 * and receive inner packets as a stock FOU peer would: in UDP, without anything around.
 *
 *     clients :any  10.9.0.1, 10.9.0.3 ── v0 ┄ v0 ── 10.9.0.2:10000 ipipou0 172.28.0.0  b
 */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { inside } from '../../src/adapters/lab/namespaces.ts';
import { Program } from '../../src/adapters/lab/process.ts';
import { ipv4FromNumber, type Endpoint, type Ipv4, type Path } from '../../src/core/addr.ts';
import type { PeerId } from '../../src/core/config/tunnel-config.ts';
import { port } from '../../src/core/units.ts';
import { decodeIpv4Header } from '../../src/core/wire/ipv4.ts';
import type { PlanePeer } from '../../src/ports/data-plane.ts';
import { NamespaceSocket } from '../rig/namespace-sockets.ts';
import { ip } from '../rig/addresses.ts';
import { PlaneHost, type HostOptions } from '../rig/plane-host.ts';
import { A, A_TO_B, B, B_TO_A, eventually, INNER_B, PlanePair } from '../rig/plane-pair.ts';
import { innerEcho } from '../rig/traffic.ts';
import type { TwoHosts } from '../rig/two-hosts.ts';

/** 172.28.1.0 and so on. */
function innerIp(number: number): Ipv4 {
  return ipv4FromNumber(0xac1c0100 + number);
}

function peerOf(number: number): PlanePeer & { readonly id: PeerId } {
  const address = innerIp(number);
  return {
    id: `peer${number}` as PeerId,
    innerIp: address,
    allowedIps: [{ ip: address, length: 32 }],
  };
}

function pathOf(remote: Endpoint): Path {
  return { local: B, remote };
}

/** Where client `number` sends from: all behind one address. */
function clientEnd(number: number): Endpoint {
  return { ip: A.ip, port: port(20_000 + number) };
}

function manyPeers(count: number): HostOptions {
  return { ip: INNER_B, peers: Array.from({ length: count }, (_, number) => peerOf(number)) };
}

/** Sources of the inner packets that a client has been sent. */
function innerOf(packets: readonly Uint8Array[]): readonly (readonly [Ipv4, Ipv4])[] {
  return packets.flatMap((packet) => {
    const header = decodeIpv4Header(packet);
    return header.ok ? [[header.value.source, header.value.destination] as const] : [];
  });
}

let pair: PlanePair;
let cable: TwoHosts;
let b: PlaneHost;

beforeEach(async () => {
  pair = await PlanePair.make('bpf');
  ({ cable, b } = pair);
});

afterEach(async () => {
  await pair[Symbol.asyncDispose]();
});

describe('eight clients behind one address', () => {
  const count = 8;
  let clients: readonly NamespaceSocket[] = [];

  beforeEach(async () => {
    await b.open(manyPeers(count));
    clients = Array.from({ length: count }, (_, number) =>
      NamespaceSocket.udp(cable.a, clientEnd(number)),
    );
    await b.admitAll(
      clients.map((_, number) => ({
        peer: peerOf(number).id,
        path: pathOf(clientEnd(number)),
      })),
    );
  });

  afterEach(() => {
    for (const client of clients) client[Symbol.dispose]();
  });

  test('each is sent its own and nothing else, and each is counted', async () => {
    for (const [number, client] of clients.entries()) {
      client.send(B, innerEcho(innerIp(number), INNER_B));
    }
    for (const [number, client] of clients.entries()) {
      await eventually(() => {
        expect(innerOf(client.received())).toEqual([[INNER_B, innerIp(number)]]);
      });
      expect(await b.counters(peerOf(number).id)).toMatchObject({ rxPackets: 1n, txPackets: 1n });
    }
  });

  test("another peer's inner source is dropped and counted with who sent it", async () => {
    const before = await pair.arrivedInB();
    clients[3]?.send(B, innerEcho(innerIp(4), INNER_B));
    clients[3]?.send(B, innerEcho(ip('192.0.2.1'), INNER_B));
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

  test('a limit is kept towards one peer alone', async () => {
    await b.limitMtu(1000, peerOf(1).id);
    expect((await b.describePeer(peerOf(1).id)).mtu).toBe(1000);
    expect((await b.describePeer(peerOf(2).id)).mtu).toBe(1472);
    const larger = async (target: Ipv4): Promise<string> => {
      const done = await cable.exec(cable.b, 'ping', '-c1', '-W1', '-Mdo', '-s1400', target);
      return `${done.stdout}${done.stderr}`;
    };
    expect(await larger(innerIp(1))).toMatch(/message too long|mtu=1000/i);
    expect(await larger(innerIp(2))).not.toMatch(/message too long/i);
    expect(clients[1]?.received()).toEqual([]);
    expect(clients[2]?.received()).toHaveLength(1);
    await b.limitMtu(undefined, peerOf(1).id);
    expect((await b.describePeer(peerOf(1).id)).mtu).toBe(1472);
    await larger(innerIp(1));
    expect(clients[1]?.received()).toHaveLength(1);
  });

  test('all are adopted by the next run with the addresses that they had', async () => {
    clients[7]?.send(B, innerEcho(innerIp(7), INNER_B));
    await eventually(async () => {
      expect((await b.counters(peerOf(7).id)).rxPackets).toBe(1n);
    });
    pair.b = await b.killedAndAgain();
    ({ b } = pair);
    // In another order, and one is not wanted any more.
    const peers = [7, 6, 5, 4, 3, 2, 1].map(peerOf);
    const adopted = await b.open({ ip: INNER_B, peers });
    expect(adopted).toEqual(
      new Map(peers.map(({ id }) => [id, pathOf(clientEnd(Number(id.slice(4))))])),
    );
    expect(await b.counters(peerOf(7).id)).toMatchObject({ rxPackets: 1n });
    for (const client of clients) client.received();
    for (const [number, client] of clients.entries()) {
      client.send(B, innerEcho(innerIp(number), INNER_B));
    }
    for (const [number, client] of clients.entries()) {
      if (number === 0) continue;
      await eventually(() => {
        expect(innerOf(client.received())).toEqual([[INNER_B, innerIp(number)]]);
      });
    }
    await pair.heardInB(1);
    expect(clients[0]?.received()).toEqual([]);
  });
});

test('networks behind peers: the longest prefix says whose a packet is', async () => {
  const wide = { ip: ip('192.168.0.0'), length: 16 };
  const narrow = { ip: ip('192.168.5.0'), length: 24 };
  const [first, second] = [peerOf(1), peerOf(2)];
  await b.open({
    ip: INNER_B,
    peers: [
      { ...first, allowedIps: [{ ip: first.innerIp, length: 32 }, wide] },
      { ...second, allowedIps: [{ ip: second.innerIp, length: 32 }, narrow] },
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
    { ...first, allowedIps: [{ ip: first.innerIp, length: 32 }] },
    { ...second, allowedIps: [{ ip: second.innerIp, length: 32 }, narrow, wide] },
  ]);
  await cable.exec(cable.b, 'ping', '-c1', '-W1', '192.168.7.7');
  expect(one.received()).toEqual([]);
  expect(innerOf(other.received())).toEqual([[INNER_B, '192.168.7.7']]);
  one.send(B, innerEcho(ip('192.168.7.7'), INNER_B));
  await eventually(async () => {
    expect((await b.describe()).refused).toMatchObject({ 'foreign-source': 1n });
  });
});

test('more peers than there was room for: the maps grow under a running ping', async () => {
  await pair.openA();
  const [first] = [peerOf(0)];
  const like = { ...first, innerIp: ip('172.28.0.1'), allowedIps: 'any' } as const;
  await b.open({ ip: INNER_B, peers: [like] });
  await Promise.all([pair.a.admit(A_TO_B), b.admit(B_TO_A, like.id)]);
  const pinging = new Program(inside(cable.a, ['ping', '-i', '0.01', '-c', '200', INNER_B]));
  await pinging.waitFor(/icmp_seq=20 /);
  const more = Array.from({ length: 1000 }, (_, number) => peerOf(number + 1));
  await b.configure(more);
  using client = NamespaceSocket.udp(cable.a, clientEnd(1));
  await b.admit(pathOf(clientEnd(1)), peerOf(999).id);
  client.send(B, innerEcho(innerIp(999), INNER_B));
  await eventually(() => {
    expect(innerOf(client.received())).toEqual([[INNER_B, innerIp(999)]]);
  });
  const { stdout } = await pinging.finished;
  expect(stdout).toMatch(/200 packets transmitted, 200 received, 0% packet loss/);
  expect((await b.counters(like.id)).rxPackets).toBeGreaterThan(150n);
});

test('a peer that roams under load loses no more than what was on its way', async () => {
  await pair.openBoth();
  const moved = { local: { ...A, ip: ip('10.9.0.3') }, remote: B };
  const pinging = new Program(inside(cable.b, ['ping', '-i', '0.01', '-c', '300', '172.28.0.1']));
  await pinging.waitFor(/icmp_seq=100 /);
  await pair.a.close('remove');
  await pair.openA({ localIp: moved.local.ip });
  await Promise.all([pair.a.admit(moved), b.admit({ local: B, remote: moved.local })]);
  const { stdout } = await pinging.finished;
  const received = Number(/ ([0-9]+) received/.exec(stdout)?.[1] ?? 0);
  expect(received).toBeGreaterThan(100);
  expect(await cable.pings(cable.a, INNER_B)).toBe(true);
});

test('several tunnels share a machine and an outer device, and leave it one by one', async () => {
  const qdiscs = async (): Promise<string> =>
    cable.sure(cable.b, 'tc', 'qdisc', 'show', 'dev', 'v0');
  const before = await qdiscs();
  const other = await PlaneHost.in(cable.b, 'bpf');
  try {
    await pair.openBoth();
    await other.open({
      ip: ip('172.28.0.2'),
      device: 'ipipou1',
      localPort: 10_001,
      peers: [peerOf(1)],
    });
    const local = { ip: B.ip, port: port(10_001) };
    using client = NamespaceSocket.udp(cable.a, clientEnd(1));
    await other.admit({ local, remote: clientEnd(1) }, peerOf(1).id);
    client.send(local, innerEcho(innerIp(1), ip('172.28.0.2')));
    await eventually(() => {
      expect(innerOf(client.received())).toEqual([[ip('172.28.0.2'), innerIp(1)]]);
    });
    expect(await cable.pings(cable.a, INNER_B)).toBe(true);
    const filters = await cable.sure(cable.b, 'tc', 'filter', 'show', 'dev', 'v0', 'ingress');
    expect(filters.match(/handle 0x[0-9a-f]+ ipipou/g)).toHaveLength(2);
    // Neither takes what comes out of the other for packets of the network.
    const inner = await cable.sure(cable.b, 'tc', 'filter', 'show', 'dev', 'ipipou0', 'ingress');
    expect(inner).toBe('');
    await other.close('remove');
    expect(await cable.pings(cable.a, INNER_B)).toBe(true);
    await b.close('remove');
    expect(await qdiscs()).toBe(before);
  } finally {
    await other[Symbol.asyncDispose]();
  }
});
