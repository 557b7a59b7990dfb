/*
 * Who is carried, and what goes up. Topology: the drawings at the heads of test/rig/plane-pair.ts and
 * test/rig/two-hosts.ts.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { port } from '../../src/core/units.ts';
import { decodeIpv4Header } from '../../src/core/wire/ipv4.ts';
import { NamespaceSocket } from '../rig/namespace-sockets.ts';
import { ip } from '../rig/addresses.ts';
import { innerEcho } from '../rig/traffic.ts';
import {
  A,
  A_TO_B,
  B,
  B_TO_A,
  eventually,
  INNER_A,
  INNER_B,
  PlanePair,
} from '../rig/plane-pair.ts';
import { tunnelled } from '../rig/tunnelled.ts';
import type { TwoHosts } from '../rig/two-hosts.ts';

const text = new TextEncoder();

let pair: PlanePair;
let cable: TwoHosts;

beforeAll(async () => {
  pair = await PlanePair.make('bpf');
  ({ cable } = pair);
});

afterEach(async () => {
  await pair.reset();
});

afterAll(async () => {
  await pair[Symbol.asyncDispose]();
});

test('an evicted peer is carried no more, either way', async () => {
  await pair.openBoth();
  expect(await cable.pings(cable.a, INNER_B)).toBe(true);
  await pair.b.evict();
  const before = await pair.arrivedInB();
  await pair.a.send({ path: A_TO_B, payload: innerEcho(INNER_A, INNER_B), ttl: undefined });
  await pair.heardInB(1);
  expect(await pair.arrivedInB()).toBe(before);
  expect((await cable.exec(cable.b, 'ping', '-c1', '-W1', INNER_A)).code).not.toBe(0);
  expect((await pair.b.counters()).txPackets).toBe(1n);
  // ping sends again when the device does not take a packet.
  expect((await pair.b.describe()).refused['no-peer']).toBeGreaterThan(0n);
});

test('a re-pointed peer gets everything at its new address and port', async () => {
  await pair.openBoth();
  expect(await cable.pings(cable.b, INNER_A)).toBe(true);
  const moved = { ip: ip('10.9.0.3'), port: port(20_000) };
  using roamer = NamespaceSocket.udp(cable.a, moved);
  await pair.b.admit({ local: B, remote: moved });
  await cable.exec(cable.b, 'ping', '-c1', '-W1', INNER_A);
  const [packet] = roamer.received();
  expect(decodeIpv4Header(packet ?? new Uint8Array())).toMatchObject({
    ok: true,
    value: { source: INNER_B, destination: INNER_A, protocol: 1 },
  });
  const before = await pair.arrivedInB();
  roamer.send(B, innerEcho(INNER_A, INNER_B));
  await eventually(async () => {
    expect(await pair.arrivedInB()).toBe(before + 1);
  });
  await pair.a.send({ path: A_TO_B, payload: innerEcho(INNER_A, INNER_B), ttl: undefined });
  await pair.heardInB(1);
  expect(await pair.arrivedInB()).toBe(before + 1);
});

describe('what is not data of the admitted peer', () => {
  test.each([
    { what: 'another port', from: { ip: A.ip, port: port(20_000) }, to: B },
    { what: 'another address', from: { ip: ip('10.9.0.3'), port: port(10_000) }, to: B },
    {
      what: 'another local address',
      from: { ip: ip('10.9.0.3'), port: port(20_000) },
      to: { ip: ip('10.9.0.4'), port: port(10_000) },
    },
  ])('an inner packet from $what never reaches the device', async ({ from, to }) => {
    await pair.openBoth();
    expect(await cable.pings(cable.a, INNER_B)).toBe(true);
    const before = await pair.arrivedInB();
    using stranger = NamespaceSocket.udp(cable.a, from);
    const payload = innerEcho(INNER_A, INNER_B);
    stranger.send(to, payload);
    await pair.heardInB(1);
    expect(await pair.arrivedInB()).toBe(before);
    expect(pair.b.packets()[0]).toMatchObject({
      path: { local: to, remote: from },
      payload: new Uint8Array(payload),
    });
    // The same bytes on the admitted path do arrive.
    await pair.a.send({ path: A_TO_B, payload, ttl: undefined });
    await eventually(async () => {
      expect(await pair.arrivedInB()).toBe(before + 1);
    });
    expect((await pair.b.counters()).rxPackets).toBe(2n);
  });

  test('authentication goes up whoever sends it, with its path; answers leave from the port', async () => {
    await pair.openA();
    await pair.openB({}, [4]);
    await pair.a.send({ path: A_TO_B, payload: text.encode('auth'), ttl: 5 });
    await pair.heardInB(1);
    expect(pair.b.packets()[0]).toMatchObject({ path: B_TO_A, payload: text.encode('auth') });
    await Promise.all([pair.a.admit(A_TO_B), pair.b.admit(B_TO_A)]);
    await pair.a.send({ path: A_TO_B, payload: text.encode('more'), ttl: undefined });
    await pair.heardInB(2);
    expect(pair.b.packets()[1]).toMatchObject({ path: B_TO_A, payload: text.encode('more') });
    const [local] = [{ ip: ip('10.9.0.4'), port: port(10_000) }];
    using third = NamespaceSocket.udp(cable.a, { ip: ip('10.9.0.3'), port: port(20_000) });
    const remote = { ip: ip('10.9.0.3'), port: port(20_000) };
    using tap = NamespaceSocket.tapAll(cable.a);
    await pair.b.send({ path: { local, remote }, payload: text.encode('reply'), ttl: 7 });
    await eventually(() => {
      expect(third.received()).toEqual([text.encode('reply')]);
    });
    const [packet] = tunnelled(tap.received(), local.ip);
    expect(packet?.header).toMatchObject({ ttl: 7, source: local.ip, destination: remote.ip });
  });

  test('a client hears its server only', async () => {
    await pair.openBoth();
    using stranger = NamespaceSocket.udp(cable.b, { ip: ip('10.9.0.4'), port: port(10_001) });
    stranger.send(A, innerEcho(INNER_B, INNER_A));
    await eventually(async () => {
      expect((await pair.a.describe()).refused).toMatchObject({ 'stranger-closed': 1n });
    });
    expect(pair.a.packets()).toEqual([]);
  });

  test('a path whose local port is not ours is refused', async () => {
    await pair.openB();
    const elsewhere = { local: { ...B, port: port(10_001) }, remote: A };
    await expect(pair.b.admit(elsewhere)).rejects.toMatchObject({ exit: 'createTunnel' });
  });
});
