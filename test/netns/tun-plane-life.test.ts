/* Topology: the drawings at the heads of test/rig/plane-pair.ts and test/rig/two-hosts.ts. */
import { describe, expect, test } from 'vitest';
import { NamespaceSocket } from '../rig/namespace-sockets.ts';
import { ip } from '../rig/addresses.ts';
import {
  describeOpening,
  describeOuterDevice,
  describeRepair,
  describeTakenPrefix,
} from '../rig/plane-cases.ts';
import { PlaneHost } from '../rig/plane-host.ts';
import {
  A,
  A_TO_B,
  B_TO_A,
  eventually,
  INNER_B,
  OF_B,
  pairForEach,
  type PlanePair,
} from '../rig/plane-pair.ts';
import type { TwoHosts } from '../rig/two-hosts.ts';

const text = new TextEncoder();

let pair: PlanePair;
let cable: TwoHosts;
let a: PlaneHost;
let b: PlaneHost;

pairForEach('tun', (made) => {
  pair = made;
  ({ cable, a, b } = made);
});

describe('trouble outside', () => {
  test('an unreachable peer and a closed port do not end the loop', async () => {
    await pair.openBoth();
    await cable.sure(cable.a, 'ip', 'link', 'set', 'v0', 'down');
    expect((await cable.exec(cable.a, 'ping', '-c1', '-W1', INNER_B)).code).not.toBe(0);
    await expect(
      a.send({ path: A_TO_B, payload: text.encode('auth'), ttl: undefined }),
    ).rejects.toMatchObject({ exit: 'sendAuth', errno: 'ENETUNREACH' });
    await eventually(() => {
      expect(a.events).toContainEqual(
        expect.objectContaining({ event: 'log', text: 'a packet was lost' }),
      );
    });
    await cable.sure(cable.a, 'ip', 'link', 'set', 'v0', 'up');
    await b.close('remove');
    expect((await cable.exec(cable.a, 'ping', '-c2', '-i0.2', '-W1', INNER_B)).code).not.toBe(0);
    await pair.openB();
    await b.admit(B_TO_A);
    expect(await cable.pings(cable.a, INNER_B)).toBe(true);
  });

  test('a smaller outer MTU reaches the device by the packets that do not fit', async () => {
    await pair.openBoth();
    expect(await cable.pings(cable.a, INNER_B)).toBe(true);
    await cable.sure(cable.b, 'ip', 'link', 'set', 'v0', 'mtu', '1300');
    await cable.sure(cable.a, 'ip', 'link', 'set', 'v0', 'mtu', '1300');
    await cable.exec(cable.a, 'ping', '-c1', '-W1', '-s1400', INNER_B);
    await eventually(async () => {
      expect((await a.describe()).mtu).toBe(1272);
    });
    await b.refresh();
    expect((await b.describe()).mtu).toBe(1272);
    expect(await cable.pings(cable.a, INNER_B, '-s1400')).toBe(true);
  });

  describeRepair(() => pair);

  describeOuterDevice(() => pair);

  describeTakenPrefix(() => pair);

  test('a forwarding thread that ends is reported, and everything can still be closed', async () => {
    const before = await cable.state(cable.a);
    await pair.openA();
    await expect(a.crash()).rejects.toThrow(/forwarding thread ended/);
    expect(a.events).toContainEqual(expect.objectContaining({ event: 'failed' }));
    await a.close('remove');
    expect(await cable.state(cable.a)).toBe(before);
  });
});

describe('opening and closing', () => {
  test.each(['remove', 'leave'] as const)(
    'close(%s) leaves namespace and process as they were',
    async (mode) => {
      const before = [await cable.state(cable.a), await a.descriptors()] as const;
      // What the runtime opens once and keeps shows up in the first round only.
      await pair.openA();
      await a.close(mode);
      const settled = await a.descriptors();
      await pair.openA();
      await a.admit(A_TO_B);
      expect(await cable.state(cable.a)).not.toBe(before[0]);
      await a.close(mode);
      expect(await cable.state(cable.a)).toBe(before[0]);
      await eventually(async () => {
        expect(await a.descriptors()).toEqual(settled);
      });
      expect(settled.filter((name) => !before[1].includes(name))).toEqual([]);
    },
  );

  describeOpening(() => pair);

  test('the MTU of a server without a peer comes from its outer device', async () => {
    await cable.sure(cable.b, 'ip', 'link', 'set', 'v0', 'mtu', '1400');
    await pair.openB({ outerDevice: 'v0' });
    expect((await b.describe()).mtu).toBe(1372);
    await b.refresh();
    expect((await b.describe()).mtu).toBe(1372);
  });

  test('a taken name is refused with its holder, and nothing is left', async () => {
    await pair.openA();
    const other = await PlaneHost.in(cable.a, 'tun');
    try {
      await a.close('remove');
      await pair.openA({ localIps: [ip('10.9.0.3')] });
      const before = await cable.state(cable.a);
      await expect(other.open({ ...OF_B, localIps: [A.ip] })).rejects.toMatchObject({
        exit: 'link',
        errno: 'EEXIST',
        message: expect.stringMatching(/held by process [0-9]+ \(node/) as unknown,
        hint: expect.stringContaining('tunl-dev') as unknown,
      });
      expect(await cable.state(cable.a)).toBe(before);
    } finally {
      await other[Symbol.asyncDispose]();
    }
  });

  test('a taken port is refused, and nothing is left', async () => {
    using _holder = NamespaceSocket.udp(cable.a, A);
    const before = await cable.state(cable.a);
    await expect(pair.openA()).rejects.toMatchObject({
      exit: 'fou',
      errno: 'EADDRINUSE',
      hint: expect.stringContaining('fou-local-port') as unknown,
    });
    expect(await cable.state(cable.a)).toBe(before);
  });

  test('a port that is taken in IPv6 is no end of IPv4', async () => {
    using _holder = NamespaceSocket.udp(cable.a, { ...A, ip: ip('::1') });
    await pair.openBoth();
    expect(await cable.pings(cable.a, INNER_B)).toBe(true);
  });

  test('a process that exits without closing does so with its own code, and nothing is left', async () => {
    const before = await cable.state(cable.a);
    await pair.openA();
    expect(await a.exit(7)).toBe(7);
    expect(await cable.state(cable.a)).toBe(before);
  });

  test('what the plane needs is there', async () => {
    expect((await a.probe()).map(({ met }) => met)).toEqual([true, true]);
  });
});
