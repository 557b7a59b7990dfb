/* Topology: the drawings at the heads of test/rig/plane-pair.ts and test/rig/two-hosts.ts. */
import { describe, expect, test } from 'vitest';
import {
  parseInnerIp,
  decodeInnerIpv4,
  type InnerIp,
  type Path,
  type Prefix,
} from '../../src/core/addr.ts';
import { port } from '../../src/core/units.ts';
import { decodeIpv4Header } from '../../src/core/wire/ipv4.ts';
import type { PeerId } from '../../src/ports/data-plane.ts';
import { inner, ip } from '../rig/addresses.ts';
import { NamespaceSocket } from '../rig/namespace-sockets.ts';
import { innerEcho } from '../rig/traffic.ts';
import type { HostPeer, PlaneHost } from '../rig/plane-host.ts';
import {
  B,
  B_TO_A,
  eventually,
  INNER_A,
  INNER_B,
  pairForEach,
  type PlanePair,
} from '../rig/plane-pair.ts';
import { expectTcp } from '../rig/transfer.ts';
import type { TwoHosts } from '../rig/two-hosts.ts';

const ONE = 'one' as PeerId;
const TWO = 'two' as PeerId;
/** The second peer is a bare socket in the first one's namespace. */
const ROAMER = { ip: ip('10.9.0.3'), port: port(20000) };
const B_TO_ROAMER: Path = { local: B, remote: ROAMER };
const INNER_TWO = inner('172.28.0.3');

function prefix(text: string): Prefix {
  const [address = '', length = '32'] = text.split('/');
  return { ip: parseInnerIp(address) ?? INNER_A, length: Number(length) };
}

function peer(id: PeerId, innerIp: InnerIp, ...more: readonly string[]): HostPeer {
  return { id, innerIps: [innerIp], allowedIps: [innerIp, ...more].map(prefix) };
}

const PEERS = [peer(ONE, INNER_A, '10.20.0.0/16'), peer(TWO, INNER_TWO, '10.20.5.0/24')];

let pair: PlanePair;
let cable: TwoHosts;
let b: PlaneHost;

pairForEach('tun', (made) => {
  pair = made;
  ({ cable, b } = made);
});

/** Routes out of b's device that are ours, as `ip route` has them. */
async function routes(): Promise<readonly string[]> {
  const shown = await cable.sure(cable.b, 'ip', 'route', 'show', 'dev', 'ipipou0', 'proto', '148');
  return shown
    .split('\n')
    .map((line) => line.replace(' scope link', '').trim())
    .filter((line) => line !== '');
}

/** Inner destinations of the data among what a socket received. */
function destinations(socket: NamespaceSocket): readonly InnerIp[] {
  return socket.received().flatMap((packet) => {
    const header = decodeIpv4Header(packet, decodeInnerIpv4);
    return header.ok ? [header.value.destination] : [];
  });
}

describe('several peers', () => {
  test('each gets what its longest prefix holds, and what is nobody’s goes to nobody', async () => {
    using roamer = NamespaceSocket.udp(cable.a, ROAMER);
    await Promise.all([pair.openA(), pair.openB({ peers: PEERS })]);
    await pair.a.admit({ local: B_TO_A.remote, remote: B });
    await b.admit(B_TO_A, ONE);
    await b.admit(B_TO_ROAMER, TWO);
    expect(await cable.pings(cable.b, INNER_A)).toBe(true);
    for (const target of ['10.20.5.1', '172.28.0.3', '10.20.4.1']) {
      await cable.exec(cable.b, 'ping', '-c1', '-W1', target);
    }
    expect(destinations(roamer)).toEqual(['10.20.5.1', '172.28.0.3']);
    expect(await b.counters(ONE)).toMatchObject({ txPackets: 2n, rxPackets: 1n });
    expect(await b.counters(TWO)).toMatchObject({ txPackets: 2n, rxPackets: 0n });
    await cable.sure(cable.b, 'ip', 'route', 'add', '10.30.0.0/16', 'dev', 'ipipou0');
    await cable.exec(cable.b, 'ping', '-c1', '-W1', '10.30.0.1');
    expect((await b.describe()).refused['no-peer']).toBe(1n);
  });

  test('what a peer sends from an address that is not its own never reaches the device', async () => {
    using roamer = NamespaceSocket.udp(cable.a, ROAMER);
    await pair.openB({ peers: PEERS });
    await b.admit(B_TO_ROAMER, TWO);
    const before = await pair.arrivedInB();
    roamer.send(B, innerEcho(INNER_A, INNER_B));
    roamer.send(B, innerEcho(inner('10.20.4.1'), INNER_B));
    roamer.send(B, innerEcho(inner('10.20.5.9'), INNER_B));
    await eventually(async () => {
      expect(await pair.arrivedInB()).toBe(before + 1);
    });
    expect(await b.describePeer(TWO)).toMatchObject({
      rxPackets: 1n,
      refused: { 'inner-source': 2n },
    });
    expect((await b.describe()).refused['inner-source']).toBe(2n);
    expect(b.packets()).toEqual([]);
  });

  test('a peer of any source takes what nobody else has', async () => {
    using roamer = NamespaceSocket.udp(cable.a, ROAMER);
    const rest: HostPeer = { id: TWO, innerIps: [INNER_TWO], allowedIps: 'any' };
    await pair.openB({ peers: [peer(ONE, INNER_A), rest] });
    await b.admit(B_TO_ROAMER, TWO);
    await cable.sure(cable.b, 'ip', 'route', 'add', '10.30.0.0/16', 'dev', 'ipipou0');
    for (const target of ['10.30.0.1', '172.28.0.1']) {
      await cable.exec(cable.b, 'ping', '-c1', '-W1', target);
    }
    expect(destinations(roamer)).toEqual(['10.30.0.1']);
    const before = await pair.arrivedInB();
    roamer.send(B, innerEcho(inner('192.0.2.77'), INNER_B));
    await eventually(async () => {
      expect(await pair.arrivedInB()).toBe(before + 1);
    });
  });

  test('one path is one peer’s', async () => {
    await pair.openB({ peers: PEERS });
    await b.admit(B_TO_A, ONE);
    await expect(b.admit(B_TO_A, TWO)).rejects.toMatchObject({
      exit: 'createTunnel',
      errno: 'EADDRINUSE',
    });
    await expect(b.admit(B_TO_A, 'nobody' as PeerId)).rejects.toThrow(/nobody is not known/);
    await b.remove(ONE);
    await b.admit(B_TO_A, TWO);
  });

  test('a peer that is made known later is carried, and one that is removed no more', async () => {
    await Promise.all([pair.openA(), pair.openB({ peers: [] })]);
    await pair.a.admit({ local: B_TO_A.remote, remote: B });
    expect(await routes()).toEqual([]);
    await b.configure(PEERS);
    await b.admit(B_TO_A, ONE);
    await expectTcp(cable.a, cable.b, INNER_B, 500_000);
    await b.remove(ONE);
    expect(await routes()).toEqual(['10.20.5.0/24', '172.28.0.3']);
    const before = await pair.arrivedInB();
    expect((await cable.exec(cable.a, 'ping', '-c1', '-W1', INNER_B)).code).not.toBe(0);
    expect(await pair.arrivedInB()).toBe(before);
    // Its slot is another's now, and begins at zero.
    await b.admit(B_TO_A, TWO);
    expect((await b.counters(TWO)).rxPackets).toBe(0n);
  });
});

describe('routes', () => {
  const ALL = ['10.20.0.0/16', '10.20.5.0/24', '172.28.0.1', '172.28.0.3'];

  test('lead to every prefix, and come back with the device', async () => {
    await pair.openB({ peers: PEERS });
    expect(await routes()).toEqual(ALL);
    const repaired = async (times: number) =>
      eventually(() => {
        const done = b.events.filter((event) => event.event === 'disturbed' && event.repaired);
        expect(done).toHaveLength(times);
      });
    await cable.sure(cable.b, 'ip', 'link', 'set', 'ipipou0', 'down');
    await repaired(1);
    expect(await routes()).toEqual(ALL);
    await cable.sure(cable.b, 'ip', 'link', 'del', 'ipipou0');
    await repaired(2);
    expect(await routes()).toEqual(ALL);
    await b.configure([peer(TWO, INNER_TWO, '10.21.0.0/16')]);
    expect(await routes()).toEqual(['10.20.0.0/16', '10.21.0.0/16', '172.28.0.1', '172.28.0.3']);
  });

  test('carry the MTU of a peer whose path takes less than the widest', async () => {
    await pair.openB({ peers: PEERS });
    await b.admit(B_TO_A, ONE);
    await b.admit(B_TO_ROAMER, TWO);
    expect(await routes()).toEqual(ALL);
    await b.limitMtu(1200, TWO);
    expect(await routes()).toEqual([
      '10.20.0.0/16',
      '10.20.5.0/24 mtu 1200',
      '172.28.0.1',
      '172.28.0.3 mtu 1200',
    ]);
    expect((await b.describePeer(TWO)).mtu).toBe(1200);
    expect((await b.describe()).mtu).toBe(1472);
    await b.limitMtu(1300, ONE);
    expect((await b.describe()).mtu).toBe(1300);
    await b.limitMtu(1200, ONE);
    expect((await b.describe()).mtu).toBe(1200);
    expect(await routes()).toEqual(ALL);
    await b.limitMtu(undefined, ONE);
    expect((await b.describe()).mtu).toBe(1472);
    expect(await routes()).toContain('10.20.5.0/24 mtu 1200');
  });

  test('of thousands of peers are made at once, and each is found', async () => {
    const many = Array.from({ length: 5000 }, (_, index) =>
      peer(`p${index}` as PeerId, inner(`10.${40 + (index >> 8)}.${index & 255}.1`)),
    );
    using roamer = NamespaceSocket.udp(cable.a, ROAMER);
    await pair.openB({ peers: [] });
    await b.configure(many);
    expect(await routes()).toHaveLength(5000);
    await b.admit(B_TO_ROAMER, 'p4711' as PeerId);
    await cable.exec(cable.b, 'ping', '-c1', '-W1', '10.58.103.1');
    expect(destinations(roamer)).toEqual(['10.58.103.1']);
    await b.remove(...many.map(({ id }) => id));
    expect(await routes()).toEqual([]);
  });
});

test('a probe goes out whole, whatever MTU is remembered', async () => {
  await Promise.all([pair.openA({ mtu: 1000 }), pair.openB()]);
  await cable.sure(cable.a, 'ip', 'route', 'replace', '10.9.0.2', 'dev', 'v0', 'mtu', '1200');
  const path = { local: B_TO_A.remote, remote: B };
  const payload = new Uint8Array(1400).fill(0x20);
  await expect(pair.a.send({ path, payload, ttl: undefined })).rejects.toMatchObject({
    exit: 'sendAuth',
    errno: 'EMSGSIZE',
  });
  await pair.a.send({ path, payload, ttl: undefined, probe: true });
  await pair.heardInB(1);
  expect(b.packets()[0]?.payload).toHaveLength(1400);
  await expect(pair.a.send({ path, payload, ttl: undefined })).rejects.toMatchObject({
    errno: 'EMSGSIZE',
  });
});
