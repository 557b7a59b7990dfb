/*
 * What of the plane depends on the kernel; run on Debian's as well. Topology: the drawings at the heads
 * of test/rig/plane-pair.ts and test/rig/two-hosts.ts.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { inside } from '../../src/adapters/lab/namespaces.ts';
import { Program } from '../../src/adapters/lab/process.ts';
import { decodeIpv4Header } from '../../src/core/wire/ipv4.ts';
import { NamespaceSocket } from '../rig/namespace-sockets.ts';
import { A, A_TO_B, B, eventually, INNER_A, INNER_B, PlanePair } from '../rig/plane-pair.ts';
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
