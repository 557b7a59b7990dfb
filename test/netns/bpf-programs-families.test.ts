/*
 * The programs where IPv6 is outside, inside or both; what IPv4 alone does is in bpf-programs.test.ts. Topology:
 * the drawing at the head of test/rig/bpf-pair.ts.
 */
import { afterEach, describe, expect, test } from 'vitest';
import { familyOf, type Family } from '../../src/core/addr.ts';
import { getU32be } from '../../src/core/bytes.ts';
import { port } from '../../src/core/units.ts';
import { overheadOf } from '../../src/core/wire/overhead.ts';
import { decodeUdp } from '../../src/core/wire/udp.ts';
import { ip } from '../rig/addresses.ts';
import { BpfPair, INNER, INNER6, OUTER, OUTER6, type BpfHostOptions } from '../rig/bpf-pair.ts';
import { filler } from '../rig/bpf-packets.ts';
import { NamespaceSocket } from '../rig/namespace-sockets.ts';
import { expectTcp } from '../rig/transfer.ts';
import { TunCable } from '../rig/tun-cable.ts';

let pair: BpfPair;

afterEach(async () => {
  await pair[Symbol.asyncDispose]();
});

async function everywhere(command: string): Promise<void> {
  for (const side of [0, 1] as const) await pair.sure(side, ...command.split(' '));
}

/** Tunnelled datagrams of the first side among what a tap saw, as whole packets. */
function tunnelled(seen: readonly Uint8Array[], outer: Family): readonly Uint8Array[] {
  const source = [...(outer === 'ipv6' ? [0xfd, 9] : [10, 9, 0, 1])];
  return seen.filter((packet) => {
    const [protocol, from] = outer === 'ipv6' ? [packet[6], 8] : [packet[9], 12];
    const version = outer === 'ipv6' ? 6 : 4;
    return (
      (packet[0] ?? 0) >> 4 === version &&
      protocol === 17 &&
      source.every((byte, index) => packet[from + index] === byte) &&
      (outer === 'ipv4' || packet[from + 15] === 1) &&
      packet.length > overheadOf(outer)
    );
  });
}

const COMBINATIONS = [
  ['ipv4', 'ipv6'],
  ['ipv6', 'ipv4'],
  ['ipv6', 'ipv6'],
] as const;

describe.each(COMBINATIONS)('%s outside, %s inside', (outer, innerFamily) => {
  const outerIps = outer === 'ipv4' ? OUTER : OUTER6;
  const [here, there] = innerFamily === 'ipv4' ? INNER : INNER6;
  const overhead = overheadOf(outer);
  const checked = { config: { udpChecksum: true, udpChecksum6: true } };

  const open = async (options: BpfHostOptions = {}): Promise<BpfPair> =>
    BpfPair.open({ outerIps, inside: ['ipv4', 'ipv6'], ...options });

  test('both ends ping each other, the smallest packet too, and packets are counted', async () => {
    pair = await open();
    await pair.sure(0, 'ping', '-c3', '-i0.1', '-w5', there);
    await pair.sure(0, 'ping', '-c3', '-i0.1', '-w5', '-s0', there);
    const header = innerFamily === 'ipv4' ? 28 : 48;
    const counts = { rxPackets: 6n, rxBytes: BigInt(3 * 56 + 6 * header), txPackets: 6n };
    expect(pair.a.programs.entries.counters(0)).toMatchObject(counts);
    expect(pair.b.programs.entries.counters(0)).toMatchObject(counts);
  });

  test.each([
    ['without checksums', {}],
    ['with checksums', checked],
  ] as const)('an aggregate of datagrams arrives as these datagrams: %s', async (_, options) => {
    pair = await open(options satisfies BpfHostOptions);
    const to = { ip: there, port: port(5002) };
    using receiver = NamespaceSocket.udp(pair.b.namespace, to);
    using sender = NamespaceSocket.udp(pair.a.namespace, { ip: here, port: port(5002) });
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
    ['aggregates pass whole', 'true', {}, 65_575],
    ['frames on the cable', frames, {}, 1500],
    ['frames with checksums', frames, checked, 1500],
    ['checksums', 'true', checked, 65_575],
    ['no checksum offload', 'ethtool -K v0 tx off', checked, 1500],
  ] as const)('a TCP transfer arrives unchanged: %s', async (_, prepare, options, longest) => {
    pair = await open(options satisfies BpfHostOptions);
    await everywhere(prepare);
    using tap = NamespaceSocket.tapAll(pair.b.namespace);
    await expectTcp(pair.a.namespace, pair.b.namespace, there, 16 << 20);
    const packets = tunnelled(tap.received(), outer);
    const most = Math.max(...packets.map((packet) => packet.length));
    expect(most).toBeLessThanOrEqual(longest);
    expect(most).toBeGreaterThan(longest === 1500 ? 1400 : 10_000);
    const sums = packets.map((packet) => packet[overhead - 2] !== 0 || packet[overhead - 1] !== 0);
    expect(sums.every((sum) => sum === 'config' in options)).toBe(true);
    for (const { programs } of pair.hosts) {
      expect(Object.entries(programs.reasons()).filter(([, count]) => count > 0n)).toEqual([]);
    }
  });

  test('packets and bytes of aggregates are counted as they are on the wire', async () => {
    pair = await open();
    await expectTcp(pair.a.namespace, pair.b.namespace, there, 16 << 20);
    await expect
      .poll(() => pair.b.programs.entries.counters(0).rxBytes)
      .toBe(pair.a.programs.entries.counters(0).txBytes);
    const { rxPackets, rxBytes } = pair.b.programs.entries.counters(0);
    expect(rxPackets).toBe(pair.a.programs.entries.counters(0).txPackets);
    const mtu = 1500 - overhead;
    const data = mtu - (innerFamily === 'ipv4' ? 52 : 72);
    expect(Number(rxBytes)).toBeGreaterThan((16 << 20) * (mtu / data));
    expect(Number(rxPackets)).toBeGreaterThan((16 << 20) / data);
  });

  test('with checksums every datagram carries its right one', async () => {
    pair = await open(checked);
    await everywhere('ethtool -K v0 tx off');
    using tap = NamespaceSocket.tapAll(pair.b.namespace);
    await expectTcp(pair.a.namespace, pair.b.namespace, there, 16 << 20);
    await pair.sure(0, 'ping', '-c2', '-i0.1', '-s', '1000', '-w5', there);
    const packets = tunnelled(tap.received(), outer);
    expect(packets.length).toBeGreaterThan(10);
    expect(packets.filter((packet) => !decodeUdp(packet).ok)).toEqual([]);
  });

  test('aggregates are forwarded to a device that has to cut them up', async () => {
    pair = await open();
    const third = await pair.addThird(innerFamily);
    await expectTcp(pair.a.namespace, third.namespace, third.address, 16 << 20);
    expect(pair.b.programs.entries.counters(0).rxBytes).toBeGreaterThan(16n << 20n);
  });

  test('hop limit and ECN are as they are to be, a too big packet does not leave', async () => {
    pair = await open({ config: { ttl: 9, hopLimit: 11 }, peer: { innerMtu: 1300 } });
    using tap = NamespaceSocket.tapAll(pair.b.namespace);
    await pair.sure(0, 'ping', '-c1', '-w5', '-Q', '1', there);
    const [packet = new Uint8Array(48)] = tunnelled(tap.received(), outer);
    const [ecn, hops] =
      outer === 'ipv4' ? [packet[1] ?? 0, packet[8]] : [getU32be(packet, 0) >> 20, packet[7]];
    expect([ecn & 3, hops]).toEqual([1, outer === 'ipv4' ? 9 : 11]);
    const header = innerFamily === 'ipv4' ? 28 : 48;
    await pair.exec(0, 'ping', '-c1', '-W1', '-s', String(1301 - header), there);
    expect(pair.a.programs.reasons()['too-big']).toBeGreaterThan(0n);
    await pair.sure(0, 'ping', '-c1', '-w5', '-s', String(1300 - header), there);
  });

  test('over devices without a link header', async () => {
    pair = await BpfPair.make();
    using cable = await TunCable.lay(pair.namespaces);
    const l3 =
      outer === 'ipv4'
        ? ([ip('10.9.1.1'), ip('10.9.1.2')] as const)
        : ([ip('fd09:1::1'), ip('fd09:1::2')] as const);
    for (const side of [0, 1] as const) {
      await pair.addTunnel(side, { outerDevice: 'l3', outerIps: l3, inside: ['ipv4', 'ipv6'] });
    }
    await pair.sure(0, 'ping', '-c3', '-i0.1', '-w5', '-s0', there);
    await expectTcp(pair.a.namespace, pair.b.namespace, there, 8 << 20);
    expect(cable.carried).toBeGreaterThan(5000);
    expect(pair.b.programs.entries.counters(0).rxPackets).toBeGreaterThan(5000n);
    expect(familyOf(there)).toBe(innerFamily);
  });
});
