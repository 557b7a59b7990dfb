/* Topology: the drawings at the heads of test/rig/tun-pair.ts and test/rig/two-hosts.ts. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { inside } from '../../src/adapters/lab/namespaces.ts';
import { Program } from '../../src/adapters/lab/process.ts';
import { formatEndpoint } from '../../src/core/addr.ts';
import { port } from '../../src/core/units.ts';
import { decodeIpv4Header } from '../../src/core/wire/ipv4.ts';
import { NamespaceSocket } from '../rig/namespace-sockets.ts';
import { ip } from '../rig/addresses.ts';
import { innerEcho } from '../rig/traffic.ts';
import type { TunHost } from '../rig/tun-host.ts';
import { A, A_TO_B, B, B_TO_A, eventually, INNER_A, INNER_B, TunPair } from '../rig/tun-pair.ts';
import { tunnelled } from '../rig/tunnelled.ts';
import type { TwoHosts } from '../rig/two-hosts.ts';

const text = new TextEncoder();

let pair: TunPair;
let cable: TwoHosts;
let a: TunHost;
let b: TunHost;

beforeEach(async () => {
  pair = await TunPair.make();
  ({ cable, a, b } = pair);
});

afterEach(async () => {
  await pair[Symbol.asyncDispose]();
});

describe('forwarding', () => {
  test('both ends ping each other, and packets are counted', async () => {
    await pair.openBoth();
    expect(await cable.pings(cable.a, INNER_B)).toBe(true);
    expect(await cable.pings(cable.b, INNER_A)).toBe(true);
    const counts = { rxPackets: 2n, rxBytes: 168n, txPackets: 2n, txBytes: 168n };
    await eventually(async () => {
      expect(await a.counters()).toMatchObject(counts);
    });
    const before = await b.now();
    expect(await cable.pings(cable.a, INNER_B)).toBe(true);
    const { heardAt, ...rest } = await b.counters();
    expect(rest).toEqual({ rxPackets: 3n, rxBytes: 252n, txPackets: 3n, txBytes: 252n });
    expect(heardAt).toBeGreaterThanOrEqual(before);
    expect(heardAt).toBeLessThanOrEqual(1 + (await b.now()));
  });

  test('a TCP transfer arrives unchanged', async () => {
    await pair.openBoth();
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
  });

  test('a full-sized inner packet fits, a larger one is answered by the kernel', async () => {
    await pair.openBoth();
    expect((await a.describe()).mtu).toBe(1472);
    expect(await cable.pings(cable.a, INNER_B, '-Mdo', '-s1444')).toBe(true);
    const larger = await cable.exec(cable.a, 'ping', '-c1', '-w1', '-Mdo', '-s1445', INNER_B);
    expect(larger.code).not.toBe(0);
    expect(`${larger.stdout}${larger.stderr}`).toMatch(/message too long|mtu=1472/i);
  });

  test.each([
    { checksum: true, what: 'a checksum' },
    { checksum: false, what: 'no checksum' },
  ])('outer packets carry DF, the tunnel port and $what', async ({ checksum }) => {
    using tap = NamespaceSocket.tap(cable.b);
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
    await b.evict();
    const before = await pair.arrivedInB();
    await a.send({ path: A_TO_B, payload: innerEcho(INNER_A, INNER_B), ttl: undefined });
    await pair.heardInB(1);
    expect(await pair.arrivedInB()).toBe(before);
    expect((await cable.exec(cable.b, 'ping', '-c1', '-W1', INNER_A)).code).not.toBe(0);
    expect((await b.counters()).txPackets).toBe(1n);
  });

  test('a re-pointed peer gets everything at its new address and port', async () => {
    await pair.openBoth();
    expect(await cable.pings(cable.b, INNER_A)).toBe(true);
    const moved = { ip: ip('10.9.0.3'), port: port(20000) };
    using roamer = NamespaceSocket.udp(cable.a, moved);
    await b.admit({ local: B, remote: moved });
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
    await a.send({ path: A_TO_B, payload: innerEcho(INNER_A, INNER_B), ttl: undefined });
    await pair.heardInB(1);
    expect(await pair.arrivedInB()).toBe(before + 1);
  });
});

describe('what is not data of the admitted peer', () => {
  test.each([
    { what: 'another port', from: { ip: A.ip, port: port(20000) }, to: B },
    { what: 'another address', from: { ip: ip('10.9.0.3'), port: port(10000) }, to: B },
    {
      what: 'another local address',
      from: { ip: ip('10.9.0.3'), port: port(20000) },
      to: { ip: ip('10.9.0.4'), port: port(10000) },
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
    expect(b.packets()[0]).toMatchObject({
      path: { local: to, remote: from },
      payload: new Uint8Array(payload),
    });
    // The same bytes on the admitted path do arrive.
    await a.send({ path: A_TO_B, payload, ttl: undefined });
    await eventually(async () => {
      expect(await pair.arrivedInB()).toBe(before + 1);
    });
    expect((await b.counters()).rxPackets).toBe(2n);
  });

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
    await b.admitSenders();
    await a.send({ path: A_TO_B, payload: innerEcho(INNER_A, INNER_B), ttl: undefined });
    await eventually(async () => {
      expect(await pair.arrivedInB()).toBe(1);
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
    const ttls = tunnelled(tap.received(), A.ip).map(({ header }) => header.ttl);
    expect(ttls).toEqual([7, 64]);
  });
});
