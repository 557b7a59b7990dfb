/* What goes by the thread of the `tun` plane with IPv6 outside, inside, or both. */
import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { encodeIp, formatEndpoint, type InnerIp } from '../../../src/core/addr.ts';
import { port } from '../../../src/core/units.ts';
import { decodeSockaddr } from '../../../src/core/wire/sockaddr.ts';
import { AUTH, BothFamilies, PATH4, PATH6, SIX } from './tun-both-families.ts';
import { leavePartial, parsePath, pattern, tcpPacket, udpPacket } from './tun-packets.ts';

const address = (host: number) => `fd28::${host}` as InnerIp;
const ipv4 = (host: number) => `172.28.0.${host}` as InnerIp;
const to6 = (host: number, of = {}) =>
  udpPacket(pattern(50), { family: 'ipv6', destination: address(host), ...of });
const to4 = (host: number, of = {}) => udpPacket(pattern(50), { destination: ipv4(host), ...of });
const from6 = (host: number, of = {}) =>
  udpPacket(pattern(50), { family: 'ipv6', source: address(host), ...of });
const from4 = (host: number, of = {}) => udpPacket(pattern(50), { source: ipv4(host), ...of });

let bench: BothFamilies;
beforeEach(() => {
  bench = new BothFamilies();
});

describe('outbound', () => {
  test('each packet goes to its peer by the socket of that one’s family, from the local address', () => {
    const packets = [to6(2), to4(2), to6(3), to4(3)];
    bench.out(...packets);
    const seen = bench.sent.map(({ family, name, source, payload }) => {
      const to = decodeSockaddr(name);
      return [
        family,
        to.ok ? formatEndpoint({ ...to.value, port: port(to.value.port) }) : to,
        [...source],
        payload,
      ];
    });
    const four = ['ipv4', '203.0.113.2:20000', [192, 0, 2, 1]];
    const six = ['ipv6', '[2001:db8::2]:20000', [...encodeIp(PATH6.local.ip)]];
    const both = (first = pattern(0), second = pattern(0)) => Uint8Array.of(...first, ...second);
    // Over IPv4 they are one train, since nothing has to tell flows apart.
    expect(seen).toEqual([
      [...four, both(packets[2], packets[3])],
      [...six, packets[0]],
      [...six, packets[1]],
    ]);
  });

  test('over IPv6 a flow inside has a label of its own, and keeps it', () => {
    const ports = (from: number) => ({ ports: [from, 53] as const });
    bench.out(
      to6(2, ports(1)),
      to6(2, ports(2)),
      to6(2, ports(1)),
      to4(2, ports(1)),
      to4(2, ports(1)),
    );
    const labels = bench.sent.flatMap(({ label, payload, segment }) =>
      Array.from(
        { length: segment === undefined ? 1 : Math.ceil(payload.length / segment) },
        () => label,
      ),
    );
    expect(labels).toHaveLength(5);
    for (const label of labels) {
      expect(label).toBeGreaterThan(0);
      expect(label).toBeLessThan(2 ** 20);
    }
    const [a, b, c, d, e] = labels;
    expect([a, d]).toEqual([c, e]);
    expect(new Set([a, b, d]).size).toBe(3);
  });

  test('without labels where the kernel refuses them', () => {
    bench.labelsRefused = true;
    const packets = [to6(2), to4(2)];
    bench.out(...packets);
    expect(bench.sent.map(({ label, payload }) => [label, payload])).toEqual(
      packets.map((packet) => [0, packet]),
    );
    expect(bench.losses).toEqual([]);
  });

  test('over IPv6 the mark of the packet inside is that outside; over IPv4 there is none', () => {
    bench.out(
      to6(2, { tos: 0xb9 }),
      to4(2, { tos: 0xba }),
      to4(2, { tos: 0xb8 }),
      to4(3, { tos: 2 }),
    );
    expect(bench.sent.map(({ trafficClass }) => trafficClass)).toEqual([undefined, 1, 2, 0]);
  });

  test('a super-packet of IPv6 is one train, whatever is outside', () => {
    for (const host of [2, 3]) {
      bench.sent.length = 0;
      const payload = pattern(4000);
      const destination = address(host);
      const header = {
        ...{ flags: 1, gsoType: 4, headerLength: 60, gsoSize: 1300 },
        ...{ checksumStart: 40, checksumOffset: 16 },
      };
      const of = { family: 'ipv6', destination, payload } as const;
      bench.device.push({ packet: leavePartial(tcpPacket(of)), header });
      bench.runOut();
      expect(bench.sent).toMatchObject([{ segment: 1360, family: host === 2 ? 'ipv6' : 'ipv4' }]);
      expect(bench.sent[0]?.payload.slice(0, 1360)).toEqual(
        tcpPacket({ ...of, payload: payload.slice(0, 1300) }),
      );
    }
  });

  test('a socket that is full holds back nothing of the other family’s, and loses nothing', () => {
    bench.full.add('ipv6');
    bench.out(to6(2), to4(3));
    expect(bench.sent.map(({ family }) => family)).toEqual(['ipv4']);
    bench.full.clear();
    expect(bench.runOut()).toBe('done');
    expect(bench.sent.map(({ family }) => family)).toEqual(['ipv4', 'ipv6']);
  });

  test.each([
    { what: 'multicast', destination: 'ff02::1' },
    { what: 'a link’s address', destination: 'fe80::2' },
    { what: 'the loopback address', destination: '::1' },
    { what: 'an address of nobody', destination: 'fd29::2' },
  ])('goes nowhere: $what', ({ destination }) => {
    bench.peers.configure({ id: SIX, prefixes: undefined });
    if (destination === 'fd29::2') bench.configure();
    bench.out(to6(2, { destination: destination as InnerIp }));
    expect(bench.sent).toEqual([]);
    expect(bench.counters.losses('no-peer')).toBe(1n);
  });

  test('an IPv4-mapped destination goes nowhere', () => {
    bench.peers.configure({ id: SIX, prefixes: undefined });
    const packet = to6(2);
    packet.set([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 172, 28, 0, 2], 24);
    bench.out(packet);
    expect([bench.sent, bench.counters.losses('no-peer')]).toEqual([[], 1n]);
  });

  test('what the tunnel does not carry goes nowhere', () => {
    bench = new BothFamilies({ ipv4: true, ipv6: false });
    bench.out(to6(2));
    expect([bench.sent, bench.counters.losses('not-ipv4')]).toEqual([[], 1n]);
    bench = new BothFamilies({ ipv4: false, ipv6: true });
    bench.out(to4(2), Uint8Array.of(), to6(2).slice(0, 39));
    expect([bench.sent, bench.counters.losses('not-ipv6')]).toEqual([[], 3n]);
  });

  test('to a peer whose path takes less than IPv6 needs none goes, and its sender is told; IPv4 goes on', () => {
    bench.peers.resize(SIX, 1279);
    bench.out(to6(2), to4(2), to6(3));
    expect(bench.sent.map(({ payload }) => payload)).toEqual([to6(3), to4(2)]);
    expect(bench.counters.losses('no-ipv6')).toBe(1n);
    expect(bench.refused).toEqual([{ packet: to6(2), why: { kind: 'no-ipv6' } }]);
    bench.peers.resize(SIX, 1280);
    bench.out(to6(2));
    expect(bench.sent).toHaveLength(3);
  });

  test('one that does not fit is told how much does; of a super-packet the pieces count', () => {
    bench.peers.resize(SIX, 1300);
    const long = udpPacket(pattern(1253), { family: 'ipv6', destination: address(2) });
    bench.out(long, udpPacket(pattern(1252), { family: 'ipv6', destination: address(2) }));
    expect(bench.refused).toEqual([{ packet: long, why: { kind: 'too-big', mtu: 1300 } }]);
    expect(bench.sent).toHaveLength(1);
    expect(bench.counters.losses('too-big')).toBe(1n);
    const header = {
      ...{ flags: 1, gsoType: 4, headerLength: 60 },
      ...{ checksumStart: 40, checksumOffset: 16 },
    };
    const of = { family: 'ipv6', destination: address(2), payload: pattern(4000) } as const;
    for (const gsoSize of [1240, 1241]) {
      bench.device.push({ packet: leavePartial(tcpPacket(of)), header: { ...header, gsoSize } });
    }
    bench.runOut();
    expect(bench.sent).toHaveLength(2);
    expect(bench.refused).toHaveLength(2);
  });
});

describe('inbound', () => {
  test('data of each family inside comes out, whatever is outside', () => {
    const packets = [from6(2), from4(2), from6(3), from4(3)];
    bench.in(
      ...[0, 1].map((index) => ({ path: PATH6, payload: packets[index] ?? pattern(0) })),
      ...[2, 3].map((index) => ({ path: PATH4, payload: packets[index] ?? pattern(0) })),
    );
    const sorted = (all: readonly Uint8Array[]) =>
      all.map((one) => Buffer.from(one).toString('hex')).toSorted();
    expect(sorted(bench.written)).toEqual(sorted(packets));
    expect(bench.control).toEqual([]);
  });

  test('a train of IPv6 segments becomes one super-packet', () => {
    const segments = [0, 1, 2].map((index) =>
      tcpPacket({
        family: 'ipv6',
        source: address(2),
        sequence: 1 + index * 1000,
        payload: pattern(1000, index),
      }),
    );
    const payload = Uint8Array.from(Buffer.concat(segments));
    bench.in({ path: PATH6, payload, size: 1060 });
    expect(bench.written.map(({ length }) => length)).toEqual([3060]);
  });

  test.each([
    { what: 'another’s', source: 'fd28::3' },
    { what: 'a multicast one', source: 'ff02::1' },
    { what: 'a link’s', source: 'fe80::2' },
    { what: 'none', source: '::' },
    { what: 'the loopback one', source: '::1' },
  ])('an inner source that is $what never comes out', ({ source }) => {
    const packet = from6(2, { source: source as InnerIp });
    bench.in({ path: PATH6, payload: packet });
    expect([bench.written, bench.control]).toEqual([[], []]);
    expect(bench.counters.losses('inner-source')).toBe(1n);
    bench.peers.configure({ id: SIX, prefixes: undefined });
    bench.in({ path: PATH6, payload: packet });
    // Who may send from anywhere may from any host’s address.
    expect(bench.written).toEqual(source === 'fd28::3' ? [packet] : []);
  });

  test.each([8, 24])('an IPv4-mapped address at %i never comes out', (at) => {
    bench.peers.configure({ id: SIX, prefixes: undefined });
    const packet = from6(2);
    packet.set([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 172, 28, 0, 2], at);
    bench.in({ path: PATH6, payload: packet });
    expect([bench.written, bench.counters.losses('inner-source')]).toEqual([[], 1n]);
  });

  test('what only looks like IPv6 and has a length of authentication goes up', () => {
    const looks = udpPacket(pattern(AUTH - 48), { family: 'ipv6', source: 'fd77::1' as InnerIp });
    expect(looks).toHaveLength(AUTH);
    bench.in({ path: PATH6, payload: looks });
    expect([bench.written, bench.control]).toEqual([[], [{ path: PATH6, payload: looks }]]);
    const own = udpPacket(pattern(AUTH - 48), { family: 'ipv6', source: address(2) });
    bench.in({ path: PATH6, payload: own });
    expect(bench.written).toEqual([own]);
  });

  test('what the tunnel does not carry goes up, as anything that is no data', () => {
    bench = new BothFamilies({ ipv4: true, ipv6: false });
    bench.in({ path: PATH6, payload: from6(2) }, { path: PATH6, payload: from4(2) });
    expect([bench.written, bench.control]).toEqual([
      [from4(2)],
      [{ path: PATH6, payload: from6(2) }],
    ]);
  });

  test.each([
    { what: 'another port', path: parsePath('[2001:db8::1]:10000', '[2001:db8::2]:20001') },
    { what: 'another address', path: parsePath('[2001:db8::1]:10000', '[2001:db8::3]:20000') },
    {
      what: 'another local address',
      path: parsePath('[2001:db8::4]:10000', '[2001:db8::2]:20000'),
    },
  ])('data from $what goes up and never comes out', ({ path }) => {
    bench.in({ path, payload: from6(2) });
    expect([bench.written, bench.control]).toEqual([[], [{ path, payload: from6(2) }]]);
    bench.inbound.ipv6.letThrough(path, from6(2));
    expect(bench.written).toEqual([]);
    bench.peers.admit(SIX, 0, path);
    bench.inbound.ipv6.letThrough(path, from6(2));
    expect(bench.written).toEqual([from6(2)]);
  });

  test.each([
    {
      what: 'a link’s address',
      path: parsePath('[2001:db8::1]:10000', '[fe80::2]:20000'),
      loss: 'unusual',
    },
    {
      what: 'no address',
      path: parsePath('[2001:db8::1]:10000', '[::]:20000'),
      loss: 'unusual',
    },
    {
      what: 'somebody who sent to many',
      path: parsePath('[ff02::1]:10000', '[2001:db8::2]:20000'),
      loss: 'stranger',
    },
  ] as const)('from $what nothing goes up', ({ path, loss }) => {
    bench.in({ path, payload: pattern(AUTH) });
    expect([bench.written, bench.control, bench.counters.losses(loss)]).toEqual([[], [], 1n]);
  });

  test('one /64 of strangers uses up its own budget, and is heard no more often than one address', () => {
    const from = (network: number, host: number) =>
      parsePath('[2001:db8::1]:10000', `[2001:db8:0:${network}::${host.toString(16)}]:20000`);
    for (let host = 1; host < 500; host += 1) {
      bench.in({ path: from(0x77, host), payload: pattern(AUTH).fill(0x99, 0, 1) });
    }
    const heard = bench.control.length;
    expect(heard).toBeLessThan(40);
    bench.in({ path: from(0x78, 1), payload: pattern(AUTH).fill(0x99, 0, 1) });
    expect(bench.control).toHaveLength(heard + 1);
  });

  const MARKS = [
    // outer, inner, result: RFC 6040, figure 4.
    ...[0, 1, 2, 3].map((inner) => [0, inner, inner] as const),
    ...[0, 1, 2, 3].map((inner) => [2, inner, inner] as const),
    ...([
      [1, 0, 0],
      [1, 1, 1],
      [1, 2, 1],
      [1, 3, 3],
    ] as const),
    ...([
      [3, 0, undefined],
      [3, 1, 3],
      [3, 2, 3],
      [3, 3, 3],
    ] as const),
  ];
  test.each(MARKS)('the mark %i outside and %i inside make %s', (outer, inner, result) => {
    const trafficClass = 0xb8 | outer;
    const tos = 0x50;
    for (const [path, host] of [
      [PATH6, 2],
      [PATH4, 3],
    ] as const) {
      for (const packetOf of [from6, from4]) {
        bench.written.length = 0;
        bench.in({ path, payload: packetOf(host, { tos: tos | inner }), trafficClass });
        const out = result === undefined ? [] : [packetOf(host, { tos: tos | result })];
        expect(bench.written).toEqual(out);
      }
    }
    expect(bench.counters.losses('congestion')).toBe(result === undefined ? 4n : 0n);
  });

  test('whatever comes: nothing comes out but whole packets of the peer’s own addresses', () => {
    const junk = fc.uint8Array({ maxLength: 120 }).map((bytes) => {
      if (bytes.length > 0) bytes[0] = 0x60 | ((bytes[0] ?? 0) & 0x0f);
      return bytes;
    });
    const spoilt = fc
      .tuple(fc.constantFrom(from6(2), from6(3), from4(2)), fc.nat(97), fc.nat(255), fc.nat(98))
      .map(([packet, at, byte, length]) =>
        packet.with(Math.min(at, packet.length - 1), byte).slice(0, length),
      );
    fc.assert(
      fc.property(fc.array(fc.oneof(junk, spoilt), { maxLength: 20 }), (payloads) => {
        const each = new BothFamilies();
        each.in(...payloads.map((payload) => ({ path: PATH6, payload })));
        for (const packet of each.written) {
          const version = (packet[0] ?? 0) >> 4;
          const source = version === 6 ? packet.slice(8, 24) : packet.slice(12, 16);
          expect(source).toEqual(encodeIp(version === 6 ? address(2) : ipv4(2)));
          const total =
            ((packet[version === 6 ? 4 : 2] ?? 0) << 8) | (packet[version === 6 ? 5 : 3] ?? 0);
          expect((version === 6 ? 40 : 0) + total).toBeLessThanOrEqual(packet.length);
        }
        const refusals = ['inner-source', 'control', 'stranger'] as const;
        const lost = refusals.reduce((sum, loss) => sum + each.counters.losses(loss), 0n);
        expect(BigInt(each.written.length + each.control.length) + lost).toBe(
          BigInt(payloads.length),
        );
      }),
      { numRuns: 200 },
    );
  });
});
