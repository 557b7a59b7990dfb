/* Topology: the drawing at the head of test/rig/bpf-pair.ts. */
import { afterEach, describe, expect, test } from 'vitest';
import { inside } from '../../src/adapters/lab/namespaces.ts';
import { Program } from '../../src/adapters/lab/process.ts';
import { attachedProgram, detachFilter } from '../../src/adapters/planes/bpf/bpf-calls.ts';
import { loadPrograms } from '../../src/adapters/planes/bpf/programs.ts';
import { findFormerEntries } from '../../src/adapters/planes/bpf/peer-entries.ts';
import { getU16be } from '../../src/core/bytes.ts';
import { port } from '../../src/core/units.ts';
import { decodeUdp } from '../../src/core/wire/udp.ts';
import { ip } from '../rig/addresses.ts';
import {
  BPF_PORT,
  BpfPair,
  INNER,
  OUTER,
  QUIET_CONFIG,
  type BpfHostOptions,
} from '../rig/bpf-pair.ts';
import { filler, udpPacket } from '../rig/bpf-packets.ts';
import { inNamespace } from '../rig/in-namespace.ts';
import { TunCable } from '../rig/tun-cable.ts';
import { NamespaceSocket } from '../rig/namespace-sockets.ts';
import { patience } from '../rig/patience.ts';

let pair: BpfPair;

afterEach(async () => {
  await pair[Symbol.asyncDispose]();
});

const RECEIVE = `
  const hash = require('node:crypto').createHash('sha256');
  const server = require('node:net').createServer((c) => {
    server.close();
    c.on('data', (d) => hash.update(d));
    c.on('end', () => { console.log(hash.digest('hex')); c.end(); });
  });
  server.listen(5001, () => console.log('ready'));`;

/** Sends 16 MiB of random bytes over TCP from the first side to an address; whether they arrived unchanged. */
async function transfers(namespace: string, target: string): Promise<void> {
  const send = `
    const hash = require('node:crypto').createHash('sha256');
    const data = require('node:crypto').randomBytes(16 << 20);
    const c = require('node:net').connect(5001, '${target}', () => c.end(data));
    console.log(hash.update(data).digest('hex'));
    c.resume();`;
  await using receiver = new Program(inside(namespace, [process.execPath, '-e', RECEIVE]));
  await receiver.waitFor(/ready/);
  const sent = await pair.sure(0, process.execPath, '-e', send);
  const { stdout } = await receiver.finished;
  expect(stdout).toBe(`ready\n${sent}`);
  expect(sent.trim()).toMatch(/^[0-9a-f]{64}$/);
}

/** Tunnelled datagrams among what a tap saw, as whole IPv4 packets. */
function tunnelled(seen: readonly Uint8Array[]): readonly Uint8Array[] {
  const [first] = OUTER;
  return seen.filter(
    (packet) => packet[9] === 17 && packet.slice(12, 16).join('.') === first && packet.length > 28,
  );
}

async function everywhere(command: string): Promise<void> {
  for (const side of [0, 1] as const) await pair.sure(side, ...command.split(' '));
}

describe('forwarding', () => {
  test('both ends ping each other, and packets are counted', async () => {
    pair = await BpfPair.open();
    await pair.sure(0, 'ping', '-c3', '-i0.1', '-w5', INNER[1]);
    const counts = { rxPackets: 3n, rxBytes: 252n, txPackets: 3n, txBytes: 252n };
    expect(pair.a.programs.entries.counters(0)).toMatchObject(counts);
    expect(pair.b.programs.entries.counters(0)).toMatchObject(counts);
  });

  test('no packet is lost while a neighbour is resolved, nor when it is forgotten', async () => {
    pair = await BpfPair.open();
    for (let round = 0; round < 2; round += 1) {
      const said = await pair.sure(0, 'ping', '-c15', '-i0.02', '-w5', INNER[1]);
      expect(said).toContain('15 packets transmitted, 15 received');
      await pair.sure(0, 'ip', 'neigh', 'flush', 'dev', 'v0');
      // The pause after which it is taken to be forgotten.
      const since = Date.now();
      await expect.poll(() => Date.now() - since > 1100, { timeout: patience(5000) }).toBe(true);
    }
  });

  test.each([
    ['without checksums', {}],
    ['with checksums', { config: { udpChecksum: true } }],
  ] as const)('an aggregate of datagrams arrives as these datagrams: %s', async (_, options) => {
    pair = await BpfPair.open(options satisfies BpfHostOptions);
    const to = { ip: INNER[1], port: port(5002) };
    using receiver = NamespaceSocket.udp(pair.b.namespace, to);
    using sender = NamespaceSocket.udp(pair.a.namespace, { ip: INNER[0], port: port(5002) });
    sender.segment(1000);
    const sent = filler(3500);
    sender.send(to, sent);
    const arrived: Uint8Array[] = [];
    await expect.poll(() => arrived.push(...receiver.received())).toBe(4);
    expect(arrived.map(({ length }) => length)).toEqual([1000, 1000, 1000, 500]);
    expect(Buffer.concat(arrived)).toEqual(Buffer.from(sent));
    expect(pair.a.programs.entries.counters(0)).toMatchObject({ txPackets: 4n, txRefused: 0n });
  });

  const frames = 'ethtool -K v0 tso off gso off gro on';
  test.each([
    ['aggregates pass whole', 'true', {}, 65_535],
    ['frames on the cable', frames, {}, 1500],
    ['frames with checksums', frames, { config: { udpChecksum: true } }, 1500],
    ['checksums', 'true', { config: { udpChecksum: true } }, 65_535],
    ['no checksum offload', 'ethtool -K v0 tx off', { config: { udpChecksum: true } }, 1500],
  ] as const)('a TCP transfer arrives unchanged: %s', async (_, prepare, options, longest) => {
    pair = await BpfPair.open(options satisfies BpfHostOptions);
    await everywhere(prepare);
    using tap = NamespaceSocket.tapAll(pair.b.namespace);
    await transfers(pair.b.namespace, INNER[1]);
    const packets = tunnelled(tap.received());
    const most = Math.max(...packets.map((packet) => packet.length));
    expect(most).toBeLessThanOrEqual(longest);
    expect(most).toBeGreaterThan(longest === 1500 ? 1400 : 10_000);
    expect(packets.every((packet) => (getU16be(packet, 26) !== 0) === 'config' in options)).toBe(
      true,
    );
    expect(pair.a.programs.reasons()).toEqual(pair.b.programs.reasons());
    expect(pair.a.programs.reasons()).toMatchObject({
      'too-big': 0n,
      'no-room': 0n,
      malformed: 0n,
    });
  });

  test('packets and bytes of aggregates are counted as they are on the wire', async () => {
    pair = await BpfPair.open();
    await transfers(pair.b.namespace, INNER[1]);
    await expect
      .poll(() => pair.b.programs.entries.counters(0).rxBytes)
      .toBe(pair.a.programs.entries.counters(0).txBytes);
    const { rxPackets, rxBytes } = pair.b.programs.entries.counters(0);
    expect(rxPackets).toBe(pair.a.programs.entries.counters(0).txPackets);
    // 1420 bytes of data in 1472.
    expect(Number(rxBytes)).toBeGreaterThan((16 << 20) * (1472 / 1420));
    expect(Number(rxPackets)).toBeGreaterThan((16 << 20) / 1420);
  });

  test('with checksums every datagram carries its right one', async () => {
    pair = await BpfPair.open({ config: { udpChecksum: true } });
    await everywhere('ethtool -K v0 tx off');
    using tap = NamespaceSocket.tapAll(pair.b.namespace);
    await transfers(pair.b.namespace, INNER[1]);
    await pair.sure(0, 'ping', '-c2', '-i0.1', '-s', '1000', '-w5', INNER[1]);
    const packets = tunnelled(tap.received());
    expect(packets.length).toBeGreaterThan(10);
    expect(packets.filter((packet) => !decodeUdp(packet).ok)).toEqual([]);
  });

  test('aggregates are forwarded to a device that has to cut them up', async () => {
    pair = await BpfPair.open();
    const third = await pair.addThird();
    await transfers(third.namespace, third.address);
    expect(pair.b.programs.entries.counters(0).rxBytes).toBeGreaterThan(16n << 20n);
  });

  test('IP options, TTL and ECN survive, a too big packet does not leave', async () => {
    pair = await BpfPair.open({ config: { ttl: 9 }, peer: { innerMtu: 1000 } });
    using tap = NamespaceSocket.tapAll(pair.b.namespace);
    await pair.sure(0, 'ping', '-c1', '-w5', '-Q', '1', '-R', INNER[1]);
    const [outer] = tunnelled(tap.received());
    expect(outer && [outer[8], (outer[1] ?? 0) & 3, (outer[28] ?? 0) & 15]).toEqual([9, 1, 15]);
    await pair.exec(0, 'ping', '-c1', '-W1', '-s', '973', INNER[1]);
    // ping sends again what the device refuses.
    expect(pair.a.programs.reasons()['too-big']).toBeGreaterThan(0n);
    await pair.sure(0, 'ping', '-c1', '-w5', '-s', '972', INNER[1]);
  });

  test('over devices without a link header', async () => {
    pair = await BpfPair.make();
    using cable = await TunCable.lay(pair.namespaces);
    const outerIps = [ip('10.9.1.1'), ip('10.9.1.2')] as const;
    for (const side of [0, 1] as const) {
      await pair.addTunnel(side, { outerDevice: 'l3', outerIps });
    }
    await pair.sure(0, 'ping', '-c3', '-i0.1', '-w5', INNER[1]);
    await transfers(pair.b.namespace, INNER[1]);
    expect(cable.carried).toBeGreaterThan(10_000);
    expect(pair.b.programs.entries.counters(0).rxPackets).toBeGreaterThan(10_000n);
  });
});

describe('what is no data', () => {
  const STRICT_RATES = { ...QUIET_CONFIG.rates, strangerData: { perSecond: 0.01, burst: 3 } };
  const here = { ip: OUTER[0], port: port(BPF_PORT) };
  const there = { ip: OUTER[1], port: port(BPF_PORT) };

  test('authentication goes to the socket on the port, from peer and stranger, and can be answered', async () => {
    pair = await BpfPair.open();
    using server = NamespaceSocket.udp(pair.b.namespace, there);
    using client = NamespaceSocket.udp(pair.a.namespace, here);
    using stranger = NamespaceSocket.udp(pair.a.namespace, { ...here, port: port(4444) });
    client.send(there, filler(73));
    stranger.send(there, filler(73).fill(1));
    stranger.send(there, filler(74));
    const received: Uint8Array[] = [];
    await expect.poll(() => received.push(...server.received())).toBe(2);
    expect(received).toEqual([filler(73), filler(73).fill(1)]);
    server.send(here, filler(73));
    await expect.poll(() => client.received()).toEqual([filler(73)]);
    expect(pair.b.programs.reasons()).toMatchObject({ 'passed-up': 2n, 'stranger-length': 1n });
  });

  test("a stranger's data never comes out of the device, the peer's does", async () => {
    pair = await BpfPair.open({ config: { rates: STRICT_RATES } });
    using out = NamespaceSocket.udp(pair.b.namespace, { ip: INNER[1], port: port(53) });
    using peer = NamespaceSocket.udp(pair.a.namespace, here);
    using stranger = NamespaceSocket.udp(pair.a.namespace, { ...here, port: port(4444) });
    const packet = udpPacket({ source: INNER[0], destination: INNER[1] });
    for (let count = 0; count < 10; count += 1) stranger.send(there, packet);
    peer.send(there, packet);
    const received: Uint8Array[] = [];
    await expect.poll(() => received.push(...out.received())).toBe(1);
    await expect.poll(() => pair.b.programs.reasons()['stranger-data']).toBe(7n);
    expect(pair.b.programs.entries.counters(0).rxPackets).toBe(1n);
    expect(out.received()).toEqual([]);
  });
});

describe('a later run', () => {
  test('packets go on without user space, and the next one finds peers and counts', async () => {
    pair = await BpfPair.open();
    const { programs, hooks, namespace } = pair.b;
    programs.setHost(INNER[0], 0);
    await pair.sure(0, 'ping', '-c2', '-i0.1', '-w5', INNER[1]);
    programs[Symbol.dispose]();
    await pair.sure(0, 'ping', '-c2', '-i0.1', '-w5', INNER[1]);
    const before = inNamespace(namespace, () => hooks.map((hook) => attachedProgram(hook)));
    using former = inNamespace(namespace, () => findFormerEntries(hooks));
    const peer = former?.peer(0);
    const counters = former?.rawCounters(0);
    if (!peer || !counters) throw new Error('nothing is found');
    expect(former?.counters(0).rxPackets).toBe(4n);
    expect(peer).toMatchObject({ remoteIp: OUTER[0], remotePort: BPF_PORT });
    const later = loadPrograms({ maxPeers: 1 });
    pair.hosts[1] = { ...pair.b, programs: later };
    later.configure(pair.b.config);
    later.admit(0, peer);
    later.setCounters(0, counters);
    inNamespace(namespace, () => {
      const names = ['ipipou_encap', 'ipipou_encap', 'ipipou_decap_eth'] as const;
      for (const [index, hook] of hooks.entries()) later.attach(hook, names[index] ?? names[0]);
    });
    const after = inNamespace(namespace, () => hooks.map((hook) => attachedProgram(hook)));
    expect(after.filter((id) => id === undefined || before.includes(id))).toEqual([]);
    await pair.sure(0, 'ping', '-c2', '-i0.1', '-w5', INNER[1]);
    expect(later.entries.counters(0).rxPackets).toBe(6n);
  });

  test('where our filters are gone there is nothing to adopt', async () => {
    pair = await BpfPair.open();
    const { hooks, namespace } = pair.b;
    const adopted = inNamespace(namespace, () => {
      for (const hook of hooks) detachFilter(hook);
      for (const hook of hooks) detachFilter(hook);
      return findFormerEntries(hooks);
    });
    expect(adopted).toBeUndefined();
  });
});
