/*
 * What outlives a run, grows, is disturbed or too small where IPv6 is outside and inside; the same of IPv4 alone is in
 * bpf-plane-life.test.ts and bpf-plane-growth.test.ts. Topology: the drawings at the heads of test/rig/plane-pair.ts
 * and test/rig/two-hosts.ts.
 */
import { describe, expect, test } from 'vitest';
import { hostPrefix, type InnerIp } from '../../src/core/addr.ts';
import { inside } from '../../src/adapters/lab/namespaces.ts';
import { Program } from '../../src/adapters/lab/process.ts';
import { DEFAULT_PEER, type PeerId } from '../../src/core/config/tunnel-config.ts';
import { port } from '../../src/core/units.ts';
import { inner } from '../rig/addresses.ts';
import { COMBINATIONS, endsOf } from '../rig/ends.ts';
import { NamespaceSocket } from '../rig/namespace-sockets.ts';
import { describeRepair } from '../rig/plane-cases.ts';
import type { HostPeer } from '../rig/plane-host.ts';
import { eventually, ofB, pairForEach, type PlanePair } from '../rig/plane-pair.ts';
import { innerEcho } from '../rig/traffic.ts';

let pair: PlanePair;

describe.each(COMBINATIONS.slice(1))('$outside outside, $inside inside', (combination) => {
  const ends = endsOf(combination);
  const { innerA, innerB } = ends;
  pairForEach({ a: 'bpf', ends }, (made) => {
    pair = made;
  });

  test('after kill -9 the peer goes on, and the next run adopts without losing a packet', async () => {
    const { cable } = pair;
    await pair.openBoth();
    const pinging = new Program(inside(cable.a, ['ping', '-i', '0.01', '-c', '300', innerB]));
    await pinging.waitFor(/icmp_seq=20 /);
    const before = await pair.b.counters();
    pair.b = await pair.b.killedAndAgain();
    expect(await pair.b.open(ofB(ends))).toEqual(new Map([[DEFAULT_PEER, ends.bToA]]));
    const { stdout } = await pinging.finished;
    expect(stdout).toMatch(/300 packets transmitted, 300 received, 0% packet loss/);
    expect((await pair.b.counters()).rxPackets).toBeGreaterThan(before.rxPackets + 200n);
    expect((await pair.b.describe()).refused).toEqual({});
    const there = endsOf({ ...ends, outside: ends.outside === 'ipv4' ? 'ipv6' : 'ipv4' });
    await Promise.all([pair.a.close('remove'), pair.b.admit(there.bToA)]);
    pair.b = await pair.b.killedAndAgain();
    expect(await pair.b.open(ofB(ends))).toEqual(new Map([[DEFAULT_PEER, there.bToA]]));
  });

  test('a peer that has another inner address now is not adopted, nor one over a family that is not used', async () => {
    await pair.openBoth();
    pair.b = await pair.b.killedAndAgain();
    const other = [ends.inside === 'ipv4' ? inner('172.28.0.9') : inner('fd28::9')];
    const peers = [{ id: DEFAULT_PEER, innerIps: other, allowedIps: 'any' }] as const;
    expect(await pair.b.open({ ...ofB(ends), peers })).toEqual(new Map());
    await pair.b.admit(ends.bToA);
    pair.b = await pair.b.killedAndAgain();
    const family = ends.outside === 'ipv4' ? 'ipv6' : 'ipv4';
    expect(await pair.b.open({ ...ofB(ends), peers, family })).toEqual(new Map());
    await expect(pair.b.admit(ends.bToA)).rejects.toMatchObject({
      message: expect.stringContaining('family') as unknown,
    });
  });

  test('maps grow under a running ping', async () => {
    const { b, cable } = pair;
    await pair.openA();
    const peers = [{ id: DEFAULT_PEER, innerIps: ends.allOfA, allowedIps: 'any' }] as const;
    await b.open({ ...ofB(ends), peers });
    await pair.admitBoth();
    const pinging = new Program(inside(cable.a, ['ping', '-i', '0.01', '-c', '200', innerB]));
    await pinging.waitFor(/icmp_seq=20 /);
    const more = Array.from({ length: 600 }, (_, number) => manyOf(number, ends.inside));
    await b.configure(more);
    const remote = { ip: ends.otherA, port: port(20_001) };
    await b.admit({ local: ends.b, remote }, more[599]?.id);
    using client = NamespaceSocket.udp(cable.a, remote);
    client.send(ends.b, innerEcho(more[599]?.innerIps[0] ?? innerA, innerB));
    await eventually(() => expect(client.received()).toHaveLength(1));
    const { stdout } = await pinging.finished;
    expect(stdout).toMatch(/200 packets transmitted, 200 received, 0% packet loss/);
  });

  test('a full-sized packet of a peer with a smaller path is answered by the kernel', async () => {
    const { b, cable } = pair;
    await pair.openBoth();
    await b.limitMtu(1300);
    expect((await b.describePeer()).mtu).toBe(1300);
    const header = ends.header + 8;
    const sized = (mtu: number) => ['-Mdo', '-s', String(mtu - header)] as const;
    expect(await cable.pings(cable.b, innerA, ...sized(1300))).toBe(true);
    const larger = await cable.exec(cable.b, 'ping', '-c1', '-w1', ...sized(1301), innerA);
    expect(larger.code).not.toBe(0);
    expect(`${larger.stdout}${larger.stderr}`).toMatch(/message too long|mtu[=:] ?1300/i);
    await b.limitMtu(undefined);
    expect(await cable.pings(cable.b, innerA, ...sized(1301))).toBe(true);
  });
});

describe('what others do', () => {
  pairForEach({ a: 'bpf', ends: endsOf({ outside: 'ipv6', inside: 'ipv6' }) }, (made) => {
    pair = made;
  });
  describeRepair(() => pair);
});

describe('a path that takes less than IPv6 asks for', () => {
  const ends = endsOf({ outside: 'ipv4', inside: 'ipv6' });
  pairForEach({ a: 'bpf', ends }, (made) => {
    pair = made;
  });

  test('carries IPv4 alone, until it takes more again', async () => {
    const { b, cable } = pair;
    const [ipv4 = ends.innerA] = ends.allOfA;
    await pair.openBoth();
    await b.limitMtu(1200);
    const refused = await cable.exec(cable.b, 'ping', '-c1', '-W1', ends.innerA);
    expect(refused.code).not.toBe(0);
    expect(`${refused.stdout}${refused.stderr}`).toMatch(/unreachable|no route to host/i);
    expect(await cable.pings(cable.b, ipv4)).toBe(true);
    // What finds its way to the device all the same is refused there, and counted.
    await cable.sure(
      cable.b,
      ...['ip', '-6', 'route', 'replace', ends.innerA, 'dev', 'ipipou0', 'metric', '1'],
    );
    expect((await cable.exec(cable.b, 'ping', '-c1', '-W1', ends.innerA)).code).not.toBe(0);
    expect((await b.describe()).refused['no-ipv6']).toBeGreaterThan(0n);
    await cable.sure(
      cable.b,
      ...['ip', '-6', 'route', 'del', ends.innerA, 'dev', 'ipipou0', 'metric', '1'],
    );
    await b.limitMtu(1280);
    expect(await cable.pings(cable.b, ends.innerA, '-s', '1232')).toBe(true);
    expect(await cable.pings(cable.a, ends.innerB)).toBe(true);
  });
});

/** One of many peers inside of a family. */
function manyOf(number: number, family: 'ipv4' | 'ipv6'): HostPeer {
  const text = family === 'ipv4' ? `172.29.${number >> 8}.${number & 255}` : `fd29::${number + 1}`;
  const address: InnerIp = inner(text);
  return {
    id: `peer${number}` as PeerId,
    innerIps: [address],
    allowedIps: [hostPrefix(address)],
  };
}
