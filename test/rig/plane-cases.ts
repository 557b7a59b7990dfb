/*
 * What holds on a plane of any kind. Topology: the drawings at the heads of plane-pair.ts and
 * two-hosts.ts.
 */
import { ipBatch } from '../../src/adapters/lab/namespaces.ts';
import { bitsOf, familyOf, hostPrefix, type Prefix } from '../../src/core/addr.ts';
import { describe, expect, test } from 'vitest';
import { DEFAULT_PEER } from '../../src/core/config/tunnel-config.ts';
import { port } from '../../src/core/units.ts';
import { inner, ip } from './addresses.ts';
import { NamespaceSocket } from './namespace-sockets.ts';
import type { PlaneHost } from './plane-host.ts';
import { endsOf, OUTSIDE, type Ends } from './ends.ts';
import { eventually, type PlanePair } from './plane-pair.ts';
import { innerEcho } from './traffic.ts';
import { expectTcp } from './transfer.ts';
import { innerPacket, outerPacket, tunnelled } from './tunnelled.ts';

/** By how much the clock of a plane may be behind and before that of its process, milliseconds. */
export type Skew = { readonly behind: number; readonly before: number };

/** What of a plane depends on the kernel. */
export function describeForwarding(pairOf: () => PlanePair, skew: Skew): void {
  const expectHeardSince = async (host: PlaneHost, since: number): Promise<void> => {
    const { heardAt } = await host.counters();
    expect(heardAt).toBeGreaterThanOrEqual(since - skew.behind);
    expect(heardAt).toBeLessThanOrEqual((await host.now()) + skew.before);
  };

  describe('forwarding', () => {
    test('both ends ping each other, and packets are counted', async () => {
      const { a, b, cable, ends } = pairOf();
      const { innerA, innerB } = ends;
      await pairOf().openBoth();
      expect((await b.counters()).heardAt).toBe(0);
      const opened = await b.now();
      expect(await cable.pings(cable.a, innerB)).toBe(true);
      expect(await cable.pings(cable.b, innerA)).toBe(true);
      const echoes = (count: number) => {
        const bytes = BigInt(count * (ends.header + 64));
        const packets = BigInt(count);
        return { rxPackets: packets, rxBytes: bytes, txPackets: packets, txBytes: bytes };
      };
      const counts = echoes(2);
      await eventually(async () => {
        expect(await a.counters()).toMatchObject(counts);
      });
      const { heardAt: _, tagFailures, replays, ...rest } = await b.counters();
      expect(rest).toEqual(counts);
      expect([tagFailures ?? 0n, replays ?? 0n]).toEqual([0n, 0n]);
      await expectHeardSince(b, opened);
      expect(await b.describePeer()).toMatchObject({
        ...counts,
        device: 'ipipou0',
        mtu: ends.mtu,
        localAlt: undefined,
        refused: {},
      });
      const counted = await b.now();
      expect(await cable.pings(cable.a, innerB)).toBe(true);
      await eventually(async () => expect(await b.counters()).toMatchObject(echoes(3)));
      await expectHeardSince(b, counted);
    });

    test.each([{ udpChecksum: false }, { udpChecksum: true }])(
      'a TCP transfer arrives unchanged, $udpChecksum',
      async (options) => {
        const { cable, ends } = pairOf();
        await pairOf().openBoth(options);
        await expectTcp(cable.a, cable.b, ends.innerB, 8 << 20);
      },
    );

    test.each(['all', 'two halves', 'the other end itself'])(
      'allowed-ips that hold %s leave the outer path as it is',
      async (what) => {
        const { cable, ends } = pairOf();
        const allowedIps = [...ends.allOfB.map((each) => hostPrefix(each)), ...holding(what, ends)];
        await pairOf().openA({ peers: [{ id: DEFAULT_PEER, innerIps: ends.allOfB, allowedIps }] });
        await pairOf().openB();
        await pairOf().admitBoth();
        expect(await cable.pings(cable.a, ends.innerB)).toBe(true);
        expect(await cable.sure(cable.a, 'ip', 'route', 'get', ends.b.ip)).toContain('dev v0');
        const family = ends.outside === 'ipv4' ? '-4' : '-6';
        const ours = await cable.sure(cable.a, 'ip', family, 'route', 'show', 'proto', '148');
        const routed = ours.split('\n').flatMap((line) => line.split(' ')[0] || []);
        expect(routed).toEqual(ends.allOfB.filter((each) => familyOf(each) === ends.outside));
      },
    );

    test('a full-sized inner packet fits, a larger one is answered by the kernel', async () => {
      const { a, cable, ends } = pairOf();
      await pairOf().openBoth();
      expect((await a.describePeer()).mtu).toBe(ends.mtu);
      const most = ends.mtu - ends.header - 8;
      expect(await cable.pings(cable.a, ends.innerB, '-Mdo', `-s${most}`)).toBe(true);
      const tooLarge = ['ping', '-c1', '-w1', '-Mdo', `-s${most + 1}`, ends.innerB];
      const larger = await cable.exec(cable.a, ...tooLarge);
      expect(larger.code).not.toBe(0);
      const told = new RegExp(`message too long|mtu[ =]${ends.mtu}`, 'i');
      expect(`${larger.stdout}${larger.stderr}`).toMatch(told);
    });

    test('what is fragmented inside arrives, both ways', async () => {
      const { cable, ends } = pairOf();
      await pairOf().openBoth();
      expect(await cable.pings(cable.a, ends.innerB, '-s3000')).toBe(true);
      expect(await cable.pings(cable.b, ends.innerA, '-s3000')).toBe(true);
    });

    test.each([
      { checksum: true, what: 'a checksum' },
      { checksum: false, what: 'no checksum' },
    ])('outer packets carry DF, the tunnel port and $what', async ({ checksum }) => {
      const { cable, ends } = pairOf();
      using tap = NamespaceSocket.tapAll(cable.b);
      await pairOf().openBoth({ udpChecksum: checksum });
      expect(await cable.pings(cable.a, ends.innerB)).toBe(true);
      const packets = tunnelled(tap.received(), ends.a.ip);
      expect(packets.length).toBeGreaterThan(0);
      for (const packet of packets) {
        expect(packet.outer.dontFragment).toBe(true);
        expect(packet.outer.destination).toBe(ends.b.ip);
        expect(packet.checksum !== 0).toBe(checksum);
        expect(innerPacket(packet.payload)).toMatchObject({
          ...{ source: ends.innerA, destination: ends.innerB },
        });
      }
    });
  });
}

/** Networks that capture the way to the other end, if it is of the inner family. */
function holding(what: string, { inside, outside, b }: Ends): readonly Prefix[] {
  const prefix = (text: string, length: number): Prefix => ({ ip: inner(text), length });
  if (what === 'all') return [prefix(inside === 'ipv4' ? '0.0.0.0' : '::', 0)];
  if (what === 'two halves') {
    const halves = inside === 'ipv4' ? ['0.0.0.0', '128.0.0.0'] : ['::', '8000::'];
    return halves.map((half) => prefix(half, 1));
  }
  return inside === outside ? [hostPrefix(inner(b.ip))] : [];
}

/** Who is carried, and whose packets go up instead. */
export function describeAdmission(pairOf: () => PlanePair): void {
  test('an evicted peer is carried no more, either way', async () => {
    const pair = pairOf();
    const { a, b, cable } = pair;
    const { aToB, innerA, innerB } = pair.ends;
    await pair.openBoth();
    expect(await cable.pings(cable.a, innerB)).toBe(true);
    await b.evict();
    const before = await pair.arrivedInB();
    await a.send({ path: aToB, payload: innerEcho(innerA, innerB), ttl: undefined });
    await pair.heardInB(1);
    expect(await pair.arrivedInB()).toBe(before);
    expect((await cable.exec(cable.b, 'ping', '-c1', '-W0.3', innerA)).code).not.toBe(0);
    expect((await b.counters()).txPackets).toBe(1n);
    // ping sends again when the device does not take a packet.
    expect((await b.describe()).refused['no-peer']).toBeGreaterThan(0n);
  });

  test('what is meant for a peer that is not admitted never leaves in clear', async () => {
    const { a, b, cable, ends } = pairOf();
    await pairOf().openBoth();
    await b.evict();
    const [router] = OUTSIDE[ends.inside];
    await cable.sure(cable.b, 'ip', 'route', 'add', 'default', 'via', router, 'dev', 'v0');
    using tap = NamespaceSocket.tapAll(cable.a);
    await cable.exec(cable.b, 'ping', '-c1', '-W0.3', ends.innerA);
    // What is seen once more is seen by then.
    await cable.exec(cable.b, 'ping', '-c1', '-W5', router);
    const destinations = tap.received().map((packet) => outerPacket(packet)?.destination);
    const family = ends.inside === 'ipv4' ? '-4' : '-6';
    await cable.sure(cable.b, 'ip', family, 'route', 'del', 'default');
    expect(destinations).toContain(router);
    expect(destinations).not.toContain(ends.innerA);
    expect((await a.counters()).rxPackets).toBe(0n);
  });

  test('a re-pointed peer gets everything at its new address and port', async () => {
    const pair = pairOf();
    const { a, b, cable } = pair;
    const { aToB, b: local, innerA, innerB, otherA } = pair.ends;
    await pair.openBoth();
    expect(await cable.pings(cable.b, innerA)).toBe(true);
    const moved = { ip: otherA, port: port(20_000) };
    using roamer = NamespaceSocket.udp(cable.a, moved);
    await b.admit({ local, remote: moved });
    await cable.exec(cable.b, 'ping', '-c1', '-W0.3', innerA);
    const [packet] = roamer.received();
    expect(innerPacket(packet ?? new Uint8Array())).toMatchObject({
      ...{ source: innerB, destination: innerA },
    });
    const before = await pair.arrivedInB();
    roamer.send(local, innerEcho(innerA, innerB));
    await eventually(async () => {
      expect(await pair.arrivedInB()).toBe(before + 1);
    });
    await a.send({ path: aToB, payload: innerEcho(innerA, innerB), ttl: undefined });
    await pair.heardInB(1);
    expect(await pair.arrivedInB()).toBe(before + 1);
  });

  test.each([
    { what: 'another port', here: 'a', there: 'b', ports: [20_000, 10_000] },
    { what: 'another address', here: 'otherA', there: 'b', ports: [10_000, 10_000] },
    { what: 'another local address', here: 'otherA', there: 'otherB', ports: [20_000, 10_000] },
  ] as const)(
    'an inner packet from $what never reaches the device',
    async ({ here, there, ports }) => {
      const pair = pairOf();
      const { a, b, cable, ends } = pair;
      const from = { ip: here === 'a' ? ends.a.ip : ends[here], port: port(ports[0]) };
      const to = { ip: there === 'b' ? ends.b.ip : ends[there], port: port(ports[1]) };
      await pair.openBoth();
      expect(await cable.pings(cable.a, ends.innerB)).toBe(true);
      const before = await pair.arrivedInB();
      using stranger = NamespaceSocket.udp(cable.a, from);
      const payload = innerEcho(ends.innerA, ends.innerB);
      stranger.send(to, payload);
      await pair.heardInB(1);
      expect(await pair.arrivedInB()).toBe(before);
      expect(b.packets()[0]).toMatchObject({
        path: { local: to, remote: from },
        payload: new Uint8Array(payload),
      });
      // The same bytes on the admitted path do arrive.
      await a.send({ path: ends.aToB, payload, ttl: undefined });
      await eventually(async () => {
        expect(await pair.arrivedInB()).toBe(before + 1);
      });
      const { rxPackets } = await b.counters();
      // A device with IPv6 speaks by itself as well: it looks for routers and tells of its groups.
      if (ends.inside === 'ipv6') expect(rxPackets).toBeGreaterThanOrEqual(2n);
      else expect(rxPackets).toBe(2n);
    },
  );
}

/** What holds where both ends have both families outside (a pair with IPv6 at its ends). */
export function describeMoves(pairOf: () => PlanePair): void {
  test('a re-pointed peer is carried on over the other family, and back', async () => {
    const pair = pairOf();
    const { a, b, cable, ends } = pair;
    const over = endsOf({ ...ends, outside: ends.outside === 'ipv4' ? 'ipv6' : 'ipv4' });
    await pair.openA({ localIps: [] });
    await pair.openB();
    await pair.admitBoth();
    expect(await cable.pings(cable.a, ends.innerB)).toBe(true);
    for (const [there, gone] of [
      [over, ends],
      [ends, over],
    ] as const) {
      await Promise.all([a.admit(there.aToB), b.admit(there.bToA)]);
      using tap = NamespaceSocket.tapAll(cable.b);
      expect(await cable.pings(cable.a, ends.innerB)).toBe(true);
      expect(await cable.pings(cable.b, ends.innerA)).toBe(true);
      const seen = tap.received();
      expect(tunnelled(seen, there.a.ip).length).toBeGreaterThan(0);
      expect(tunnelled(seen, gone.a.ip)).toEqual([]);
      expect((await b.describePeer()).mtu).toBe(there.mtu);
      const before = await pair.arrivedInB();
      const payload = innerEcho(ends.innerA, ends.innerB);
      const heard = b.packets().length;
      await a.send({ path: gone.aToB, payload, ttl: undefined });
      await pair.heardInB(heard + 1);
      expect(await pair.arrivedInB()).toBe(before);
    }
  });
}

/** What somebody else does in b, and what the plane there says of it. */
type Disturbance = {
  readonly what: string;
  readonly argv: readonly string[];
  readonly said: string;
};

/** What others do to a plane's things; `more` is what they can do to this plane's. */
export function describeRepair(pairOf: () => PlanePair, more: readonly Disturbance[] = []): void {
  test.each<Disturbance>([
    { what: 'device deleted', argv: ['ip', 'link', 'del', 'ipipou0'], said: 'tunnel device' },
    {
      what: 'device taken down',
      argv: ['ip', 'link', 'set', 'ipipou0', 'down'],
      said: 'tunnel device',
    },
    {
      what: 'address removed',
      argv: ['ip', 'addr', 'flush', 'dev', 'ipipou0'],
      said: 'address of the tunnel device',
    },
    ...more,
  ])('$what: it is put back and told', async ({ argv, said }) => {
    const pair = pairOf();
    const { b, cable, ends } = pair;
    const { innerA, innerB } = ends;
    const before = await pair.stateOfB();
    await pair.openBoth();
    expect(await cable.pings(cable.b, innerA)).toBe(true);
    await cable.sure(cable.b, ...argv);
    await eventually(() => {
      expect(b.events).toContainEqual({ event: 'disturbed', what: said, repaired: true });
    });
    expect(await cable.pings(cable.a, innerB)).toBe(true);
    expect(await cable.pings(cable.b, innerA)).toBe(true);
    expect(b.events.filter(({ event }) => event === 'failed')).toEqual([]);
    expect((await b.counters()).rxPackets).toBeGreaterThan(2n);
    await b.close('remove');
    expect(await pair.stateOfB()).toBe(before);
  });
}

/** What becomes of the device that the tunnel is bound to. */
export function describeOuterDevice(pairOf: () => PlanePair): void {
  test('an outer device that is made anew under its name is followed', async () => {
    const pair = pairOf();
    const { b, cable, ends } = pair;
    const sides = [
      [cable.a, ends.a],
      [cable.b, ends.b],
    ] as const;
    await pair.openBoth({ outerDevice: 'v0' });
    expect(await cable.pings(cable.a, ends.innerB)).toBe(true);
    await cable.sure(cable.b, 'ip', 'link', 'del', 'v0');
    // Another device first, so that the index is another one; that it is missing is seen meanwhile, and no trouble.
    await ipBatch(cable.b, ['link add other type veth peer name other1']);
    await pair.b.refresh();
    await ipBatch(undefined, [
      `link add v0 netns ${cable.a} type veth peer name v0 netns ${cable.b}`,
    ]);
    for (const [namespace, end] of sides) {
      await ipBatch(namespace, [`addr add ${end.ip}/24 dev v0`, 'link set v0 up']);
    }
    await eventually(async () => {
      expect(await cable.pings(cable.a, ends.innerB)).toBe(true);
    });
    const strange = { ip: ends.a.ip, port: port(20_000) };
    using stranger = NamespaceSocket.udp(cable.a, strange);
    stranger.send(ends.b, innerEcho(ends.innerA, ends.innerB));
    await eventually(() => {
      expect(b.packets().map(({ path }) => path.remote)).toContainEqual(strange);
    });
    const warned = b.events.filter((one) => one.event === 'log' && /follow/.test(one.text));
    expect(warned).toEqual([]);
  });
}

/** What becomes of a prefix that the host has a route to already. */
export function describeTakenPrefix(pairOf: () => PlanePair): void {
  test('a prefix that another route has is told, and led to the peer when that is gone', async () => {
    const pair = pairOf();
    const { b, cable, ends } = pair;
    await cable.sure(cable.b, 'ip', 'route', 'add', '10.77.0.0/16', 'dev', 'v0');
    const wanted = { ip: inner('10.77.0.0'), length: 16 };
    const allowedIps = [...ends.allOfA.map((each) => hostPrefix(each)), wanted];
    await pair.openA();
    await pair.openB({ peers: [{ id: DEFAULT_PEER, innerIps: ends.allOfA, allowedIps }] });
    await pair.admitBoth();
    const taken = [{ peer: DEFAULT_PEER, prefix: wanted, device: 'v0' }];
    expect((await b.describe()).taken).toEqual(taken);
    expect((await b.describePeer()).taken).toEqual(taken);
    await cable.sure(cable.b, 'ip', 'route', 'del', '10.77.0.0/16');
    await b.refresh();
    expect((await b.describe()).taken).toEqual([]);
    expect((await b.describePeer()).taken).toEqual([]);
    expect(await cable.sure(cable.b, 'ip', 'route', 'show', '10.77.0.0/16')).toMatch(/dev ipipou0/);
  });
}

/** What comes of a config. */
export function describeOpening(pairOf: () => PlanePair): void {
  test('device, addresses and MTU are as configured', async () => {
    const pair = pairOf();
    const { a, cable, ends } = pair;
    await pair.openA({ device: 'tun-test-longer', mtu: 1300, outerDevice: 'v0' });
    const shown = await cable.sure(cable.a, 'ip', '-j', 'addr', 'show', 'tun-test-longer');
    const [link] = JSON.parse(shown) as [{ addr_info: readonly { scope: string }[] }];
    expect(link).toMatchObject({
      mtu: 1300,
      flags: expect.arrayContaining(['UP', 'NOARP']) as unknown,
    });
    const own = ends.allOfA.map((local, index) => ({
      ...{ local, address: ends.allOfB[index], prefixlen: bitsOf(familyOf(local)) },
    }));
    const given = link.addr_info.filter(({ scope }) => scope !== 'link');
    expect(given).toMatchObject(own);
    await a.refresh();
    expect((await a.describe()).mtu).toBe(1300);
  });

  test.each([
    {
      what: 'a foreign address',
      options: { localIps: [ip('10.9.0.9')] },
      error: { exit: 'address', errno: 'EADDRNOTAVAIL' },
      hint: 'fou-local-ip',
    },
    {
      what: 'a missing device',
      options: { outerDevice: 'nowhere' },
      error: { exit: 'link', errno: 'ENODEV' },
      hint: 'fou-dev',
    },
    {
      what: 'an impossible MTU',
      options: { mtu: 20 },
      error: { exit: 'link', errno: 'EINVAL' },
      hint: undefined,
    },
  ])('$what is refused, and nothing is left', async ({ options, error, hint }) => {
    const pair = pairOf();
    const before = await pair.stateOfB();
    const refused = pair.openB(options);
    await expect(refused).rejects.toMatchObject(error);
    if (hint !== undefined) {
      await expect(refused).rejects.toMatchObject({
        hint: expect.stringContaining(hint) as unknown,
      });
    }
    expect(await pair.stateOfB()).toBe(before);
  });
}
