import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { inside, ipBatch } from '../../src/adapters/lab/namespaces.ts';
import { Program } from '../../src/adapters/lab/process.ts';
import { familyOf, hostPrefix, type InnerIp, type Path } from '../../src/core/addr.ts';
import type { PeerId } from '../../src/core/config/tunnel-config.ts';
import { DEFAULT_PEER } from '../../src/core/config/tunnel-config.ts';
import { AUTH_V1_LENGTHS } from '../../src/core/auth/trailer.ts';
import { port } from '../../src/core/units.ts';
import { inner } from '../rig/addresses.ts';
import { COMBINATIONS, endsOf, type Combination, type Ends } from '../rig/ends.ts';
import { NamespaceSocket } from '../rig/namespace-sockets.ts';
import type { HostOptions } from '../rig/plane-host.ts';
import { eventually, ofB, PlanePair } from '../rig/plane-pair.ts';
import { innerEcho } from '../rig/traffic.ts';
import { innerPacket } from '../rig/tunnelled.ts';
import { expectStreams, expectTcp, expectUdp } from '../rig/transfer.ts';

/*
 * The fou plane with both families, outside and inside, on the kernel's own devices. The drawings are at the
 * heads of test/rig/plane-pair.ts and two-hosts.ts. The guest is emulated: one pair of hosts is for all.
 */
const SIX: Combination = { outside: 'ipv6', inside: 'ipv6' };
const SIX_IN_FOUR: Combination = { outside: 'ipv4', inside: 'ipv6' };

let pair: PlanePair;

beforeAll(async () => {
  pair = await PlanePair.make({ a: 'fou', ends: endsOf(SIX) });
});

afterEach(() => pair.reset());

afterAll(() => pair[Symbol.asyncDispose]());

function ofA({ allOfA, allOfB }: Ends): HostOptions {
  const peers = [{ id: DEFAULT_PEER, innerIps: allOfB, allowedIps: 'any' }] as const;
  return { ips: allOfA, peers, role: 'client' };
}

/** Opens both sides and admits each to the other. */
async function openBoth(ends: Ends, options: Partial<HostOptions> = {}): Promise<void> {
  const { a, b } = pair;
  await Promise.all([
    a.open({ ...ofA(ends), ...options }, AUTH_V1_LENGTHS),
    b.open({ ...ofB(ends), ...options }, AUTH_V1_LENGTHS),
  ]);
  await Promise.all([a.admit(ends.aToB), b.admit(ends.bToA)]);
}

async function pingBoth({ innerA, innerB }: Pick<Ends, 'innerA' | 'innerB'>): Promise<void> {
  const { cable } = pair;
  expect(await cable.pings(cable.a, innerB), `a pings ${innerB}`).toBe(true);
  expect(await cable.pings(cable.b, innerA), `b pings ${innerA}`).toBe(true);
}

async function kindIn(namespace: string, device = 'ipipou0'): Promise<unknown> {
  const shown = await pair.cable.sure(namespace, 'ip', '-d', '-j', 'link', 'show', device);
  const [link] = JSON.parse(shown) as [{ linkinfo: { info_kind: string } }];
  return link.linkinfo.info_kind;
}

/** Everything of ours that can be left in b, of both families. */
async function allOfB(): Promise<string> {
  const { cable } = pair;
  const views = [
    ['nft', 'list', 'tables'],
    ['ip', 'fou', 'show'],
    ['ip', '-6', 'fou', 'show'],
    ['ip', '-6', 'route', 'show', 'table', 'main'],
  ];
  const shown = await Promise.all(views.map((argv) => cable.sure(cable.b, ...argv)));
  return [await pair.stateOfB(), ...shown].join('\n');
}

describe.each(COMBINATIONS)('$inside in $outside', ({ outside, inside: within }) => {
  const ends = endsOf({ outside, inside: within });

  test('goes both ways, by the devices of the kernel for it, and leaves nothing', async () => {
    const { a, b, cable } = pair;
    const before = await allOfB();
    await openBoth(ends);
    await pingBoth(ends);
    const kind = outside === 'ipv6' ? 'ip6tnl' : within === 'ipv6' ? 'sit' : 'ipip';
    expect([await kindIn(cable.a), await kindIn(cable.b)]).toEqual([kind, kind]);
    const most = ends.mtu - ends.header - 8;
    expect(await cable.pings(cable.a, ends.innerB, '-Mdo', `-s${most}`)).toBe(true);
    expect((await a.describePeer()).mtu).toBe(ends.mtu);
    await expectTcp(cable.a, cable.b, ends.innerB, 300_000);
    await expectTcp(cable.b, cable.a, ends.innerA, 300_000);
    if (outside !== within) await expectUdp(cable.a, cable.b, ends.innerB, most);
    if (outside === 'ipv6' && within === 'ipv6')
      await expectStreams(cable.a, cable.b, ends.innerB, { streams: 50, bytes: 20_000 });
    const { rxPackets, txPackets } = await b.counters();
    expect(rxPackets > 10n && txPackets > 10n).toBe(true);
    expect(Object.values((await b.describePeer()).refused)).not.toContainEqual(
      expect.toSatisfy((count: bigint) => count > 0n),
    );
    await b.close('remove');
    expect(await allOfB()).toBe(before);
  });
});

test('IPv6 outside goes with a checksum, or without one (RFC 6935)', async () => {
  const { a, b, cable } = pair;
  const ends = endsOf(SIX);
  for (const options of [{}, { udpChecksum: false }]) {
    await openBoth(ends, options);
    await pingBoth(ends);
    const shown = await cable.sure(cable.a, 'ip', '-d', 'link', 'show', 'ipipou0');
    expect(shown.includes(' encap-csum6')).toBe(!('udpChecksum' in options));
    await Promise.all([a.close('remove'), b.close('remove')]);
  }
});

describe('one side carries IPv6 and the other does not', () => {
  const ends = endsOf({ outside: 'ipv4', inside: 'ipv4' });
  const [four, both] = [ends, endsOf(SIX_IN_FOUR)];
  const withBoth = [
    { a: both.allOfA, b: four.allOfB, kinds: ['sit', 'ipip'] },
    { a: four.allOfA, b: both.allOfB, kinds: ['ipip', 'sit'] },
  ];

  test.each(withBoth)('$kinds speak to each other by IPv4', async ({ a, b, kinds }) => {
    const { cable } = pair;
    const peer = (innerIps: readonly InnerIp[]) =>
      [{ id: DEFAULT_PEER, innerIps, allowedIps: 'any' }] as const;
    await Promise.all([
      pair.a.open(
        { ...ofA(ends), ips: a, peers: peer(a.length === 2 ? both.allOfB : b) },
        AUTH_V1_LENGTHS,
      ),
      pair.b.open(
        { ...ofB(ends), ips: b, peers: peer(b.length === 2 ? both.allOfA : a) },
        AUTH_V1_LENGTHS,
      ),
    ]);
    await Promise.all([pair.a.admit(ends.aToB), pair.b.admit(ends.bToA)]);
    expect([await kindIn(cable.a), await kindIn(cable.b)]).toEqual(kinds);
    await pingBoth(ends);
    await expectTcp(cable.a, cable.b, ends.innerB, 100_000);
  });
});

test('a tunnel of IPv4 alone has nothing of IPv6', async () => {
  const { cable } = pair;
  await openBoth(endsOf({ outside: 'ipv4', inside: 'ipv4' }), { family: 'ipv4' });
  expect(await cable.sure(cable.b, 'nft', 'list', 'tables')).toBe('table ip ipipou\n');
  expect(await cable.sure(cable.b, 'ip', '-6', 'fou', 'show')).not.toContain('-6');
});

describe('a peer that moves', () => {
  /** Ends of both families whose inside is the same. */
  const four = endsOf(SIX_IN_FOUR);
  const six = { ...endsOf(SIX), allOfA: four.allOfA, allOfB: four.allOfB };

  test('is carried on over the other family, and back, and loses little', async () => {
    const { a, b, cable } = pair;
    await openBoth(four);
    await pingBoth(four);
    const ping = new Program(inside(cable.a, ['ping', '-i0.05', '-c400', '-W5', four.innerB]));
    await ping.waitFor(/icmp_seq=20 /);
    for (const there of [six, four]) {
      await Promise.all([a.admit(there.aToB), b.admit(there.bToA)]);
      const seen = ping.output().match(/icmp_seq/g)?.length ?? 0;
      await ping.waitFor((output) => (output.match(/icmp_seq/g)?.length ?? 0) > seen + 20);
      expect(await kindIn(cable.b)).toBe(there === six ? 'ip6tnl' : 'sit');
      expect((await b.describePeer()).mtu).toBe(there.mtu);
      expect((await b.counters()).rxPackets).toBeGreaterThan(20n);
    }
    const { stdout } = await ping.finished;
    const answered = Number(/ (\d+) received/.exec(stdout)?.[1]);
    // Both ends make another device: emulated, that takes some tenths of a second.
    expect(400 - answered, 'lost of 400 packets, 50 ms apart').toBeLessThan(60);
    const before = await cable.sure(cable.b, 'ip', '-6', 'route', 'get', String(four.innerA));
    expect(before).toContain('dev ipipou0');
    // IPv4 inside was there all the while, and is again.
    await pingBoth(endsOf({ outside: 'ipv4', inside: 'ipv4' }));
  });
});

describe('a second peer at one address of IPv6', () => {
  /** An echo request to b from an inner address, and whether the answer comes back the same way. */
  async function echoes(from: NamespaceSocket, ends: Ends, innerIp: InnerIp): Promise<void> {
    from.send(ends.b, innerEcho(innerIp, ends.innerB));
    await eventually(() => {
      const answers = from.received().map((packet) => innerPacket(packet));
      expect(answers).toContainEqual(
        expect.objectContaining({ source: ends.innerB, destination: innerIp }),
      );
    });
  }

  test('has an alternative address, which neither of them sees', async () => {
    const { b, cable } = pair;
    const ends = endsOf(SIX);
    const peers = ['fd28::11', 'fd28::12'].map((text, index) => {
      const ip = inner(text);
      const end = { ip: ends.a.ip, port: port(10_000 + index) };
      return { id: `p${index}` as PeerId, ip, innerIps: [ip], allowedIps: [hostPrefix(ip)], end };
    });
    await b.open(
      {
        ips: ends.allOfB,
        peers: peers.map(({ id, innerIps, allowedIps }) => ({ id, innerIps, allowedIps })),
      },
      AUTH_V1_LENGTHS,
    );
    for (const { id, end } of peers) await b.admit({ local: ends.b, remote: end }, id);
    const alts = await Promise.all(
      peers.map(async ({ id }) => (await b.describePeer(id)).localAlt),
    );
    expect(alts).toEqual([undefined, 'fd69:7069:706f:7500::']);
    // The sockets take nothing with a wrong checksum, or from another address than b's.
    for (const { ip, end } of peers) {
      using socket = NamespaceSocket.udp(cable.a, end);
      await echoes(socket, ends, ip);
    }
    // An address for new connections of others it is not.
    const lo = ['ip', '-6', 'addr', 'show', 'dev', 'lo', 'scope', 'global'];
    expect(await cable.sure(cable.b, ...lo)).toMatch(/fd69:7069:706f:7500::\/128.*deprecated/);
    await b.evict(peers[1]?.id);
    expect(await cable.sure(cable.b, ...lo)).toBe('');
  });
});

describe('after kill -9', () => {
  test.each([SIX, SIX_IN_FOUR])(
    'a peer of $inside in $outside is carried on, and adopted without a loss',
    async (combination) => {
      const { cable } = pair;
      const ends = endsOf(combination);
      await openBoth(ends);
      await pingBoth(ends);
      const ping = new Program(inside(cable.a, ['ping', '-i0.1', '-c300', '-W5', ends.innerB]));
      await ping.waitFor(/icmp_seq=5 /);
      pair.b = await pair.b.killedAndAgain();
      const adopted = await pair.b.open(ofB(ends), AUTH_V1_LENGTHS);
      expect(adopted).toEqual(new Map([[DEFAULT_PEER, ends.bToA]]));
      await pair.b.refresh();
      const { stdout } = await ping.stop('SIGINT');
      const [, sent = 0, came = 0] = /(\d+) packets transmitted, (\d+) received/.exec(stdout) ?? [];
      // One may be on its way when it ends.
      expect(Number(sent) - Number(came), stdout).toBeLessThanOrEqual(1);
      await pingBoth(ends);
    },
  );
});

describe('what others take away', () => {
  const ends = endsOf(SIX);

  const disturbances: readonly (readonly [what: string, argv: readonly string[]])[] = [
    ['tunnel device', ['ip', 'link', 'del', 'ipipou0']],
    ['tunnel device', ['ip', 'link', 'set', 'ipipou0', 'down']],
    ['address of the tunnel device', ['ip', '-6', 'addr', 'flush', 'dev', 'ipipou0']],
    ['route to a peer', ['ip', '-6', 'route', 'del', ends.innerA, 'dev', 'ipipou0']],
    ['nftables table ipipou', ['nft', 'delete', 'table', 'ip6', 'ipipou']],
    ['FOU port', ['ip', '-6', 'fou', 'del', 'port', '10000']],
  ];

  test('is put back', async () => {
    const { b, cable } = pair;
    await openBoth(ends);
    await pingBoth(ends);
    for (const [what, argv] of disturbances) {
      b.events.length = 0;
      await cable.sure(cable.b, ...argv);
      await eventually(async () => {
        // The port is looked at with the counters.
        await b.counters();
        expect(b.events, argv.join(' ')).toContainEqual({
          event: 'disturbed',
          what,
          repaired: true,
        });
      });
      await pingBoth(ends);
    }
  });
});

describe('the limit of a path', () => {
  const ends = endsOf(SIX_IN_FOUR);
  const four = endsOf({ outside: 'ipv4', inside: 'ipv4' });

  test('is on the routes of both families, and below 1280 takes IPv6 away until it is gone', async () => {
    const { b, cable } = pair;
    await openBoth(ends);
    const wayTo = async (ip: InnerIp) => {
      const flag = familyOf(ip) === 'ipv4' ? '-4' : '-6';
      const shown = await cable.exec(cable.b, 'ip', flag, 'route', 'get', ip);
      return shown.stdout + shown.stderr;
    };
    await b.limitMtu(1400);
    expect((await b.describePeer()).mtu).toBe(1400);
    for (const ip of [ends.innerA, four.innerA]) expect(await wayTo(ip)).toContain('mtu 1400');
    await pingBoth(ends);
    await b.limitMtu(1200);
    expect(await wayTo(four.innerA)).toContain('mtu 1200');
    expect(await wayTo(ends.innerA)).toMatch(/unreachable|No route/);
    expect(await cable.pings(cable.b, four.innerA)).toBe(true);
    await b.limitMtu(undefined);
    expect((await b.describePeer()).mtu).toBe(1472);
    await pingBoth(ends);
    await pingBoth(four);
  });
});

describe('who is not the peer', () => {
  test.each([SIX, SIX_IN_FOUR])('gets nothing of $inside in $outside in', async (combination) => {
    const { a, b, cable } = pair;
    const ends = endsOf(combination);
    await openBoth(ends);
    await pingBoth(ends);
    const arrived = async (): Promise<number> => {
      const { rxPackets } = await b.counters();
      return Number(rxPackets);
    };
    const before = await arrived();
    const payload = innerEcho(ends.innerA, ends.innerB);
    using otherPort = NamespaceSocket.udp(cable.a, { ...ends.a, port: port(20_000) });
    otherPort.send(ends.b, payload);
    using otherHost = NamespaceSocket.udp(cable.a, { ip: ends.otherA, port: port(20_001) });
    otherHost.send(ends.b, payload);
    // A header of GUE (version 0, no options, IPv6 behind it) from the admitted path.
    const gue = Uint8Array.of(0, 41, 0, 0, ...payload);
    await a.send({ path: ends.aToB, payload: gue, ttl: undefined });
    // Without UDP, between the same addresses.
    const [kind, mode] = combination.outside === 'ipv6' ? ['ip6tnl', 'any'] : ['sit', 'any'];
    await a.close('remove');
    const argv = `type ${kind} mode ${mode} local ${ends.a.ip} remote ${ends.b.ip}`;
    const limit = kind === 'ip6tnl' ? ' encaplimit none' : '';
    await ipBatch(cable.a, [
      `link add name bare0 ${argv}${limit}`,
      'link set bare0 up',
      `addr add fd28:9::1/64 dev bare0 nodad`,
      `route add ${ends.innerB}/128 dev bare0 src fd28:9::1`,
    ]);
    await cable.exec(cable.a, 'ping', '-c2', '-i0.2', '-W0.5', ends.innerB);
    await ipBatch(cable.a, ['link del bare0']);
    await eventually(async () => {
      const { refused } = await b.describe();
      expect(Number(refused['guard'] ?? 0n)).toBeGreaterThanOrEqual(2);
    });
    expect(await arrived()).toBe(before);
  });
});

test('a host that gets IPv6 later is reached by it then', async () => {
  const { b, cable } = pair;
  const ends = endsOf({ outside: 'ipv4', inside: 'ipv4' });
  await ipBatch(cable.b, ['-6 addr flush dev v0 scope global']).catch(() => undefined);
  await cable.exec(cable.b, 'ip', '-6', 'addr', 'flush', 'dev', 'v0');
  await b.open(ofB(ends), AUTH_V1_LENGTHS);
  const listeners = async () => cable.sure(cable.b, 'ip', '-6', 'fou', 'show');
  expect(await listeners()).not.toContain('-6');
  await ipBatch(cable.b, [
    'addr add 2001:db8:9::2/64 dev v0 nodad',
    'addr add 2001:db8:9::4/64 dev v0 nodad',
  ]);
  await eventually(async () => expect(await listeners()).toContain('port 10000 gue -6'));
  const path: Path = endsOf({ outside: 'ipv6', inside: 'ipv4' }).bToA;
  await b.admit(path);
  expect(await kindIn(cable.b)).toBe('ip6tnl');
});
