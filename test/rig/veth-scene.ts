import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, beforeEach } from 'vitest';
import {
  openRouteNetlink,
  type LinkStats,
  type RouteNetlink,
} from '../../src/adapters/netlink/route.ts';
import { parseOuterIp, type OuterIp } from '../../src/core/addr.ts';
import type { IfIndex } from '../../src/core/units.ts';
import { inNamespace } from './in-namespace.ts';

/*
 *   one namespace:   lo   d0 192.0.2.1/24 2001:db8::1/64 <- veth -> d1
 */

export const NS = `ipipou-nl-${process.pid}`;

export function run(script: string): string {
  const command = ['netns', 'exec', NS, 'bash', '-ec', script];
  return execFileSync('ip', command, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

export function ipJson(command: string): readonly Record<string, unknown>[] {
  return JSON.parse(run(`ip -j ${command}`)) as readonly Record<string, unknown>[];
}

export function addr(text: string): OuterIp {
  const ip = parseOuterIp(text);
  if (ip === undefined) throw new Error(text);
  return ip;
}

export async function indexOf(route: RouteNetlink, name: string): Promise<IfIndex> {
  const link = await route.linkByName(name);
  if (link === undefined) throw new Error(`no link ${name}`);
  return link.index;
}

export async function countersOf(route: RouteNetlink, name: string): Promise<LinkStats> {
  const stats = (await route.linkByName(name))?.stats;
  if (stats === undefined) throw new Error(`no counters of ${name}`);
  return stats;
}

export function open(): RouteNetlink {
  return inNamespace(NS, openRouteNetlink);
}

/** Made before the tests of the file that calls it, with new links for each, and taken down after. */
export function vethScene(): void {
  beforeAll(() => {
    execFileSync('ip', ['netns', 'add', NS]);
  });

  afterAll(() => {
    execFileSync('ip', ['netns', 'del', NS]);
  });

  beforeEach(() => {
    for (const { ifname } of ipJson('link show type veth')) {
      if (ifname === 'd0') run('ip link del d0');
    }
    run('ip link set lo up');
    run('ip link add d0 type veth peer name d1');
    run('ip addr add 192.0.2.1/24 dev d0');
    run('ip link set d0 addrgenmode none; ip link set d1 addrgenmode none');
    run('ip addr add 2001:db8::1/64 dev d0 nodad');
    run('ip link set d1 up');
    run('ip link set d0 up');
  });
}
