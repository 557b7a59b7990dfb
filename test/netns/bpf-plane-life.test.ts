/* Topology: the drawings at the heads of test/rig/plane-pair.ts and test/rig/two-hosts.ts. */
import { describe, expect, test } from 'vitest';
import { inside } from '../../src/adapters/lab/namespaces.ts';
import { Program } from '../../src/adapters/lab/process.ts';
import { DEFAULT_PEER, type PeerId } from '../../src/core/config/tunnel-config.ts';
import { port } from '../../src/core/units.ts';
import { NamespaceSocket } from '../rig/namespace-sockets.ts';
import { inner, ip } from '../rig/addresses.ts';
import { innerEcho } from '../rig/traffic.ts';
import {
  A,
  B,
  B_TO_A,
  eventually,
  INNER_A,
  INNER_B,
  OF_B,
  pairForEach,
  type PlanePair,
} from '../rig/plane-pair.ts';
import {
  describeOpening,
  describeOuterDevice,
  describeRepair,
  describeTakenPrefix,
} from '../rig/plane-cases.ts';
import { PlaneHost } from '../rig/plane-host.ts';
import type { TwoHosts } from '../rig/two-hosts.ts';

let pair: PlanePair;
let cable: TwoHosts;

pairForEach('bpf', (made) => {
  pair = made;
  ({ cable } = made);
});

/** A filter of somebody else, which lets everything by. */
function theirs(direction: 'ingress' | 'egress'): readonly string[] {
  const pass = ['bpf', 'bytecode', '1,6 0 0 4294967295,'];
  return ['tc', 'filter', 'add', 'dev', 'v0', direction, 'prio', '7', ...pass];
}

describe('after kill -9', () => {
  test('the peer goes on, strangers stay out, and the next run adopts without losing a packet', async () => {
    await pair.openBoth();
    const pinging = new Program(inside(cable.a, ['ping', '-i', '0.01', '-c', '400', INNER_B]));
    await pinging.waitFor(/icmp_seq=20 /);
    const before = await pair.b.counters();
    pair.b = await pair.b.killedAndAgain();
    using stranger = NamespaceSocket.udp(cable.a, { ip: ip('10.9.0.3'), port: port(20_000) });
    const arrived = await pair.arrivedInB();
    stranger.send(B, innerEcho(INNER_A, INNER_B, 100));
    await eventually(async () => {
      expect(await pair.arrivedInB()).toBeGreaterThan(arrived + 5);
    });
    expect(await pair.b.open(OF_B)).toEqual(new Map([[DEFAULT_PEER, B_TO_A]]));
    await pinging.waitFor(/icmp_seq=250 /);
    const { stdout } = await pinging.finished;
    expect(stdout).toMatch(/400 packets transmitted, 400 received, 0% packet loss/);
    // The counts went on, but for what came while they were taken over.
    const after = await pair.b.counters();
    expect(after.rxPackets).toBeGreaterThan(before.rxPackets + 300n);
    expect(after.rxPackets).toBeLessThanOrEqual(400n);
    expect((await pair.b.describe()).refused).toEqual({});
    await pair.b.evict();
    expect((await cable.exec(cable.a, 'ping', '-c1', '-W1', INNER_B)).code).not.toBe(0);
  });

  test('what is left is removed by clean, by the record alone', async () => {
    const before = await pair.stateOfB();
    await pair.openB();
    await pair.b.admit(B_TO_A);
    expect(await pair.stateOfB()).not.toBe(before);
    pair.b = await pair.b.killedAndAgain();
    expect(await pair.stateOfB()).not.toBe(before);
    await pair.b.clean(OF_B);
    expect(await pair.stateOfB()).toBe(before);
    await pair.b.clean(OF_B);
    expect(await pair.stateOfB()).toBe(before);
  });

  test('another port means another tunnel: nothing of the old one is adopted or left', async () => {
    const before = await pair.stateOfB();
    await pair.openB();
    await pair.b.admit(B_TO_A);
    pair.b = await pair.b.killedAndAgain();
    expect(await pair.b.open({ ...OF_B, localPort: 10_001 })).toEqual(new Map());
    await pair.b.close('remove');
    expect(await pair.stateOfB()).toBe(before);
  });

  test.each([
    { what: 'another name', change: { id: 'other' as PeerId } },
    { what: 'another inner address', change: { innerIps: [inner('172.28.0.9')] } },
  ])('a peer that has $what now is not adopted', async ({ change }) => {
    const [peer] = OF_B.peers;
    if (!peer) throw new Error('b has no peer');
    await pair.openBoth();
    pair.b = await pair.b.killedAndAgain();
    expect(await pair.b.open({ ...OF_B, peers: [{ ...peer, ...change }] })).toEqual(new Map());
    expect((await cable.exec(cable.a, 'ping', '-c1', '-W1', INNER_B)).code).not.toBe(0);
  });

  test('a device whose record is lost is made anew; whose its qdisc was is not known', async () => {
    await cable.sure(cable.b, 'tc', 'qdisc', 'add', 'dev', 'v0', 'clsact');
    const before = await pair.stateOfB();
    await pair.openB();
    await pair.b.admit(B_TO_A);
    await pair.b.kill();
    await pair.b[Symbol.asyncDispose]();
    pair.b = await PlaneHost.in(cable.b, 'bpf');
    expect(await pair.b.open(OF_B)).toEqual(new Map());
    await pair.b.close('remove');
    expect(await pair.stateOfB()).toBe(before);
  });
});

describe('what others do', () => {
  describeRepair(
    () => pair,
    [
      {
        what: 'far end deleted',
        argv: ['ip', 'link', 'del', 'ipipou0-far'],
        said: 'tunnel device',
      },
      {
        what: 'route removed',
        argv: ['ip', 'route', 'del', INNER_A, 'dev', 'ipipou0'],
        said: 'routes of the tunnel device',
      },
      {
        what: 'filter of the device removed',
        argv: ['tc', 'filter', 'del', 'dev', 'ipipou0', 'egress'],
        said: 'tc filter of ipipou0',
      },
      {
        what: 'filter of the outer device removed',
        argv: ['tc', 'filter', 'del', 'dev', 'v0', 'ingress'],
        said: 'tc filter of v0',
      },
      {
        what: 'qdisc of the outer device removed',
        argv: ['tc', 'qdisc', 'del', 'dev', 'v0', 'clsact'],
        said: 'tc filter of v0',
      },
    ],
  );

  test('a smaller outer MTU reaches the device, and a larger one again', async () => {
    await pair.openBoth();
    for (const [outer, inner] of [
      [1300, 1272],
      [1500, 1472],
    ] as const) {
      await cable.sure(cable.a, 'ip', 'link', 'set', 'v0', 'mtu', String(outer));
      await cable.sure(cable.b, 'ip', 'link', 'set', 'v0', 'mtu', String(outer));
      await eventually(async () => {
        expect((await pair.a.describe()).mtu).toBe(inner);
        expect((await pair.b.describe()).mtu).toBe(inner);
        expect((await pair.b.describePeer()).mtu).toBe(inner);
      });
      expect(await cable.pings(cable.a, INNER_B, '-Mdo', '-s', String(inner - 28))).toBe(true);
    }
  });

  test('a route of its own to a peer says its MTU, and how packets leave', async () => {
    await pair.openBoth();
    await cable.sure(cable.b, 'ip', 'route', 'add', A.ip, 'dev', 'v0', 'mtu', '1200');
    await eventually(async () => {
      expect((await pair.b.describePeer()).mtu).toBe(1172);
    });
    await cable.sure(cable.b, 'ip', 'route', 'del', A.ip, 'dev', 'v0');
    await pair.b.refresh();
    expect((await pair.b.describePeer()).mtu).toBe(1472);
    expect(await cable.pings(cable.b, INNER_A)).toBe(true);
  });

  describeOuterDevice(() => pair);

  describeTakenPrefix(() => pair);

  test('a device that gets an address is an outer device, until it goes', async () => {
    await pair.openBoth();
    await cable.sure(cable.b, 'ip', 'link', 'add', 'w0', 'type', 'veth', 'peer', 'name', 'w1');
    const shown = async (): Promise<string> =>
      cable.sure(cable.b, 'tc', 'filter', 'show', 'dev', 'w0', 'ingress');
    expect(await shown()).toBe('');
    await cable.sure(cable.b, 'ip', 'addr', 'add', '10.10.0.1/24', 'dev', 'w0');
    await eventually(async () => {
      expect(await shown()).toMatch(/name ipipou_decap_et /);
    });
    await cable.sure(cable.b, 'ip', 'addr', 'del', '10.10.0.1/24', 'dev', 'w0');
    await eventually(async () => {
      expect(await shown()).toBe('');
      expect(await cable.sure(cable.b, 'tc', 'qdisc', 'show', 'dev', 'w0')).not.toMatch(/clsact/);
    });
    await cable.sure(cable.b, 'ip', 'link', 'del', 'w0');
    expect(await cable.pings(cable.a, INNER_B)).toBe(true);
    // One record at the start, and one for every device that came or went: v0, w0, and w0 again.
    expect(await pair.b.saves()).toBe(4);
  });
});

describe('opening and closing', () => {
  test('close(remove) leaves namespace and process as they were', async () => {
    const before = await pair.stateOfB();
    // What the runtime opens once and keeps shows up in the first round only.
    await pair.openB();
    await pair.b.close('remove');
    const settled = await pair.b.descriptors();
    await pair.openB();
    await pair.b.admit(B_TO_A);
    await pair.b.close('remove');
    expect(await pair.stateOfB()).toBe(before);
    expect(await pair.b.descriptors()).toEqual(settled);
  });

  test('close(leave) lets go of user space and leaves the peer forwarded', async () => {
    await pair.openBoth();
    await pair.b.close('leave');
    expect(await cable.pings(cable.a, INNER_B)).toBe(true);
    expect(await pair.b.open(OF_B)).toEqual(new Map([[DEFAULT_PEER, B_TO_A]]));
    expect(await cable.pings(cable.a, INNER_B)).toBe(true);
  });

  test("other people's qdisc and filters stay", async () => {
    await cable.sure(cable.b, 'tc', 'qdisc', 'add', 'dev', 'v0', 'clsact');
    await cable.sure(cable.b, ...theirs('ingress'));
    const before = await pair.stateOfB();
    await pair.openB();
    await pair.b.close('remove');
    expect(await pair.stateOfB()).toBe(before);
  });

  test('a filter that somebody adds keeps the qdisc that we made', async () => {
    await pair.openB();
    await cable.sure(cable.b, ...theirs('egress'));
    await pair.b.close('remove');
    expect(await cable.sure(cable.b, 'tc', 'filter', 'show', 'dev', 'v0', 'egress')).toMatch(
      /pref 7 bpf/,
    );
    expect(await cable.sure(cable.b, 'tc', 'filter', 'show', 'dev', 'v0', 'ingress')).toBe('');
  });

  describeOpening(() => pair);

  test('a taken name is refused, and nothing is left', async () => {
    const taken = ['ip', 'link', 'add', 'ipipou0', 'type', 'veth', 'peer', 'name', 'other'];
    await cable.sure(cable.b, ...taken);
    const before = await pair.stateOfB();
    await expect(pair.openB()).rejects.toMatchObject({
      exit: 'link',
      errno: 'EEXIST',
      hint: expect.stringContaining('tunl-dev') as unknown,
    });
    expect(await pair.stateOfB()).toBe(before);
  });

  test('a taken port is refused, and what an earlier run left goes on', async () => {
    await pair.openBoth();
    pair.b = await pair.b.killedAndAgain();
    using _holder = NamespaceSocket.udp(cable.b, B);
    await expect(pair.openB()).rejects.toMatchObject({ exit: 'fou', errno: 'EADDRINUSE' });
    expect(await cable.pings(cable.a, INNER_B)).toBe(true);
  });

  test('a port that is taken in IPv6 is no end of IPv4', async () => {
    using _holder = NamespaceSocket.udp(cable.b, { ...B, ip: ip('::1') });
    await pair.openBoth();
    expect(await cable.pings(cable.a, INNER_B)).toBe(true);
  });

  test('what the plane needs is there', async () => {
    const requirements = await pair.b.probe();
    expect(requirements.map(({ met, detail }) => [met, detail])).toEqual([
      [true, 'CAP_NET_ADMIN is there'],
      [true, 'libbpf.so.1 opened'],
      [true, expect.stringMatching(/ipipou\.bpf\.o$/)],
      [true, 'loaded them'],
    ]);
  });
});
