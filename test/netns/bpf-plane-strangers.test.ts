/*
 * What strangers can make the bpf plane do, by a network device and round it. Topology: the drawings at the
 * heads of test/rig/plane-pair.ts and test/rig/two-hosts.ts.
 */
import { describe, expect, test } from 'vitest';
import { inside } from '../../src/adapters/lab/namespaces.ts';
import { Program } from '../../src/adapters/lab/process.ts';
import { OUTER_ERROR_RATE, PROGRAM_RATES } from '../../src/core/budgets.ts';
import { concatBytes } from '../../src/core/bytes.ts';
import { port } from '../../src/core/units.ts';
import { ip } from '../rig/addresses.ts';
import { floodCommand, floodSent, type FloodSpec } from '../rig/flood.ts';
import { NamespaceSocket } from '../rig/namespace-sockets.ts';
import { A, B, B_TO_A, eventually, INNER_A, onePair, type PlanePair } from '../rig/plane-pair.ts';
import type { TwoHosts } from '../rig/two-hosts.ts';

let pair: PlanePair;
let cable: TwoHosts;

onePair('bpf', (made) => {
  pair = made;
  ({ cable } = made);
});

const HINT = Uint8Array.of(0xd7, 1, 2, 3, 4, 5, 6, 7);
const REQUEST = 85;
const KEYED = { id: 'keyed' as never, innerIps: [INNER_A], allowedIps: 'any', hint: HINT } as const;

/** Sends a flood from a to b to its end; how many seconds it took at most. */
async function flood(spec: Partial<FloodSpec>): Promise<number> {
  const mac = await cable.sure(cable.b, 'cat', '/sys/class/net/v0/address');
  const whole = { device: 'v0', mac: mac.trim(), to: B, rate: 0, sources: 1000, ...spec };
  const from = performance.now();
  const argv = floodCommand({ packets: 'requests', count: 20_000, ...whole });
  await using sender = new Program(inside(cable.a, argv));
  expect(await floodSent(sender, false)).toBe(whole.count ?? 20_000);
  return (performance.now() - from) / 1000;
}

/** The most that may pass in so many seconds; two processors may take one token twice. */
function most(seconds: number, rates: readonly { perSecond: number; burst: number }[]): number {
  return rates.reduce((sum, { perSecond, burst }) => sum + 2 * (burst + perSecond * seconds), 0);
}

describe('a flood of requests', () => {
  test('of random hints is refused, and one with the hint of a key is heard meanwhile', async () => {
    await pair.openB({ peers: [KEYED] }, [REQUEST]);
    const seconds = await flood({});
    const heard = pair.b.packets().length;
    expect(heard).toBeLessThan(most(seconds, [PROGRAM_RATES.strangerAll]));
    expect((await pair.b.describe()).refused['stranger-all']).toBeGreaterThan(10_000n);
    using client = NamespaceSocket.udp(cable.a, { ip: A.ip, port: port(20_000) });
    client.send(B, requestWith(HINT));
    await eventually(() => {
      expect(pair.b.packets().at(-1)?.path.remote.port).toBe(20_000);
    });
  });

  test('with the hint of a key, from one source, leaves its owner a way in', async () => {
    await pair.openB({ peers: [KEYED] }, [REQUEST]);
    await flood({ hint: Buffer.from(HINT).toString('hex'), source: ip('10.9.0.3') });
    using client = NamespaceSocket.udp(cable.a, { ip: A.ip, port: port(20_000) });
    client.send(B, requestWith(HINT));
    await eventually(() => {
      expect(pair.b.packets().at(-1)?.path.remote.port).toBe(20_000);
    });
  });

  test('does not reach those who were admitted before', async () => {
    await pair.openB({ peers: [{ ...KEYED, hint: undefined }] }, [REQUEST]);
    await pair.b.admit(B_TO_A, KEYED.id);
    await flood({});
    using client = NamespaceSocket.udp(cable.a, { ip: A.ip, port: port(20_000) });
    client.send(B, requestWith(new Uint8Array(8)));
    await eventually(() => {
      expect(pair.b.packets().at(-1)?.path.remote.port).toBe(20_000);
    });
  });
});

test('a request with a wrong checksum is not heard', async () => {
  await pair.openB({ peers: [KEYED] }, [REQUEST]);
  await flood({ count: 3, checksum: 0x1234 });
  using client = NamespaceSocket.udp(cable.a, { ip: A.ip, port: port(20_000) });
  client.send(B, requestWith(HINT));
  await pair.heardInB(1);
  expect(pair.b.packets().map(({ path }) => path.remote.port)).toEqual([20_000]);
});

function requestWith(hint: Uint8Array): Uint8Array {
  return concatBytes([new Uint8Array(73).fill(9), Uint8Array.of(1, 0, 8), hint, Uint8Array.of(0)]);
}

describe('ICMP errors about packets of ours', () => {
  const told = (): number => pair.b.events.filter(({ event }) => event === 'outerError').length;

  test('reach the owner within their budget, and others are heard meanwhile', async () => {
    await pair.openB({ peers: [KEYED] }, [REQUEST]);
    await pair.b.admit(B_TO_A, KEYED.id);
    const seconds = await flood({ packets: 'errors', about: A, count: 50_000 });
    expect(told()).toBeGreaterThan(0);
    expect(told()).toBeLessThan(most(seconds, [PROGRAM_RATES.errorPeer]));
    const { refused } = await pair.b.describe();
    expect(refused['outer-error']).toBeGreaterThan(40_000n);
  });

  test('that come by no device are few as well: the socket is deaf for a while', async () => {
    await pair.openB({ peers: [KEYED] }, [REQUEST]);
    const from = performance.now();
    const here = { device: 'lo', mac: '00:00:00:00:00:00' };
    const spec = { packets: 'errors', about: A, count: 50_000, rate: 0, sources: 1 } as const;
    await using sender = new Program(inside(cable.b, floodCommand({ ...spec, ...here, to: B })));
    expect(await floodSent(sender, false)).toBe(50_000);
    using client = NamespaceSocket.udp(cable.a, { ip: A.ip, port: port(20_000) });
    client.send(B, requestWith(HINT));
    await pair.heardInB(1);
    const seconds = (performance.now() - from) / 1000;
    expect(told()).toBeGreaterThan(0);
    expect(told()).toBeLessThan(most(seconds, [OUTER_ERROR_RATE]));
  });
});

describe('round the devices', () => {
  test.each([
    ['by the loopback device', {}, '127.0.0.1'],
    ["to the host's own address, with fou-dev", { outerDevice: 'v0' }, B.ip],
  ])('%s: what reaches the owner has a budget', async (_, options, address) => {
    await pair.openB({ peers: [KEYED], ...options }, [REQUEST]);
    using local = NamespaceSocket.udp(cable.b, { ip: ip('0.0.0.0'), port: port(20_000) });
    const from = performance.now();
    const to = { ip: ip(address), port: B.port };
    for (let sent = 0; sent < 5000; sent += 1) local.send(to, requestWith(new Uint8Array(8)));
    await eventually(async () => {
      expect((await pair.b.describe()).refused['aside']).toBeGreaterThan(4000n);
    });
    const seconds = (performance.now() - from) / 1000;
    expect(pair.b.packets().length).toBeGreaterThan(0);
    expect(pair.b.packets().length).toBeLessThan(most(seconds, [PROGRAM_RATES.aside]));
  });
});
