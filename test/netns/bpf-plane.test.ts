/* Topology: the drawings at the heads of test/rig/plane-pair.ts and test/rig/two-hosts.ts. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { inside } from '../../src/adapters/lab/namespaces.ts';
import { Program } from '../../src/adapters/lab/process.ts';
import type { Ipv4 } from '../../src/core/addr.ts';
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
import type { TwoHosts } from '../rig/two-hosts.ts';

const text = new TextEncoder();

let pair: PlanePair;
let cable: TwoHosts;

beforeEach(async () => {
  pair = await PlanePair.make('bpf');
  ({ cable } = pair);
});

afterEach(async () => {
  await pair[Symbol.asyncDispose]();
});

/** UDP packets of the tunnel among what a tap saw. */
function tunnelled(seen: readonly Uint8Array[], from: Ipv4) {
  return seen.flatMap((packet) => {
    const header = decodeIpv4Header(packet);
    if (!header.ok || header.value.protocol !== 17 || header.value.source !== from) return [];
    const udp = packet.subarray(header.value.headerLength, header.value.totalLength);
    const view = new DataView(udp.buffer, udp.byteOffset, udp.byteLength);
    return [{ header: header.value, checksum: view.getUint16(6), payload: udp.subarray(8) }];
  });
}

describe('forwarding', () => {
  test('both ends ping each other, and packets are counted', async () => {
    await pair.openBoth();
    const before = await pair.b.now();
    expect((await pair.b.counters()).heardAt).toBe(0);
    expect(await cable.pings(cable.a, INNER_B)).toBe(true);
    expect(await cable.pings(cable.b, INNER_A)).toBe(true);
    const counts = { rxPackets: 2n, rxBytes: 168n, txPackets: 2n, txBytes: 168n };
    await eventually(async () => {
      expect(await pair.a.counters()).toMatchObject(counts);
    });
    const { heardAt, ...rest } = await pair.b.counters();
    expect(rest).toEqual(counts);
    // The kernel's coarse clock is at most a tick (10 ms) behind.
    expect(heardAt).toBeGreaterThan(before - 10);
    expect(heardAt).toBeLessThanOrEqual(await pair.b.now());
    expect(await pair.b.describePeer()).toMatchObject({
      ...counts,
      device: 'ipipou0',
      mtu: 1472,
      localAlt: undefined,
      refused: {},
    });
  });

  test.each([{ udpChecksum: false }, { udpChecksum: true }])(
    'a TCP transfer arrives unchanged, $udpChecksum',
    async (options) => {
      await pair.openBoth(options);
      const receive = `
      const hash = require('node:crypto').createHash('sha256');
      const server = require('node:net').createServer((c) => {
        server.close();
        c.on('data', (d) => hash.update(d));
        c.on('end', () => { console.log(hash.digest('hex')); c.end(); });
      });
      server.listen(5001, '${INNER_B}', () => console.log('ready'));`;
      const send = `
      const hash = require('node:crypto').createHash('sha256');
      const data = require('node:crypto').randomBytes(32 << 20);
      const c = require('node:net').connect(5001, '${INNER_B}', () => c.end(data));
      console.log(hash.update(data).digest('hex'));
      c.resume();`;
      const receiver = new Program(inside(cable.b, [process.execPath, '-e', receive]));
      await receiver.waitFor(/ready/);
      const sent = await cable.sure(cable.a, process.execPath, '-e', send);
      const { stdout } = await receiver.finished;
      expect(stdout).toBe(`ready\n${sent}`);
      expect(sent.trim()).toMatch(/^[0-9a-f]{64}$/);
    },
  );

  test('a full-sized inner packet fits, a larger one is answered by the kernel', async () => {
    await pair.openBoth();
    expect((await pair.a.describe()).mtu).toBe(1472);
    expect(await cable.pings(cable.a, INNER_B, '-Mdo', '-s1444')).toBe(true);
    const larger = await cable.exec(cable.a, 'ping', '-c1', '-w1', '-Mdo', '-s1445', INNER_B);
    expect(larger.code).not.toBe(0);
    expect(`${larger.stdout}${larger.stderr}`).toMatch(/message too long|mtu=1472/i);
  });

  test.each([
    { checksum: true, what: 'a checksum' },
    { checksum: false, what: 'no checksum' },
  ])('outer packets carry DF, the tunnel port and $what', async ({ checksum }) => {
    using tap = NamespaceSocket.tapAll(cable.b);
    await pair.openBoth({ udpChecksum: checksum });
    expect(await cable.pings(cable.a, INNER_B)).toBe(true);
    const packets = tunnelled(tap.received(), A.ip);
    expect(packets.length).toBeGreaterThan(0);
    for (const packet of packets) {
      expect(packet.header.dontFragment).toBe(true);
      expect(packet.checksum !== 0).toBe(checksum);
      const inner = decodeIpv4Header(packet.payload);
      expect(inner).toMatchObject({ ok: true, value: { source: INNER_A, destination: INNER_B } });
    }
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

  test('an ICMP error about a packet of ours is told with the remote it was for', async () => {
    await pair.openBoth();
    expect(await cable.pings(cable.a, INNER_B)).toBe(true);
    await pair.b.close('remove');
    await cable.exec(cable.a, 'ping', '-c1', '-W1', INNER_B);
    await eventually(() => {
      expect(pair.a.events).toContainEqual({
        event: 'outerError',
        error: { remote: B, kind: 'unreachable', mtu: undefined },
      });
    });
    // The error is no reason for the next packet not to leave.
    using other = NamespaceSocket.udp(cable.b, B);
    await pair.a.send({ path: A_TO_B, payload: text.encode('auth'), ttl: undefined });
    await eventually(() => {
      expect(other.received()).toEqual([text.encode('auth')]);
    });
  });

  test('a path whose local port is not ours is refused', async () => {
    await pair.openB();
    const elsewhere = { local: { ...B, port: port(10_001) }, remote: A };
    await expect(pair.b.admit(elsewhere)).rejects.toMatchObject({ exit: 'createTunnel' });
  });
});
