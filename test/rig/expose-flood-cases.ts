import path from 'node:path';
import process from 'node:process';
import { expect, test } from 'vitest';
import { port } from '../../src/core/units.ts';
import { PROJECT } from '../vm/rig/project.ts';
import { ip } from './addresses.ts';
import { clientConfig, serverConfig } from './expose-cases.ts';
import { floodCommand, floodSent, type FloodSpec } from './flood.ts';
import {
  SERVER,
  SERVER6,
  themselves,
  VISITORS,
  VISITORS6,
  type VisitorScene,
} from './visitor-scene.ts';

/** What comes and is no flood is less. */
const OTHERS = 200;

const CASES = [
  { to: SERVER, from: VISITORS },
  { to: SERVER6, from: VISITORS6 },
] as const;

/** Sends a flood by the visitors' network, and counts what of its port comes as far as to conntrack. */
export async function floodToConntrack(
  { base, visitor, sure }: VisitorScene,
  spec: Pick<FloodSpec, 'packets' | 'rate' | 'count' | 'sources' | 'to'>,
): Promise<number> {
  const { lab } = base;
  const behind = [
    'table inet behind {',
    'counter seen { }',
    `chain arriving { type filter hook prerouting priority -250; th dport ${spec.to.port} counter name seen; }`,
    '}',
  ].join('\n');
  await sure(lab.server, ['nft', behind]);
  const mac = (await sure(lab.server, ['cat', '/sys/class/net/v0/address'])).trim();
  const flood = lab.spawn(visitor, floodCommand({ device: 'v0', mac, ...spec }));
  await floodSent(flood, false);
  const counter = await sure(lab.server, ['nft', 'list', 'counter', 'inet', 'behind', 'seen']);
  await sure(lab.server, ['nft', 'delete', 'table', 'inet', 'behind']);
  return Number(/packets (\d+)/.exec(counter)?.[1]);
}

/** A flood of UDP with forged sources, `count` of them, at a service where one may begin a second. */
export function describeFloodOfUdp(plane: string, scene: VisitorScene, count: number): void {
  const { base, visitor, sure, visit, both } = scene;

  async function flooded({ to, from }: (typeof CASES)[number]): Promise<void> {
    const { lab } = base;
    const [old = '', late = ''] = from;
    const talker = lab.spawn(visitor, [
      process.execPath,
      ...[path.join(PROJECT, 'test/rig/talker.mjs'), to, '27015', old],
    ]);
    await talker.waitFor(/answered/);
    const before = performance.now();
    const seen = await floodToConntrack(scene, {
      ...{ packets: 'datagrams', rate: 20_000, count, sources: count },
      to: { ip: ip(to), port: port(27_015) },
    });
    const seconds = (performance.now() - before) / 1000;
    const { stdout } = await talker.stop();
    const [, sent, answered] = /^(\d+) sent, (\d+) answered$/m.exec(stdout) ?? [];
    // A queue on the way may be full of the flood.
    expect(Number(answered)).toBeGreaterThan(Number(sent) / 2);
    const most = Number(sent) + 1 + seconds + OTHERS;
    expect(most).toBeLessThan(count / 2);
    expect(seen).toBeGreaterThan(0);
    expect(seen).toBeLessThan(most);
    const entries = await sure(lab.server, ['cat', '/proc/sys/net/netfilter/nf_conntrack_count']);
    expect(Number(entries)).toBeLessThan(most);
    // Then, who comes.
    expect(await visit('udp/27015', { to, from: [late] })).toEqual(themselves([late]));
    expect(await visit('tcp/443', { to, from: [late] })).toEqual(themselves([late]));
  }

  test(`on ${plane} a flood of UDP ends before conntrack, and who is there goes on`, async () => {
    const { lab, hosts } = base;
    const daemons = await both(
      serverConfig(plane, 'expose tcp/443, udp/27015 rate 1'),
      clientConfig(plane),
    );
    for (const one of CASES) await flooded(one);
    const shown = (await hosts.run(lab.server, ['show', 'ipipou0'])).stdout;
    const [, refused] = /udp\/27015: \d+ connections?, (\d+) refused/.exec(shown) ?? [];
    expect(Number(refused), shown).toBeGreaterThan(count);
    expect(await daemons.server.stop()).toBe(0);
    expect(await daemons.client.stop()).toBe(0);
  });
}
