import { writeFileSync, readFileSync } from 'node:fs';
import { bitsOf, familyOf, type Family, type InnerIp, type Ip } from '../../core/addr.ts';
import { RETURN_TABLE_FIRST } from '../../core/config/limits.ts';
import { formatMark, type Mark } from '../../core/config/syntax-reach.ts';
import { NETLINK_ROUTE } from '../../core/netlink/message.ts';
import { plainPriority, type RouteSpec } from '../../core/netlink/route.ts';
import {
  RTNLGRP_IPV4_RULE,
  RTNLGRP_IPV6_RULE,
  sameRule,
  type RuleSpec,
} from '../../core/netlink/rule.ts';
import { unspecified } from '../../core/netlink/rtnetlink.ts';
import { ownTableName, removeTableScript } from '../../core/nft/own-table.ts';
import { returnScript, type Answerer } from '../../core/nft/return-rules.ts';
import { freeMark } from '../../core/reach/free-mark.ts';
import { sameValue } from '../../core/same-value.ts';
import type { IfIndex } from '../../core/units.ts';
import type { ReachContext } from '../../ports/reach.ts';
import { watchRoutes } from '../netlink/monitor.ts';
import { openRouteNetlink, type AddressSpec, type RouteNetlink } from '../netlink/route.ts';
import { openNetlink } from '../netlink/socket.ts';
import { openNft, type Nft } from '../nft/nft.ts';
import { RepairTimer } from '../planes/repairs.ts';
import { RTPROT_IPIPOU } from '../planes/route-protocol.ts';
import { Serial } from '../planes/serial.ts';
import { OwnTable } from './own-table.ts';
import { readRecord, writeRecord } from './record.ts';
import { requireTable } from './table-of-one.ts';

/*
 * The way back of what comes by the tunnel: its connections get a mark (core/nft/return-rules.ts), their answers
 * bear it, and a rule has them looked up in a table of their own, whose default route is the tunnel. Whoever answers
 * from the tunnel's own address and has no route at all finds one there too: that rule comes last.
 */

/** Before the rules that lead into the main table, and behind them. */
const FIRST = 14_800;
const LAST = 32_768;

type Way = { readonly table: number; readonly mark: Mark };

export class ReturnPath {
  readonly #context: ReachContext;
  readonly #families: readonly Family[];
  readonly #route: RouteNetlink = openRouteNetlink();
  readonly #nft: Nft;
  readonly #rules: OwnTable;
  readonly #serial = new Serial();
  readonly #timer: RepairTimer;
  readonly #watches: { close(): void }[] = [];
  #way: Way | undefined;
  /** The client's own addresses of the internet's. */
  #publicIps: readonly InnerIp[] = [];
  /** As the rules have them. */
  #answerers: readonly Answerer[] | undefined;

  private constructor(context: ReachContext) {
    const { config, tell } = context;
    this.#context = context;
    this.#families = config.inner.ips.map(familyOf);
    this.#nft = openNft();
    this.#rules = new OwnTable(ownTableName('return', config.inner.device), this.#nft, tell);
    this.#timer = new RepairTimer((what) => void this.#repair(what));
  }

  /** Makes it all; undone again where that fails. */
  static async open(context: ReachContext): Promise<ReturnPath> {
    const path = new ReturnPath(context);
    try {
      await path.#make();
    } catch (error) {
      await path.close().catch(() => undefined);
      throw error;
    }
    return path;
  }

  async #make(): Promise<void> {
    const { config, journal, tell } = this.#context;
    const way = readRecord(journal).returnPath ?? (await this.#choose());
    writeRecord(journal, { returnPath: way });
    this.#way = way;
    const { device } = config.inner;
    await this.#putRules(way);
    await this.#mend(way);
    this.#watches.push(
      watchRoutes((event) => {
        if (event.kind === 'overrun') this.#timer.ask('return path');
        else if (event.kind === 'link' && event.name === device && event.up) void this.#follow();
        else if (event.kind === 'route' && event.table === way.table) {
          if (event.change === 'delete') this.#timer.ask(`routing table ${way.table}`);
        } else if (event.kind !== 'link') this.#timer.ask('return path');
      }),
      openNetlink({
        family: NETLINK_ROUTE,
        groups: [RTNLGRP_IPV4_RULE, RTNLGRP_IPV6_RULE],
        subject: 'rules of policy routing',
        onEvent: () => this.#timer.ask('rules of policy routing'),
      }),
    );
    await this.#mend(way);
    tell({ kind: 'return-path', table: way.table, mark: formatMark(way.mark) });
  }

  /** Makes these, and no others, this host's own, by the tunnel. */
  take(ips: readonly InnerIp[]): Promise<void> {
    const { journal } = this.#context;
    return this.#serial.run(async () => {
      const gone = readRecord(journal).publicIps.filter((ip) => !ips.includes(ip));
      writeRecord(journal, { publicIps: [...gone, ...ips] });
      this.#publicIps = ips;
      await removeAddresses(this.#route, this.#context, gone);
      const way = this.#way;
      if (way === undefined) return;
      for (const family of FAMILIES) {
        for (const rule of await this.#route.rules(family)) {
          if (rule.table !== way.table || rule.protocol !== RTPROT_IPIPOU) continue;
          if (gone.some((ip) => rule.source?.ip === ip)) await this.#route.removeRule(rule);
        }
      }
      await this.#mend(way);
    });
  }

  facts(): readonly string[] {
    return this.#publicIps.map((ip) => `public address ${ip}`);
  }

  /** Takes everything back. */
  async close(): Promise<void> {
    this.#timer.close();
    for (const watch of this.#watches.splice(0)) watch.close();
    const way = this.#way;
    this.#way = undefined;
    try {
      if (way === undefined) return;
      await this.#serial.run(async () => this.#undo(way));
    } finally {
      this.#rules.close();
      this.#nft.close();
      this.#route.close();
    }
  }

  async #undo(way: Way): Promise<void> {
    this.#rules.remove();
    await removeAddresses(this.#route, this.#context, readRecord(this.#context.journal).publicIps);
    await removeWay(this.#route, this.#context, way);
  }

  /** A table and a mark that nobody uses, or those of the config. */
  async #choose(): Promise<Way> {
    const { returnPath, inner } = this.#context.config;
    if (returnPath?.table !== undefined) {
      const whose = { option: 'return-path-table', device: inner.device };
      await requireTable(this.#route, returnPath.table, whose);
    }
    const there = (await Promise.all(FAMILIES.map((family) => this.#route.rules(family)))).flat();
    const routes = await this.#route.routes();
    const tables = new Set([...there, ...routes].map(({ table }) => table));
    let table = RETURN_TABLE_FIRST;
    while (tables.has(table)) table += 1;
    return { table: returnPath?.table ?? table, mark: returnPath?.mark ?? freeMark(there) };
  }

  /** The rules of nftables, unless they are what they should be; others who change them are heard by OwnTable. */
  async #putRules({ mark }: Way): Promise<void> {
    const { device, ips } = this.#context.config.inner;
    const answerers: Answerer[] = [];
    for (const inner of [...ips, ...this.#publicIps]) {
      const chosen = (await this.#route.routeTo(ANYWHERE[familyOf(inner)]))?.source;
      if (chosen !== undefined) answerers.push({ inner, chosen });
    }
    if (this.#answerers !== undefined && sameValue(answerers, this.#answerers)) return;
    const table = this.#rules.name;
    this.#rules.put(() => returnScript({ table, device, mark, answerers }));
    this.#answerers = answerers;
  }

  /** Whether any was missing. */
  async #putAddresses(index: IfIndex): Promise<boolean> {
    if (this.#publicIps.length === 0) return false;
    const there = await this.#route.addresses({ index });
    const missing = this.#publicIps.filter((ip) => !there.some((one) => one.ip === ip));
    for (const ip of missing) await this.#route.addAddress(hostAddress(index, ip));
    return missing.length > 0;
  }

  /** The device is there (again). */
  async #follow(): Promise<void> {
    await this.#serial
      .run(async () => (this.#way ? this.#mend(this.#way) : false))
      .catch(() => this.#timer.ask('return path'));
  }

  async #repair(what: string): Promise<void> {
    const { tell } = this.#context;
    try {
      const mended = await this.#serial.run(async () =>
        this.#way ? this.#mend(this.#way) : false,
      );
      if (mended) tell({ kind: 'disturbed', what, repaired: true });
    } catch {
      tell({ kind: 'disturbed', what, repaired: false });
    }
  }

  /** Makes what is missing; whether anything was, while the device was there. */
  async #mend(way: Way): Promise<boolean> {
    const { device } = this.#context.config.inner;
    let mended = false;
    await this.#putRules(way);
    for (const family of this.#families) {
      const there = await this.#route.rules(family);
      for (const rule of rulesOf(this.#context, way, this.#publicIps, family)) {
        if (there.some((one) => sameRule(one, rule))) continue;
        await this.#route.addRule(rule);
        mended = true;
      }
    }
    const link = await this.#route.linkByName(device);
    if (link?.up !== true) return mended;
    if (await this.#putAddresses(link.index)) mended = true;
    for (const family of this.#families) {
      const [route] = await this.#route.routes({ family, table: way.table, oif: link.index });
      if (route !== undefined) continue;
      await this.#route.replaceRoute(defaultRoute(way, family, link.index));
      mended = true;
    }
    if (this.#families.includes('ipv4')) looseFilter(device);
    return mended;
  }
}

async function removeAddresses(
  route: RouteNetlink,
  { config, journal }: ReachContext,
  ips: readonly InnerIp[],
): Promise<void> {
  if (ips.length === 0) return;
  const link = await route.linkByName(config.inner.device);
  for (const ip of ips) {
    if (link) await route.removeAddress(hostAddress(link.index, ip));
  }
  const left = readRecord(journal).publicIps.filter((ip) => !ips.includes(ip));
  writeRecord(journal, { publicIps: left });
}

function hostAddress(index: IfIndex, ip: InnerIp): AddressSpec {
  return { index, ip, prefix: bitsOf(familyOf(ip)), noPrefixRoute: true, noDad: true };
}

/** Looked up, never sent to: what the route there has for a source, answers to anywhere have. */
const ANYWHERE = { ipv4: '1.1.1.1' as Ip, ipv6: '2606:4700:4700::1111' as Ip } as const;

const FAMILIES: readonly Family[] = ['ipv4', 'ipv6'];

/** Takes away what a run that is dead has left. */
export async function cleanReturnPath(context: ReachContext): Promise<void> {
  const way = readRecord(context.journal).returnPath;
  if (way === undefined) return;
  using nft = openNft();
  using route = openRouteNetlink();
  await removeAddresses(route, context, readRecord(context.journal).publicIps);
  nft.runScript(removeTableScript(ownTableName('return', context.config.inner.device)));
  await removeWay(route, context, way);
}

async function removeWay(route: RouteNetlink, context: ReachContext, way: Way): Promise<void> {
  // Of both families: the addresses inside may have changed since.
  for (const family of FAMILIES) {
    for (const rule of await route.rules(family)) {
      if (rule.table === way.table && rule.protocol === RTPROT_IPIPOU) await route.removeRule(rule);
    }
    // Where the device has gone its routes have, too.
    for (const { oif } of await route.routes({
      family,
      table: way.table,
      protocol: RTPROT_IPIPOU,
    }))
      if (oif !== undefined) await route.removeRoute(defaultRoute(way, family, oif));
  }
  writeRecord(context.journal, { returnPath: undefined });
}

function rulesOf(
  { config }: ReachContext,
  { table, mark }: Way,
  publicIps: readonly InnerIp[],
  family: Family,
): readonly RuleSpec[] {
  const common = { family, table, protocol: RTPROT_IPIPOU };
  const own = config.inner.ips.filter((ip) => familyOf(ip) === family);
  return [
    { ...common, priority: FIRST, mark },
    ...publicIps
      .filter((ip) => familyOf(ip) === family)
      .map((ip) => ({ ...common, priority: FIRST, source: { ip, length: bitsOf(family) } })),
    ...own.map((ip) => ({ ...common, priority: LAST, source: { ip, length: bitsOf(family) } })),
  ];
}

function defaultRoute({ table }: Way, family: Family, oif: IfIndex): RouteSpec {
  return {
    destination: unspecified(family),
    prefix: 0,
    oif,
    table,
    priority: plainPriority(family),
    protocol: RTPROT_IPIPOU,
  };
}

/**
 * Visitors come by the tunnel from where the default route does not lead: a filter that is strict would drop them.
 * Of this setting and that of all devices the kernel takes the larger one (ip-sysctl.rst), and 2 is loose.
 */
function looseFilter(device: string): void {
  const path = `/proc/sys/net/ipv4/conf/${device}/rp_filter`;
  try {
    if (readFileSync(path, 'utf8').trim() !== '2') writeFileSync(path, '2');
  } catch {
    // Gone again, or a container's read-only /proc/sys, where what runs it decides.
  }
}
