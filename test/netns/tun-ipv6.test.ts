/* Topology: the drawings at the heads of test/rig/plane-pair.ts and test/rig/two-hosts.ts. */
import { describe, expect, test } from 'vitest';
import type { Offloads } from '../../src/adapters/planes/tun/offloads.ts';
import { inside } from '../../src/adapters/lab/namespaces.ts';
import { Program } from '../../src/adapters/lab/process.ts';
import { encodeIp, type Path } from '../../src/core/addr.ts';
import { concatBytes, encodeU16be } from '../../src/core/bytes.ts';
import { DEFAULT_PEER } from '../../src/core/config/tunnel-config.ts';
import { port } from '../../src/core/units.ts';
import { encodeUdpPacket } from '../../src/core/wire/udp.ts';
import { inner, ip } from '../rig/addresses.ts';
import { endsOf, IPV4_ENDS } from '../rig/ends.ts';
import { NamespaceSocket } from '../rig/namespace-sockets.ts';
import { eventually, onePair, type PlanePair } from '../rig/plane-pair.ts';
import { RawIpv6 } from '../rig/raw-ipv6.ts';
import { innerEcho } from '../rig/traffic.ts';
import { expectTcp, expectUdp } from '../rig/transfer.ts';
import { innerPacket, tunnelled } from '../rig/tunnelled.ts';

const MIB = 1024 * 1024;
const SIX = endsOf({ outside: 'ipv6', inside: 'ipv6' });
const FOUR = IPV4_ENDS;
/** Both families inside. */
const INSIDE = {
  a: { ips: [FOUR.innerA, SIX.innerA], innerIps: [FOUR.innerB, SIX.innerB] },
  b: { ips: [FOUR.innerB, SIX.innerB], innerIps: [FOUR.innerA, SIX.innerA] },
} as const;
const NOBODY_KNOWS = '2001:db8:77::1';

let pair: PlanePair;
onePair({ a: 'tun', ends: SIX }, (made) => (pair = made));

/** Opens both ends with both families inside and outside, and admits each to the other over IPv6. */
async function openBoth(options: { readonly offloads?: Partial<Offloads> } = {}): Promise<void> {
  const ofA = {
    peers: [{ id: DEFAULT_PEER, innerIps: INSIDE.a.innerIps, allowedIps: 'any' }],
  } as const;
  const ofB = {
    peers: [{ id: DEFAULT_PEER, innerIps: INSIDE.b.innerIps, allowedIps: 'any' }],
  } as const;
  await Promise.all([
    pair.openA({ ...ofA, ips: INSIDE.a.ips, localIps: [], ...options }),
    pair.openB({ ...ofB, ips: INSIDE.b.ips, ...options }),
  ]);
  await pair.admitBoth();
}

async function refusedInB(reason: string): Promise<number> {
  return Number((await pair.b.describe()).refused[reason]);
}

describe('a peer that goes from one family to the other and back', () => {
  test('is followed, both families inside go on, and nobody has its old path', async () => {
    const { a, b, cable } = pair;
    await openBoth();
    const long = (target: string) =>
      new Program(inside(cable.a, ['ping', '-i0.05', '-c1000', target]));
    await using ping4 = long(FOUR.innerB);
    await using ping6 = long(SIX.innerB);
    const answers = async (ping: Program): Promise<void> => {
      const seen = ping.stdout.length;
      await ping.waitFor((output) => output.slice(seen).split('icmp_seq').length > 5);
    };
    for (const ends of [SIX, FOUR, SIX]) {
      await Promise.all([a.admit(ends.aToB), b.admit(ends.bToA)]);
      await Promise.all([answers(ping4), answers(ping6)]);
      expect((await a.describePeer()).mtu).toBe(ends.mtu);
      await expectTcp(cable.a, cable.b, ends === SIX ? FOUR.innerB : SIX.innerB, MIB);
      const old = ends === SIX ? FOUR : SIX;
      const before = await b.counters();
      expect(before.rxPackets).toBeGreaterThan(0n);
      const heard = b.packets().length;
      await a.send({
        path: old.aToB,
        payload: innerEcho(FOUR.innerA, FOUR.innerB),
        ttl: undefined,
      });
      await eventually(() => {
        expect(b.packets().length).toBe(heard + 1);
      });
      expect(b.packets().at(-1)?.path).toEqual(old.bToA);
    }
  });

  test('cannot take a path that another peer has', async () => {
    await openBoth();
    const other = { id: 'other' as typeof DEFAULT_PEER, innerIps: [inner('fd28::9')] };
    await pair.b.configure([{ ...other, allowedIps: [{ ip: inner('fd28::9'), length: 128 }] }]);
    await expect(pair.b.admit(SIX.bToA, other.id)).rejects.toMatchObject({ errno: 'EADDRINUSE' });
  });
});

describe('what is refused of IPv6 outside', () => {
  /** Inner data of a's in an outer packet from it, which is changed; its checksum stays right. */
  function outer(change: (packet: Uint8Array) => Uint8Array | void = () => undefined): Uint8Array {
    const packet = encodeUdpPacket({
      path: SIX.aToB,
      payload: innerEcho(SIX.innerA, SIX.innerB),
      ttl: 64,
      dontFragment: true,
      checksum: true,
    });
    return change(packet) ?? packet;
  }

  /** With an extension header of `bytes` before what follows. */
  const extended = (number: number, bytes: readonly number[]) =>
    outer((packet) => {
      const rest = packet.subarray(40);
      const header = packet.slice(0, 40);
      header.set(encodeU16be(bytes.length + rest.length), 4);
      header[6] = number;
      return concatBytes([header, Uint8Array.from(bytes), rest]);
    });

  const PADDING = [17, 0, 1, 4, 0, 0, 0, 0];
  const from = (text: string) => outer((packet) => packet.set(encodeIp(ip(text)), 8));
  const MAPPED = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 9, 0, 1];

  test.each<{ readonly what: string; readonly packet: Uint8Array; readonly reason?: string }>([
    { what: 'hop-by-hop options', packet: extended(0, PADDING), reason: 'unusual' },
    { what: 'destination options', packet: extended(60, PADDING), reason: 'unusual' },
    // The kernel puts it together: of one piece.
    { what: 'a fragment', packet: extended(44, [17, 0, 0, 0, 0, 0, 0, 1]), reason: 'unusual' },
    { what: 'a fragment without the rest', packet: extended(44, [17, 0, 0, 1, 0, 0, 0, 2]) },
    { what: 'no next header', packet: outer((packet) => void (packet[6] = 59)) },
    { what: 'a jumbogram', packet: outer((packet) => void packet.fill(0, 4, 7)) },
    { what: 'less than it says', packet: outer((packet) => packet.slice(0, -8)) },
    { what: 'a wrong checksum', packet: outer((packet) => void (packet[46] = 1)) },
    { what: 'a multicast source', packet: from('ff0e::1') },
    { what: 'a link’s address', packet: from('fe80::1') },
    { what: 'no address', packet: from('::') },
    { what: 'an IPv4-mapped source', packet: outer((packet) => packet.set(MAPPED, 8)) },
  ])('$what: nothing comes out of the device or goes up', async ({ packet, reason }) => {
    await pair.openB({ ips: INSIDE.b.ips, peers: [peerA()] });
    await pair.b.admit(SIX.bToA);
    using raw = RawIpv6.in(pair.cable.a);
    const before = await pair.arrivedInB();
    raw.send(packet);
    // What comes after it has come, so that it has been dealt with.
    raw.send(outer());
    await eventually(async () => {
      expect(await pair.arrivedInB()).toBe(before + 1);
    });
    expect(pair.b.packets()).toEqual([]);
    if (reason !== undefined) expect(await refusedInB(reason)).toBe(1);
  });

  test.each([
    { what: 'another peer’s', source: 'fd28::9' },
    { what: 'a link’s', source: 'fe80::9' },
    { what: 'a multicast one', source: 'ff02::9' },
  ])('an inner source that is $what is counted as such', async ({ source }) => {
    await pair.openB({ ips: INSIDE.b.ips, peers: [peerA()] });
    await pair.b.admit(SIX.bToA);
    using client = NamespaceSocket.udp(pair.cable.a, SIX.a);
    const before = await pair.arrivedInB();
    client.send(SIX.b, innerEcho(inner(source), SIX.innerB));
    client.send(SIX.b, innerEcho(SIX.innerA, SIX.innerB));
    await eventually(async () => {
      expect(await pair.arrivedInB()).toBe(before + 1);
    });
    expect(await refusedInB('inner-source')).toBe(1);
    expect((await pair.b.describePeer()).refused).toMatchObject({ 'inner-source': 1n });
  });

  test('a flood of strangers of one /64 is cut short, counted, and does not stop the peer', async () => {
    const { b, cable } = pair;
    await openBoth();
    using raw = RawIpv6.in(cable.a);
    for (let count = 0; count < 2000; count += 1) {
      const host = ip(`2001:db8:9:0:1::${count.toString(16)}`);
      const path: Path = { local: { ip: host, port: port(20_000) }, remote: SIX.b };
      const payload = new Uint8Array([0x99, 1, 2, 3]);
      raw.send(encodeUdpPacket({ path, payload, ttl: 64, dontFragment: true, checksum: true }));
    }
    expect(await cable.pings(cable.a, SIX.innerB)).toBe(true);
    await eventually(async () => {
      const strangers = await refusedInB('stranger');
      expect(strangers).toBeGreaterThan(1500);
      expect(b.packets().length + strangers).toBe(2000);
    });
  });

  function peerA() {
    const allowedIps = [{ ip: SIX.innerA, length: 128 }];
    return { id: DEFAULT_PEER, innerIps: INSIDE.b.innerIps, allowedIps };
  }
});

describe('headers outside', () => {
  test('a flow inside has a flow label of its own, and its congestion marks are outside, too', async () => {
    const { cable } = pair;
    await openBoth();
    using tap = NamespaceSocket.tapAll(cable.b);
    expect(await cable.pings(cable.a, SIX.innerB, '-Q2')).toBe(true);
    expect(await cable.pings(cable.a, FOUR.innerB, '-Q1')).toBe(true);
    const seen = tunnelled(tap.received(), SIX.a.ip).map(({ outer, payload }) => ({
      inside: (payload[0] ?? 0) >> 4,
      label: outer.flowLabel,
      mark: ((outer.whole[1] ?? 0) >> 4) & 3,
    }));
    const of = (version: number) => seen.filter((each) => each.inside === version);
    expect(new Set(of(6).map(({ mark }) => mark))).toEqual(new Set([2]));
    expect(new Set(of(4).map(({ mark }) => mark))).toEqual(new Set([1]));
    const labels = [of(6), of(4)].map((each) => new Set(each.map(({ label }) => label)));
    expect(labels.map(({ size }) => size)).toEqual([1, 1]);
    expect(labels[0]).not.toEqual(labels[1]);
  });

  test.each([SIX, FOUR])(
    'a mark that a router has made of a packet over $outside comes out inside',
    async (ends) => {
      const { b, cable } = pair;
      const peers = [{ id: DEFAULT_PEER, innerIps: INSIDE.b.innerIps, allowedIps: 'any' }] as const;
      await pair.openB({ ips: INSIDE.b.ips, peers });
      await b.admit(ends.bToA);
      using raw = RawIpv6.in(cable.a);
      using socket = NamespaceSocket.udp(cable.a, ends.a);
      using tap = NamespaceSocket.tapAll(cable.b);
      socket.typeOfService(3);
      const payload = innerEcho(SIX.innerA, SIX.innerB);
      for (const mark of [0, 2]) {
        // The inner packet: not capable of marks, and capable.
        payload[1] = mark << 4;
        const packet = encodeUdpPacket({
          ...{ path: ends.aToB, payload, ttl: 64, dontFragment: true, checksum: true },
        });
        packet[1] = 3 << 4;
        if (ends === SIX) raw.send(packet);
        else socket.send(ends.b, payload);
      }
      await eventually(async () => {
        expect(await refusedInB('congestion')).toBe(1);
        expect((await b.counters()).rxPackets).toBe(2n);
      });
      const marks = tap.received().flatMap((bytes) => {
        const packet = innerPacket(bytes);
        const echo = packet?.source === SIX.innerA && packet.protocol === 58;
        return echo ? [((packet.whole[1] ?? 0) >> 4) & 3] : [];
      });
      expect(new Set(marks)).toEqual(new Set([3]));
    },
  );
});

describe('what others do to the device', () => {
  test.each([
    { what: 'its address removed', argv: ['ip', '-6', 'addr', 'flush', 'dev', 'ipipou0'] },
    { what: 'IPv6 switched off', argv: ['sysctl', '-qw', 'net.ipv6.conf.ipipou0.disable_ipv6=1'] },
    { what: 'the device deleted', argv: ['ip', 'link', 'del', 'ipipou0'] },
  ])('$what: both families are put back, and it is told', async ({ argv }) => {
    const { b, cable } = pair;
    await openBoth();
    expect(await cable.pings(cable.b, SIX.innerA)).toBe(true);
    await cable.sure(cable.b, ...argv);
    await eventually(() => {
      const told = b.events.filter(({ event }) => event === 'disturbed');
      expect(told).toContainEqual(expect.objectContaining({ repaired: true }));
    });
    for (const target of [SIX.innerA, FOUR.innerA]) {
      expect(await cable.pings(cable.b, target)).toBe(true);
    }
    expect(await cable.pings(cable.a, SIX.innerB)).toBe(true);
  });
});

describe('a path that takes little', () => {
  test('takes no IPv6 below 1280, says so to who sends, and IPv4 goes on; then all is as before', async () => {
    const { a, cable } = pair;
    await openBoth();
    await cable.sure(cable.a, 'ip', 'route', 'add', `${NOBODY_KNOWS}/128`, 'dev', 'ipipou0');
    expect(await cable.pings(cable.a, SIX.innerB)).toBe(true);
    await a.limitMtu(1279);
    for (const target of [SIX.innerB, NOBODY_KNOWS]) {
      const { code, stdout, stderr } = await cable.exec(cable.a, 'ping', '-c1', '-w2', target);
      expect(code).not.toBe(0);
      expect(`${stdout}${stderr}`).toMatch(/unreachable|No route/);
    }
    expect(Number((await a.describe()).refused['no-ipv6'])).toBeGreaterThan(0);
    expect(await cable.pings(cable.a, FOUR.innerB, '-Mdo', '-s1251')).toBe(true);
    const larger = await cable.exec(cable.a, 'ping', '-c1', '-w1', '-Mdo', '-s1252', FOUR.innerB);
    expect(`${larger.stdout}${larger.stderr}`).toMatch(/message too long|mtu=1279/i);
    await a.limitMtu(undefined);
    expect(await cable.pings(cable.a, SIX.innerB)).toBe(true);
    await expectTcp(cable.a, cable.b, SIX.innerB, MIB);
  });

  test('tells IPv4 what fits, too, by a route that is not ours: the device keeps 1280', async () => {
    const { a, cable } = pair;
    const behind = '192.0.2.77';
    await openBoth();
    await cable.sure(cable.b, 'ip', 'addr', 'add', `${behind}/32`, 'dev', 'lo');
    await cable.sure(cable.a, 'ip', 'route', 'add', `${behind}/32`, 'dev', 'ipipou0');
    await a.limitMtu(1000);
    expect((await a.describe()).mtu).toBe(1280);
    const ping = ['ping', '-c2', '-i0.2', '-w2', '-Mdo', '-s1000', behind];
    const { stdout, stderr } = await cable.exec(cable.a, ...ping);
    expect(`${stdout}${stderr}`).toMatch(/mtu ?= ?1000/);
    await expectTcp(cable.a, cable.b, inner(behind), MIB);
    await cable.sure(cable.b, 'ip', 'addr', 'del', `${behind}/32`, 'dev', 'lo');
  });

  test('is told to who sends too much, also by a route that is not ours', async () => {
    const { a, cable } = pair;
    await openBoth();
    await cable.sure(cable.b, 'ip', 'addr', 'add', `${NOBODY_KNOWS}/128`, 'dev', 'lo', 'nodad');
    await cable.sure(cable.a, 'ip', 'route', 'add', `${NOBODY_KNOWS}/128`, 'dev', 'ipipou0');
    await a.limitMtu(1300);
    // The device has room for more, because the kernel takes no less for this route.
    await cable.sure(cable.a, 'ip', 'link', 'set', 'ipipou0', 'mtu', '1452');
    const told = async (): Promise<string> => {
      const ping = ['ping', '-c2', '-i0.2', '-w2', '-Mdo', '-s1300', NOBODY_KNOWS];
      const { stdout, stderr } = await cable.exec(cable.a, ...ping);
      return `${stdout}${stderr}`;
    };
    expect(await told()).toMatch(/mtu[=:] ?1300/i);
    // The thread counts by itself, and tells now and then.
    await eventually(async () => {
      expect(Number((await a.describePeer()).refused['too-big'])).toBeGreaterThan(0);
    });
    expect(await cable.pings(cable.a, inner(NOBODY_KNOWS), '-Mdo', '-s1252')).toBe(true);
    await expectTcp(cable.a, cable.b, inner(NOBODY_KNOWS), MIB);
    await cable.sure(cable.b, 'ip', 'addr', 'del', `${NOBODY_KNOWS}/128`, 'dev', 'lo');
  });
});

describe('what is sent is what arrives', () => {
  const NONE: Offloads = { vnetHeader: false, segmentation: false, aggregation: false };

  test.each<{ readonly what: string; readonly offloads: Partial<Offloads> }>([
    { what: 'everything', offloads: {} },
    { what: 'no vnet header', offloads: { vnetHeader: false } },
    { what: 'no UDP_SEGMENT', offloads: { segmentation: false } },
    { what: 'no UDP_GRO', offloads: { aggregation: false } },
    { what: 'nothing', offloads: NONE },
  ])('with $what on both ends', async ({ offloads }) => {
    const { b, cable } = pair;
    await openBoth({ offloads });
    await Promise.all([
      expectTcp(cable.a, cable.b, SIX.innerB, 4 * MIB),
      expectTcp(cable.b, cable.a, FOUR.innerA, 4 * MIB),
    ]);
    await expectUdp(cable.a, cable.b, SIX.innerB, 1404);
    // Packets that the kernel has got from the device, and datagrams that they came in.
    const shown = await cable.sure(cable.b, 'ip', '-j', '-s', 'link', 'show', 'ipipou0');
    const [link] = JSON.parse(shown) as [{ stats64: { rx: { packets: number } } }];
    const datagrams = Number((await b.counters()).rxPackets);
    if (offloads.vnetHeader === false) expect(link.stats64.rx.packets).toBe(datagrams);
    else expect(link.stats64.rx.packets).toBeLessThan(datagrams / 2);
  });

  test.each([
    { what: 'no checksums outside', options: { udpChecksum: false } },
    { what: 'the smallest MTU', options: { mtu: 1280 } },
    { what: 'an odd MTU', options: { mtu: 1401 } },
  ])('with $what', async ({ options }) => {
    const { cable } = pair;
    await pair.openBoth(options);
    await expectTcp(cable.a, cable.b, SIX.innerB, 4 * MIB);
    await expectUdp(cable.a, cable.b, SIX.innerB, 1200);
  });
});
