/*
 * A run of today takes over from one whose programs are of an earlier version. Topology: the drawings at the heads of
 * test/rig/plane-pair.ts and test/rig/two-hosts.ts.
 */
import { expect, test } from 'vitest';
import { inside } from '../../src/adapters/lab/namespaces.ts';
import { Program } from '../../src/adapters/lab/process.ts';
import { openRouteNetlink } from '../../src/adapters/netlink/route.ts';
import { DEFAULT_PEER } from '../../src/core/config/tunnel-config.ts';
import { hangFormer, type Hung } from '../rig/former-programs.ts';
import { inNamespace } from '../rig/in-namespace.ts';
import { inner } from '../rig/addresses.ts';
import {
  B_TO_A,
  eventually,
  INNER_A,
  INNER_B,
  OF_B,
  pairForEach,
  type PlanePair,
} from '../rig/plane-pair.ts';

let pair: PlanePair;

pairForEach('bpf', (made) => {
  pair = made;
});

/** The hooks of b's tunnel. */
async function hooksOfB(): Promise<readonly Hung[]> {
  using netlink = inNamespace(pair.cable.b, () => openRouteNetlink());
  const places = [
    ['ipipou0', 'egress', 'ipipou_encap'],
    ['ipipou0-far', 'ingress', 'ipipou_encap'],
    ['v0', 'ingress', 'ipipou_decap_eth'],
  ] as const;
  return await Promise.all(
    places.map(async ([name, direction, program]) => {
      const link = await netlink.linkByName(name);
      if (!link) throw new Error(`no device ${name}`);
      return { hook: { device: link.index, direction, handle: 10_000 }, program };
    }),
  );
}

test.each([1, 2, 3] as const)(
  'peers of version %i go on without losing a packet',
  async (version) => {
    const { cable } = pair;
    await pair.openBoth();
    expect(await cable.pings(cable.a, INNER_B)).toBe(true);
    pair.b = await pair.b.killedAndAgain();
    const hung = await hooksOfB();
    inNamespace(cable.b, () => {
      hangFormer(version, hung);
    });
    const pinging = new Program(inside(cable.a, ['ping', '-i', '0.01', '-c', '300', INNER_B]));
    await pinging.waitFor(/icmp_seq=20 /);
    expect(await pair.b.open(OF_B)).toEqual(new Map([[DEFAULT_PEER, B_TO_A]]));
    const { stdout } = await pinging.finished;
    expect(stdout).toMatch(/300 packets transmitted, 300 received, 0% packet loss/);
    // The counts went on, but for what came while they were taken over.
    expect((await pair.b.counters()).rxPackets).toBeGreaterThan(200n);
    expect((await pair.b.counters()).rxPackets).toBeLessThanOrEqual(301n);
    expect(await cable.pings(cable.b, INNER_A)).toBe(true);
    expect((await pair.b.describe()).refused).toEqual({});
  },
);

test('a peer that has an inner address of IPv6 by then has to come again', async () => {
  const { cable } = pair;
  await pair.openBoth();
  pair.b = await pair.b.killedAndAgain();
  const hung = await hooksOfB();
  inNamespace(cable.b, () => {
    hangFormer(2, hung);
  });
  const peers = [
    { id: DEFAULT_PEER, innerIps: [INNER_A, inner('fd28::1')], allowedIps: 'any' },
  ] as const;
  const ips = [INNER_B, inner('fd28::2')];
  expect(await pair.b.open({ ...OF_B, ips, peers })).toEqual(new Map());
  await pair.b.admit(B_TO_A);
  await eventually(async () => {
    expect(await cable.pings(cable.a, INNER_B)).toBe(true);
  });
});
