/*
 * What holds on a plane of any kind. Topology: the drawings at the heads of plane-pair.ts and
 * two-hosts.ts.
 */
import { decodeInnerIpv4 } from '../../src/core/addr.ts';
import { describe, expect, test } from 'vitest';
import { DEFAULT_PEER } from '../../src/core/config/tunnel-config.ts';
import { port } from '../../src/core/units.ts';
import { decodeIpv4Header } from '../../src/core/wire/ipv4.ts';
import { inner, ip } from './addresses.ts';
import { NamespaceSocket } from './namespace-sockets.ts';
import type { PlaneHost } from './plane-host.ts';
import { A, A_TO_B, B, eventually, INNER_A, INNER_B, type PlanePair } from './plane-pair.ts';
import { innerEcho } from './traffic.ts';
import { expectTcp } from './transfer.ts';
import { tunnelled } from './tunnelled.ts';

/** By how much the clock of a plane may be behind and before that of its process, milliseconds. */
type Skew = { readonly behind: number; readonly before: number };

/** What of a plane depends on the kernel. */
export function describeForwarding(pairOf: () => PlanePair, skew: Skew): void {
  const expectHeardSince = async (host: PlaneHost, since: number): Promise<void> => {
    const { heardAt } = await host.counters();
    expect(heardAt).toBeGreaterThanOrEqual(since - skew.behind);
    expect(heardAt).toBeLessThanOrEqual((await host.now()) + skew.before);
  };

  describe('forwarding', () => {
    test('both ends ping each other, and packets are counted', async () => {
      const { a, b, cable } = pairOf();
      await pairOf().openBoth();
      expect((await b.counters()).heardAt).toBe(0);
      const opened = await b.now();
      expect(await cable.pings(cable.a, INNER_B)).toBe(true);
      expect(await cable.pings(cable.b, INNER_A)).toBe(true);
      const counts = { rxPackets: 2n, rxBytes: 168n, txPackets: 2n, txBytes: 168n };
      await eventually(async () => {
        expect(await a.counters()).toMatchObject(counts);
      });
      const { heardAt: _, ...rest } = await b.counters();
      expect(rest).toEqual(counts);
      await expectHeardSince(b, opened);
      expect(await b.describePeer()).toMatchObject({
        ...counts,
        device: 'ipipou0',
        mtu: 1472,
        localAlt: undefined,
        refused: {},
      });
      const counted = await b.now();
      expect(await cable.pings(cable.a, INNER_B)).toBe(true);
      const more = { rxPackets: 3n, rxBytes: 252n, txPackets: 3n, txBytes: 252n };
      expect(await b.counters()).toMatchObject(more);
      await expectHeardSince(b, counted);
    });

    test.each([{ udpChecksum: false }, { udpChecksum: true }])(
      'a TCP transfer arrives unchanged, $udpChecksum',
      async (options) => {
        const { cable } = pairOf();
        await pairOf().openBoth(options);
        await expectTcp(cable.a, cable.b, INNER_B, 32 << 20);
      },
    );

    test.each(['0.0.0.0/0', '0.0.0.0/1 128.0.0.0/1', `${B.ip}/32`])(
      'allowed-ips %s leaves the outer path as it is',
      async (prefixes) => {
        const { cable } = pairOf();
        const more = prefixes.split(' ').map((text) => {
          const [address = '', length] = text.split('/');
          return { ip: inner(address), length: Number(length) };
        });
        const allowedIps = [{ ip: INNER_B, length: 32 }, ...more];
        await pairOf().openA({ peers: [{ id: DEFAULT_PEER, innerIps: [INNER_B], allowedIps }] });
        await pairOf().openB();
        await pairOf().admitBoth();
        expect(await cable.pings(cable.a, INNER_B)).toBe(true);
        expect(await cable.sure(cable.a, 'ip', 'route', 'get', B.ip)).toContain('dev v0');
        const ours = await cable.sure(cable.a, 'ip', 'route', 'show', 'proto', '148');
        expect(
          ours
            .trim()
            .split('\n')
            .map((line) => line.split(' ')[0]),
        ).toEqual([INNER_B]);
      },
    );

    test('a full-sized inner packet fits, a larger one is answered by the kernel', async () => {
      const { a, cable } = pairOf();
      await pairOf().openBoth();
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
      const { cable } = pairOf();
      using tap = NamespaceSocket.tapAll(cable.b);
      await pairOf().openBoth({ udpChecksum: checksum });
      expect(await cable.pings(cable.a, INNER_B)).toBe(true);
      const packets = tunnelled(tap.received(), A.ip);
      expect(packets.length).toBeGreaterThan(0);
      for (const packet of packets) {
        expect(packet.header.dontFragment).toBe(true);
        expect(packet.checksum !== 0).toBe(checksum);
        const inner = decodeIpv4Header(packet.payload, decodeInnerIpv4);
        expect(inner).toMatchObject({ ok: true, value: { source: INNER_A, destination: INNER_B } });
      }
    });
  });
}

/** Who is carried, and whose packets go up instead. */
export function describeAdmission(pairOf: () => PlanePair): void {
  test('an evicted peer is carried no more, either way', async () => {
    const pair = pairOf();
    const { a, b, cable } = pair;
    await pair.openBoth();
    expect(await cable.pings(cable.a, INNER_B)).toBe(true);
    await b.evict();
    const before = await pair.arrivedInB();
    await a.send({ path: A_TO_B, payload: innerEcho(INNER_A, INNER_B), ttl: undefined });
    await pair.heardInB(1);
    expect(await pair.arrivedInB()).toBe(before);
    expect((await cable.exec(cable.b, 'ping', '-c1', '-W1', INNER_A)).code).not.toBe(0);
    expect((await b.counters()).txPackets).toBe(1n);
    // ping sends again when the device does not take a packet.
    expect((await b.describe()).refused['no-peer']).toBeGreaterThan(0n);
  });

  test('what is meant for a peer that is not admitted never leaves in clear', async () => {
    const { a, b, cable } = pairOf();
    await pairOf().openBoth();
    await b.evict();
    await cable.sure(cable.b, 'ip', 'route', 'add', 'default', 'via', A.ip);
    using tap = NamespaceSocket.tapAll(cable.a);
    await cable.exec(cable.b, 'ping', '-c1', '-W1', INNER_A);
    // What is seen once more is seen by then.
    await cable.exec(cable.b, 'ping', '-c1', '-W5', A.ip);
    const destinations = tap.received().flatMap((packet) => {
      const header = decodeIpv4Header(packet, decodeInnerIpv4);
      return header.ok ? [String(header.value.destination)] : [];
    });
    await cable.sure(cable.b, 'ip', 'route', 'del', 'default');
    expect(destinations).toContain(A.ip);
    expect(destinations).not.toContain(INNER_A);
    expect((await a.counters()).rxPackets).toBe(0n);
  });

  test('a re-pointed peer gets everything at its new address and port', async () => {
    const pair = pairOf();
    const { a, b, cable } = pair;
    await pair.openBoth();
    expect(await cable.pings(cable.b, INNER_A)).toBe(true);
    const moved = { ip: ip('10.9.0.3'), port: port(20_000) };
    using roamer = NamespaceSocket.udp(cable.a, moved);
    await b.admit({ local: B, remote: moved });
    await cable.exec(cable.b, 'ping', '-c1', '-W1', INNER_A);
    const [packet] = roamer.received();
    expect(decodeIpv4Header(packet ?? new Uint8Array(), decodeInnerIpv4)).toMatchObject({
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

  test.each([
    { what: 'another port', from: { ip: A.ip, port: port(20_000) }, to: B },
    { what: 'another address', from: { ip: ip('10.9.0.3'), port: port(10_000) }, to: B },
    {
      what: 'another local address',
      from: { ip: ip('10.9.0.3'), port: port(20_000) },
      to: { ip: ip('10.9.0.4'), port: port(10_000) },
    },
  ])('an inner packet from $what never reaches the device', async ({ from, to }) => {
    const pair = pairOf();
    const { a, b, cable } = pair;
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
    const { b, cable } = pair;
    const before = await pair.stateOfB();
    await pair.openBoth();
    expect(await cable.pings(cable.b, INNER_A)).toBe(true);
    await cable.sure(cable.b, ...argv);
    await eventually(() => {
      expect(b.events).toContainEqual({ event: 'disturbed', what: said, repaired: true });
    });
    expect(await cable.pings(cable.a, INNER_B)).toBe(true);
    expect(await cable.pings(cable.b, INNER_A)).toBe(true);
    expect(b.events.filter(({ event }) => event === 'failed')).toEqual([]);
    expect((await b.counters()).rxPackets).toBeGreaterThan(2n);
    await b.close('remove');
    expect(await pair.stateOfB()).toBe(before);
  });
}

/** What comes of a config. */
export function describeOpening(pairOf: () => PlanePair): void {
  test('device, addresses and MTU are as configured', async () => {
    const pair = pairOf();
    const { a, cable } = pair;
    await pair.openA({ device: 'tun-test-longer', mtu: 1300, outerDevice: 'v0' });
    const shown = await cable.sure(cable.a, 'ip', '-j', '-4', 'addr', 'show', 'tun-test-longer');
    const [link] = JSON.parse(shown) as [unknown];
    expect(link).toMatchObject({
      mtu: 1300,
      flags: expect.arrayContaining(['UP', 'NOARP']) as unknown,
      addr_info: [{ local: INNER_A, address: INNER_B, prefixlen: 32 }],
    });
    await a.refresh();
    expect((await a.describe()).mtu).toBe(1300);
  });

  test.each([
    {
      what: 'a foreign address',
      options: { localIp: ip('10.9.0.9') },
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
