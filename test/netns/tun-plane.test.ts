/* Topology: the drawings at the heads of test/rig/plane-pair.ts and test/rig/two-hosts.ts. */
import { describe, expect, test } from 'vitest';
import { formatEndpoint } from '../../src/core/addr.ts';
import { port } from '../../src/core/units.ts';
import { NamespaceSocket } from '../rig/namespace-sockets.ts';
import { ip } from '../rig/addresses.ts';
import { innerEcho } from '../rig/traffic.ts';
import type { PlaneHost } from '../rig/plane-host.ts';
import { describeAdmission, describeForwarding } from '../rig/plane-cases.ts';
import {
  A,
  A_TO_B,
  B,
  B_TO_A,
  eventually,
  INNER_A,
  INNER_B,
  onePair,
  type PlanePair,
} from '../rig/plane-pair.ts';
import { tunnelled } from '../rig/tunnelled.ts';
import type { TwoHosts } from '../rig/two-hosts.ts';

const text = new TextEncoder();

let pair: PlanePair;
let cable: TwoHosts;
let a: PlaneHost;
let b: PlaneHost;

onePair('tun', (made) => {
  pair = made;
  ({ cable, a, b } = made);
});

// The forwarding thread's clock may have begun a moment before the process's.
describeForwarding(() => pair, { behind: 0, before: 1 });
describeAdmission(() => pair);

describe('what is not data of the admitted peer', () => {
  test('a packet to another local address from the admitted address and port goes up', async () => {
    await pair.openBoth();
    const before = await pair.arrivedInB();
    const to = { ip: ip('10.9.0.4'), port: port(10000) };
    const payload = innerEcho(INNER_A, INNER_B);
    await a.send({ path: { local: A, remote: to }, payload, ttl: undefined });
    await pair.heardInB(1);
    expect(b.packets()[0]?.path).toEqual({ local: to, remote: A });
    expect(await pair.arrivedInB()).toBe(before);
  });

  test('control packets go up from strangers and from the peer, empty ones too', async () => {
    await Promise.all([pair.openA(), pair.openB()]);
    await a.send({ path: A_TO_B, payload: text.encode('token'), ttl: undefined });
    await pair.heardInB(1);
    await b.admit(B_TO_A);
    await a.send({ path: A_TO_B, payload: new Uint8Array(), ttl: undefined });
    await pair.heardInB(2);
    expect(b.packets().map(({ path, payload }) => [path, Buffer.from(payload).toString()])).toEqual(
      [
        [B_TO_A, 'token'],
        [B_TO_A, ''],
      ],
    );
    expect((await b.counters()).rxPackets).toBe(0n);
  });

  test('a packet of an authentication length goes up unless it is exactly one IPv4 packet', async () => {
    const inner = innerEcho(INNER_A, INNER_B, 32);
    await pair.openA();
    await pair.openB({}, [inner.length, inner.length + 13]);
    await b.admit(B_TO_A);
    const before = await pair.arrivedInB();
    const padded = new Uint8Array(inner.length + 13);
    padded.set(inner);
    await a.send({ path: A_TO_B, payload: padded, ttl: undefined });
    await pair.heardInB(1);
    expect(await pair.arrivedInB()).toBe(before);
    await a.send({ path: A_TO_B, payload: inner, ttl: undefined });
    await eventually(async () => {
      expect(await pair.arrivedInB()).toBe(before + 1);
    });
    expect(b.packets()).toHaveLength(1);
  });

  test('data that overtook its authentication is let through once its path is admitted', async () => {
    await Promise.all([pair.openA(), pair.openB()]);
    const before = await pair.arrivedInB();
    await b.admitSenders();
    await a.send({ path: A_TO_B, payload: innerEcho(INNER_A, INNER_B), ttl: undefined });
    await eventually(async () => {
      expect(await pair.arrivedInB()).toBe(before + 1);
    });
    expect(b.packets()).toHaveLength(1);
  });

  test('a flood of strangers is cut short, counted, and does not stop the peer', async () => {
    await pair.openBoth();
    using stranger = NamespaceSocket.udp(cable.a, { ip: A.ip, port: port(20000) });
    for (let count = 0; count < 2000; count += 1) stranger.send(B, text.encode('junk'));
    expect(await cable.pings(cable.a, INNER_B)).toBe(true);
    await eventually(async () => {
      const refusedPackets = (await b.describe()).refused['stranger'];
      expect(Number(refusedPackets)).toBeGreaterThan(1500);
      expect(b.packets().length + Number(refusedPackets)).toBe(2000);
    });
  });

  test('a control packet leaves from the tunnel port with the TTL that was asked for', async () => {
    using tap = NamespaceSocket.tap(cable.b);
    await Promise.all([pair.openA(), pair.openB()]);
    await a.send({ path: A_TO_B, payload: text.encode('auth'), ttl: 7 });
    await a.send({ path: A_TO_B, payload: text.encode('auth'), ttl: undefined });
    await pair.heardInB(2);
    expect(b.packets().map(({ path }) => formatEndpoint(path.remote))).toEqual([
      '10.9.0.1:10000',
      '10.9.0.1:10000',
    ]);
    const ttls = tunnelled(tap.received(), A.ip).map(({ outer }) => outer.ttl);
    expect(ttls).toEqual([7, 64]);
  });
});
