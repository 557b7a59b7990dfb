/* Topology: the drawings at the heads of test/rig/plane-pair.ts and test/rig/two-hosts.ts. */
import { describe, expect, test } from 'vitest';
import { decodeOuterIpv4 } from '../../src/core/addr.ts';
import type { Offloads } from '../../src/adapters/planes/tun/offloads.ts';
import { tcpPacket } from '../unit/planes/tun-packets.ts';
import {
  A,
  A_TO_B,
  eventually,
  INNER_A,
  INNER_B,
  pairForEach,
  type PlanePair,
} from '../rig/plane-pair.ts';
import { NamespaceSocket } from '../rig/namespace-sockets.ts';
import { expectSame, expectTcp, expectUdp, receiveTcp, sendTcp } from '../rig/transfer.ts';
import type { TwoHosts } from '../rig/two-hosts.ts';

const MIB = 1024 * 1024;
const NONE: Offloads = { vnetHeader: false, segmentation: false, aggregation: false };

let pair: PlanePair;
let cable: TwoHosts;

pairForEach('tun', (made) => {
  pair = made;
  ({ cable } = made);
});

/** Packets that the kernel has got from a tunnel device, and those that the device has refused from it. */
async function device(namespace: string) {
  const shown = await cable.sure(namespace, 'ip', '-j', '-s', 'link', 'show', 'ipipou0');
  const [link] = JSON.parse(shown) as [
    { stats64: { rx: { packets: number }; tx: { dropped: number } } },
  ];
  return { received: link.stats64.rx.packets, dropped: link.stats64.tx.dropped };
}

/** Packets that the kernel in b got from the device, and how many datagrams they came in. */
async function arrived() {
  const { rxPackets } = await pair.b.counters();
  return { packets: (await device(cable.b)).received, datagrams: Number(rxPackets) };
}

/** A counter of the kernel (nstat(8)) in b. */
async function inB(counter: string): Promise<number> {
  const shown = await cable.sure(cable.b, 'nstat', '-asz', counter);
  return Number(/(\d+)\s+\d+\.\d+\s*$/.exec(shown)?.[1]);
}

describe('what is sent is what arrives', () => {
  test.each<{ readonly what: string; readonly offloads: Partial<Offloads> }>([
    { what: 'with everything', offloads: {} },
    { what: 'without a vnet header', offloads: { vnetHeader: false } },
    { what: 'without UDP_SEGMENT', offloads: { segmentation: false } },
    { what: 'without UDP_GRO', offloads: { aggregation: false } },
    { what: 'with nothing', offloads: NONE },
  ])('$what on both ends', async ({ offloads }) => {
    await pair.openBoth({ offloads });
    await Promise.all([
      expectTcp(cable.a, cable.b, INNER_B, 8 * MIB),
      expectTcp(cable.b, cable.a, INNER_A, 8 * MIB),
    ]);
    await expectUdp(cable.a, cable.b, INNER_B, 1444);
    const { packets, datagrams } = await arrived();
    if (offloads.vnetHeader === false) expect(packets).toBe(datagrams);
    else expect(packets).toBeLessThan(datagrams / 2);
  });

  test('between an end with everything and one with nothing', async () => {
    await Promise.all([pair.openA(), pair.openB({ offloads: NONE })]);
    await pair.admitBoth();
    await expectTcp(cable.a, cable.b, INNER_B, 8 * MIB);
    await expectTcp(cable.b, cable.a, INNER_A, 8 * MIB);
  });

  test.each([
    { what: 'no checksums outside', options: { udpChecksum: false } },
    { what: 'an odd MTU', options: { mtu: 1001 } },
    { what: 'a small MTU', options: { mtu: 576 } },
  ])('with $what', async ({ options }) => {
    await pair.openBoth(options);
    await expectTcp(cable.a, cable.b, INNER_B, 4 * MIB);
    await expectUdp(cable.a, cable.b, INNER_B, 500);
  });

  test.each([
    { what: 'frames of MTU size', features: ['tso', 'off', 'gso', 'off'] },
    { what: 'a device that sums no checksums', features: ['tx', 'off'] },
  ])('over $what', async ({ features }) => {
    await cable.sure(cable.a, 'ethtool', '-K', 'v0', ...features);
    await cable.sure(cable.b, 'ethtool', '-K', 'v0', ...features);
    await pair.openBoth();
    await expectTcp(cable.a, cable.b, INNER_B, 8 * MIB);
    await expectUdp(cable.a, cable.b, INNER_B, 1444);
  });

  test('every packet on the cable is whole, and none too long', async () => {
    using tap = NamespaceSocket.tap(cable.b);
    await cable.sure(cable.a, 'ethtool', '-K', 'v0', 'tso', 'off', 'gso', 'off', 'tx', 'off');
    await cable.sure(cable.b, 'ethtool', '-K', 'v0', 'gro', 'off');
    await pair.openBoth();
    await expectTcp(cable.a, cable.b, INNER_B, 20_000);
    // What the device hands to its kernel is seen too.
    const outer = tap.received().filter((packet) => decodeOuterIpv4(packet, 12) === A.ip);
    const lengths = outer.map((packet) => packet.length);
    expect(Math.max(...lengths)).toBe(1500);
  });
});

describe('a wrong inner checksum', () => {
  test('is seen by the kernel on the other side', async () => {
    await pair.openBoth();
    const segment = (index: number) =>
      tcpPacket({
        source: INNER_A,
        destination: INNER_B,
        sequence: 1 + index * 100,
        payload: new Uint8Array(100).fill(index),
      });
    const before = (await device(cable.b)).received;
    for (const index of [0, 1, 2, 3]) {
      const payload = index === 1 ? segment(index).with(60, 0xee) : segment(index);
      await pair.a.send({ path: A_TO_B, payload, ttl: undefined });
    }
    await eventually(async () => {
      const { rxPackets } = await pair.b.counters();
      expect(rxPackets).toBe(4n);
    });
    expect(await inB('TcpInCsumErrors')).toBe(1);
    expect((await device(cable.b)).received).toBeGreaterThan(before);
  });
});

describe('back-pressure', () => {
  test('a receiver that does not read holds the sender up, and nothing is lost', async () => {
    await pair.openBoth();
    const receiver = await receiveTcp(cable.b, INNER_B, { paused: true });
    const sender = sendTcp(cable.a, INNER_B, 48 * MIB);
    let last = -1n;
    await eventually(async () => {
      const { txBytes } = await pair.a.counters();
      const moved = txBytes - last;
      last = txBytes;
      expect(txBytes).toBeGreaterThan(30_000n);
      expect(moved).toBeLessThan(10_000n);
    });
    expect(last).toBeLessThan(BigInt(40 * MIB));
    expect(await cable.pings(cable.a, INNER_B)).toBe(true);
    receiver.go();
    await expectSame(sender, receiver);
  });

  test('a full socket holds the device up, and what was read is not lost', async () => {
    const shape = ['tc', 'qdisc', 'replace', 'dev', 'v0', 'root', 'tbf', 'burst', '64k'];
    // Room for more than the socket may have on the way, so that it is the socket that is full.
    const slow = [...shape, 'limit', '64m', 'rate', '1mbit'];
    await cable.sure(cable.a, ...slow);
    await pair.openBoth();
    const flood = `
      const socket = require('node:dgram').createSocket('udp4');
      const data = Buffer.alloc(1400);
      // Not connected: no ICMP error takes the place of a datagram.
      let left = 24000;
      let open = 200;
      const send = () => {
        if (left-- > 0) socket.send(data, 9, '${INNER_B}', send);
        else if ((open -= 1) === 0) socket.close();
      };
      for (let n = open; n > 0; n -= 1) send();`;
    await cable.sure(cable.a, process.execPath, '-e', flood);
    const { dropped } = await device(cable.a);
    expect(dropped).toBeGreaterThan(0);
    await cable.sure(cable.a, ...shape, 'limit', '64m', 'rate', '200mbit');
    await eventually(async () => {
      const [{ txPackets }, { rxPackets }] = [await pair.a.counters(), await pair.b.counters()];
      // A receiver that gets no processor time may have too small a buffer for the burst.
      const missed = await inB('UdpRcvbufErrors');
      expect(Number(rxPackets) + missed).toBe(Number(txPackets));
      // Everything was either sent, or refused by the device before it was read.
      expect(Number(txPackets) + dropped).toBeGreaterThanOrEqual(24_000);
    });
    expect(await cable.pings(cable.a, INNER_B)).toBe(true);
    await expectTcp(cable.a, cable.b, INNER_B, MIB);
  });

  test('a device whose queue ran over while nobody read goes on', async () => {
    await pair.openBoth();
    expect(await cable.pings(cable.a, INNER_B)).toBe(true);
    pair.a.pause();
    const flood = `
      const socket = require('node:dgram').createSocket('udp4');
      let left = 3000;
      const send = () => { if (left-- > 0) socket.send('x', 9, '${INNER_B}', send); else socket.close(); };
      send();`;
    await cable.sure(cable.a, process.execPath, '-e', flood);
    expect((await device(cable.a)).dropped).toBeGreaterThan(0);
    pair.a.resume();
    expect(await cable.pings(cable.a, INNER_B)).toBe(true);
    await expectTcp(cable.a, cable.b, INNER_B, MIB);
  });
});
