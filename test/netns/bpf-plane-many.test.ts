/* What of many peers depends on the kernel; run on Debian's as well. Drawing: test/rig/many-clients.ts. */
import { describe, expect, test } from 'vitest';
import { inside } from '../../src/adapters/lab/namespaces.ts';
import { Program } from '../../src/adapters/lab/process.ts';
import type { InnerIp } from '../../src/core/addr.ts';
import { port } from '../../src/core/units.ts';
import { inner } from '../rig/addresses.ts';
import {
  clientEnd,
  innerIp,
  innerOf,
  manyClientsForEach,
  pathOf,
  peerOf,
} from '../rig/many-clients.ts';
import { NamespaceSocket } from '../rig/namespace-sockets.ts';
import { PlaneHost } from '../rig/plane-host.ts';
import {
  A_TO_B,
  B,
  B_TO_A,
  eventually,
  INNER_B,
  onePair,
  type PlanePair,
} from '../rig/plane-pair.ts';
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

  test('a limit is kept towards one peer alone', async () => {
    await b.limitMtu(1000, peerOf(1).id);
    expect((await b.describePeer(peerOf(1).id)).mtu).toBe(1000);
    expect((await b.describePeer(peerOf(2).id)).mtu).toBe(1472);
    const larger = async (target: InnerIp): Promise<string> => {
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
    const adopted = await b.open({ ips: [INNER_B], peers });
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

test('more peers than there was room for: the maps grow under a running ping', async () => {
  await pair.openA();
  const [first] = [peerOf(0)];
  const like = { ...first, innerIps: [inner('172.28.0.1')], allowedIps: 'any' } as const;
  await b.open({ ips: [INNER_B], peers: [like] });
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

test('several tunnels share a machine and an outer device, and leave it one by one', async () => {
  const qdiscs = async (): Promise<string> =>
    cable.sure(cable.b, 'tc', 'qdisc', 'show', 'dev', 'v0');
  const before = await qdiscs();
  const other = await PlaneHost.in(cable.b, 'bpf');
  try {
    await pair.openBoth();
    await other.open({
      ips: [inner('172.28.0.2')],
      device: 'ipipou1',
      localPort: 10_001,
      peers: [peerOf(1)],
    });
    const local = { ip: B.ip, port: port(10_001) };
    using client = NamespaceSocket.udp(cable.a, clientEnd(1));
    await other.admit({ local, remote: clientEnd(1) }, peerOf(1).id);
    client.send(local, innerEcho(innerIp(1), inner('172.28.0.2')));
    await eventually(() => {
      expect(innerOf(client.received())).toEqual([[inner('172.28.0.2'), innerIp(1)]]);
    });
    expect(await cable.pings(cable.a, INNER_B)).toBe(true);
    const filters = await cable.sure(cable.b, 'tc', 'filter', 'show', 'dev', 'v0', 'ingress');
    expect(filters.match(/handle 0x[0-9a-f]+ ipipou/g)).toHaveLength(2);
    // Neither takes what comes out of the other for packets of the network.
    const listing = await cable.sure(cable.b, 'tc', 'filter', 'show', 'dev', 'ipipou0', 'ingress');
    expect(listing).toBe('');
    await other.close('remove');
    expect(await cable.pings(cable.a, INNER_B)).toBe(true);
    await b.close('remove');
    expect(await qdiscs()).toBe(before);
  } finally {
    await other[Symbol.asyncDispose]();
  }
});
