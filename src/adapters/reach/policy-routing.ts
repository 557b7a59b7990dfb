import { readFileSync } from 'node:fs';
import {
  bitsOf,
  familyOf,
  isHostOf,
  parseOuterIp,
  type Family,
  type OuterIp,
  type Prefix,
} from '../../core/addr.ts';
import { ROUTING_TABLE_FIRST } from '../../core/config/limits.ts';
import { DEFAULT_PEER, type PeerConfig } from '../../core/config/tunnel-config.ts';
import { NETLINK_ROUTE } from '../../core/netlink/message.ts';
import { RT_TABLE_MAIN } from '../../core/netlink/route.ts';
import { RTNLGRP_IPV4_RULE, RTNLGRP_IPV6_RULE, sameRule } from '../../core/netlink/rule.ts';
import {
  freePriority,
  isRoute,
  isSameKey,
  policyRoutes,
  policyRules,
  type PolicyRoutes,
} from '../../core/reach/policy.ts';
import { unusableBy } from '../../core/session/usable-address.ts';
import type { IfIndex } from '../../core/units.ts';
import type { ReachContext } from '../../ports/reach.ts';
import { watchRoutes } from '../netlink/monitor.ts';
import { openRouteNetlink, type RouteNetlink } from '../netlink/route.ts';
import { openNetlink } from '../netlink/socket.ts';
import { RepairTimer } from '../planes/repairs.ts';
import { RTPROT_IPIPOU } from '../planes/route-protocol.ts';
import { Serial } from '../planes/serial.ts';
import { readRecord, writeRecord, type RoutingRecord } from './record.ts';
import { loosen, restore } from './settings.ts';
import { requireTable } from './table-of-one.ts';

/** Addresses of the server's that are kept outside: more than a client tries at a time. */
const OUTSIDE_MAX = 16;
const FAMILIES: readonly Family[] = ['ipv4', 'ipv6'];
const WHAT = 'routing of allowed-ips';

type Peer = Pick<PeerConfig, 'id' | 'innerIps' | 'allowedIps'>;

/** Leads what `allowed-ips` names into the tunnel by a table of its own; core/reach/policy.ts says how. */
export class PolicyRouting {
  readonly #context: ReachContext;
  readonly #route: RouteNetlink = openRouteNetlink();
  readonly #serial = new Serial();
  readonly #timer = new RepairTimer((what) => void this.#repair(what));
  readonly #watches: { close(): void }[] = [];
  #record: RoutingRecord | undefined;
  #peer: Peer | undefined;
  /** Name servers, while a name is looked up. */
  #asked: readonly OuterIp[] = [];
  #lookUps = 0;
  /** The device that the routes led to when they were looked at last. */
  #ledTo: IfIndex | undefined;
  #told = false;

  private constructor(context: ReachContext) {
    this.#context = context;
  }

  /** Goes on from what an earlier run has left. Nothing is led into the tunnel yet. */
  static async open(context: ReachContext): Promise<PolicyRouting> {
    const routing = new PolicyRouting(context);
    try {
      await routing.#begin();
    } catch (error) {
      await routing.close().catch(() => undefined);
      throw error;
    }
    return routing;
  }

  async #begin(): Promise<void> {
    const { journal, config } = this.#context;
    const record = readRecord(journal).routing ?? (await this.#choose());
    writeRecord(journal, { routing: record });
    this.#record = record;
    this.#watches.push(
      watchRoutes((event) => {
        if (event.kind === 'link') {
          if (event.name === config.inner.device && event.up) void this.#follow();
        } else this.#timer.ask(WHAT);
      }),
      openNetlink({
        family: NETLINK_ROUTE,
        groups: [RTNLGRP_IPV4_RULE, RTNLGRP_IPV6_RULE],
        subject: 'rules of policy routing',
        onEvent: () => this.#timer.ask('rules of policy routing'),
      }),
    );
  }

  async #choose(): Promise<RoutingRecord> {
    const { table: wanted, inner } = this.#context.config;
    if (typeof wanted === 'number') {
      await requireTable(this.#route, wanted, { option: 'table', device: inner.device });
      return { table: wanted, priority: undefined, outside: [] };
    }
    const rules = (await Promise.all(FAMILIES.map((family) => this.#route.rules(family)))).flat();
    const taken = new Set([...rules, ...(await this.#route.routes())].map(({ table }) => table));
    let table = ROUTING_TABLE_FIRST;
    while (taken.has(table)) table += 1;
    return { table, priority: freePriority(rules.map(({ priority }) => priority)), outside: [] };
  }

  /** What is led into the tunnel: what this tunnel's peer is allowed, without its own addresses. */
  async lead(peers: readonly Peer[]): Promise<void> {
    const peer = peers.find(({ id }) => id === DEFAULT_PEER);
    if (peer === undefined) return;
    await this.#serial.run(async () => {
      this.#peer = peer;
      await this.#mend();
    });
  }

  /** Sees to it that what is sent to an address never goes into the tunnel. */
  async keepOutside(ip: OuterIp): Promise<void> {
    const { journal } = this.#context;
    await this.#serial.run(async () => {
      const record = this.#record;
      if (record === undefined) return;
      const others = record.outside.filter((one) => one !== ip);
      const outside = [...others, ip].slice(-OUTSIDE_MAX);
      this.#record = { ...record, outside };
      if (others.length < record.outside.length) return;
      writeRecord(journal, { routing: this.#record });
      await this.#mend();
    });
  }

  /** Does work that looks a name up: meanwhile this host's name servers are asked outside, as the server may have moved. */
  async lookingUp<T>(work: () => Promise<T>): Promise<T> {
    this.#lookUps += 1;
    try {
      await this.#ask(nameServers());
      return await work();
    } finally {
      this.#lookUps -= 1;
      if (this.#lookUps === 0) await this.#ask([]).catch(() => this.#timer.ask(WHAT));
    }
  }

  async #ask(servers: readonly OuterIp[]): Promise<void> {
    await this.#serial.run(async () => {
      this.#asked = servers;
      await this.#mend();
    });
  }

  /** What `show` says. */
  facts(): readonly string[] {
    const record = this.#record;
    const prefixes = this.#prefixes();
    if (record === undefined || prefixes.length === 0) return [];
    const led = prefixes.map(({ ip, length }) => `${ip}/${length}`).join(', ');
    const outside = record.outside.length === 0 ? '' : `, but ${record.outside.join(', ')}`;
    return [`${led} by routing table ${record.table}${outside}`];
  }

  /** Takes everything back. */
  async close(): Promise<void> {
    this.#timer.close();
    for (const watch of this.#watches.splice(0)) watch.close();
    try {
      await this.#serial.run(async () => {
        if (this.#record === undefined) return;
        this.#record = undefined;
        await takeAway(this.#route, this.#context);
      });
    } finally {
      this.#route.close();
    }
  }

  #prefixes(): readonly Prefix[] {
    const { allowedIps = [], innerIps = [] } = this.#peer ?? {};
    if (allowedIps === 'any') return [];
    return allowedIps.filter((prefix) => !isHostOf(prefix, innerIps));
  }

  /** The device is there (again). */
  async #follow(): Promise<void> {
    await this.#serial.run(() => this.#mend()).catch(() => this.#timer.ask(WHAT));
  }

  async #repair(what: string): Promise<void> {
    const { tell } = this.#context;
    try {
      if (await this.#serial.run(() => this.#mend())) {
        tell({ kind: 'disturbed', what, repaired: true });
      }
    } catch {
      tell({ kind: 'disturbed', what, repaired: false });
    }
  }

  /** Makes it all as it should be; whether something was missing that had been there. */
  async #mend(): Promise<boolean> {
    const record = this.#record;
    if (record === undefined || this.#peer === undefined) return false;
    const { config, tell } = this.#context;
    const prefixes = this.#prefixes();
    const link = await this.#route.linkByName(config.inner.device);
    const device = link?.up === true ? link.index : undefined;
    const routes: PolicyRoutes = {
      table: record.table,
      protocol: RTPROT_IPIPOU,
      prefixes,
      outside: new Set([...record.outside, ...this.#asked]),
      device,
      mtu: device === undefined ? {} : await this.#waysOf(device),
    };
    // Before anything is known that has to stay outside, nothing is led in.
    const captured =
      record.outside.length === 0
        ? []
        : FAMILIES.filter((family) => prefixes.some(({ ip }) => familyOf(ip) === family));
    let mended = false;
    for (const family of FAMILIES) {
      const wanted = captured.includes(family) ? routes : { ...routes, prefixes: [], outside: [] };
      if (await this.#mendRoutes(family, wanted)) mended = true;
      if (await this.#mendRules(family, captured.includes(family), record)) mended = true;
    }
    const before = this.#ledTo;
    this.#ledTo = device;
    await this.#loosen(record.outside);
    if (!this.#told && captured.length > 0) {
      this.#told = true;
      const [fact = ''] = this.facts();
      tell({ kind: 'led-in', what: fact });
      return false;
    }
    return mended && before === device;
  }

  async #mendRoutes(family: Family, wanted: PolicyRoutes): Promise<boolean> {
    const { table, protocol } = wanted;
    const specs = policyRoutes(family, wanted);
    const there = await this.#route.routes({ family, table, protocol });
    let mended = false;
    for (const spec of specs) {
      if (there.some((one) => isRoute(one, spec))) continue;
      await this.#route.replaceRoute(spec);
      mended = true;
    }
    for (const { destination, prefix } of there) {
      if (specs.some((spec) => isSameKey(spec, { destination, prefix }))) continue;
      await this.#route.removeRoute({ destination, prefix, table, protocol });
    }
    return mended;
  }

  async #mendRules(family: Family, wanted: boolean, record: RoutingRecord): Promise<boolean> {
    const { table, priority } = record;
    if (priority === undefined) return false;
    if (!wanted) {
      await removeRules(this.#route, family, record);
      return false;
    }
    const there = await this.#route.rules(family);
    let mended = false;
    for (const rule of policyRules(family, { table, priority }, RTPROT_IPIPOU)) {
      if (there.some((one) => sameRule(one, rule))) continue;
      await this.#route.addRule(rule);
      mended = true;
    }
    return mended;
  }

  /** What the planes have found out of the way to the peer, as the routes to it tell. */
  async #waysOf(device: IfIndex): Promise<PolicyRoutes['mtu']> {
    const filter = { table: RT_TABLE_MAIN, protocol: RTPROT_IPIPOU };
    const routes = await this.#route.routes(filter);
    const ways: { [Name in Family]?: number | 'none' } = {};
    for (const ip of this.#peer?.innerIps ?? []) {
      const family = familyOf(ip);
      const own = routes.filter(
        (route) => route.destination === ip && route.prefix === bitsOf(family),
      );
      const way = own.find(({ oif, type }) => type === 'unicast' && oif === device);
      const blocked = way === undefined && own.some(({ type }) => type === 'unreachable');
      const mtu = blocked ? 'none' : way?.mtu;
      if (mtu !== undefined) ways[family] = mtu;
    }
    return ways;
  }

  /** The outer devices hear what routers say of our packets. */
  async #loosen(outside: readonly OuterIp[]): Promise<void> {
    if (this.#record?.priority === undefined) return;
    for (const ip of outside) {
      if (familyOf(ip) !== 'ipv4') continue;
      const way = await this.#route.routeTo(ip);
      const link = way && (await this.#route.linkByIndex(way.oif));
      if (link !== undefined && link.name !== 'lo') loosen(link.name, this.#context);
    }
  }
}

/** Takes away what a run that is dead has left. */
export async function cleanPolicyRouting(context: ReachContext): Promise<void> {
  using route = openRouteNetlink();
  await takeAway(route, context);
}

async function takeAway(route: RouteNetlink, context: ReachContext): Promise<void> {
  const { journal } = context;
  const { routing } = readRecord(journal);
  if (routing === undefined) return;
  const { table } = routing;
  for (const family of FAMILIES) {
    await removeRules(route, family, routing);
    for (const { destination, prefix } of await route.routes({
      family,
      table,
      protocol: RTPROT_IPIPOU,
    }))
      await route.removeRoute({ destination, prefix, table, protocol: RTPROT_IPIPOU });
  }
  restore(context);
  writeRecord(journal, { routing: undefined });
}

async function removeRules(
  route: RouteNetlink,
  family: Family,
  { table, priority }: RoutingRecord,
): Promise<void> {
  if (priority === undefined) return;
  const rules = policyRules(family, { table, priority }, RTPROT_IPIPOU);
  const there = await route.rules(family);
  for (const rule of rules.toReversed()) {
    if (there.some((one) => sameRule(one, rule) && one.protocol === RTPROT_IPIPOU))
      await route.removeRule(rule);
  }
}

/** Of /etc/resolv.conf (resolv.conf(5)), but for those of this host, which ask others by themselves. */
function nameServers(): readonly OuterIp[] {
  try {
    const text = readFileSync('/etc/resolv.conf', 'utf8');
    return [...text.matchAll(/^nameserver\s+(\S+)/gm)].flatMap(([, word = '']) => {
      const ip = parseOuterIp(word);
      return ip === undefined || unusableBy(ip) !== undefined ? [] : [ip];
    });
  } catch {
    // Without the file nobody is asked, or a server of this host.
    return [];
  }
}
