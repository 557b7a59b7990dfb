import { familyOf, type Family } from '../../core/addr.ts';
import type { Mark } from '../../core/config/syntax-reach.ts';
import { NETLINK_ROUTE } from '../../core/netlink/message.ts';
import { RT_TABLE_MAIN } from '../../core/netlink/route.ts';
import {
  RTNLGRP_IPV4_RULE,
  RTNLGRP_IPV6_RULE,
  sameRule,
  type RuleSpec,
} from '../../core/netlink/rule.ts';
import { besideScript } from '../../core/nft/beside-rules.ts';
import { ownTableName, removeTableScript } from '../../core/nft/own-table.ts';
import { freeMark, SECOND_MARK } from '../../core/reach/free-mark.ts';
import { freePriority, PRIORITY_BESIDE } from '../../core/reach/policy.ts';
import type { ReachContext } from '../../ports/reach.ts';
import { openRouteNetlink, type RouteNetlink } from '../netlink/route.ts';
import { openNetlink } from '../netlink/socket.ts';
import { openNft, type Nft } from '../nft/nft.ts';
import { RepairTimer } from '../planes/repairs.ts';
import { RTPROT_IPIPOU } from '../planes/route-protocol.ts';
import { Serial } from '../planes/serial.ts';
import { listeners } from './listeners.ts';
import { OwnTable } from './own-table.ts';
import { readRecord, writeRecord } from './record.ts';

const FAMILIES: readonly Family[] = ['ipv4', 'ipv6'];
const WHAT = 'answers beside the tunnel';

type Way = { readonly priority: number; readonly mark: Mark };

/** Has what came beside a tunnel that takes everything answered beside it; core/nft/beside-rules.ts says how. */
export class AnswersBeside {
  readonly #context: ReachContext;
  readonly #route: RouteNetlink = openRouteNetlink();
  readonly #nft: Nft = openNft();
  readonly #table: OwnTable;
  readonly #serial = new Serial();
  readonly #timer = new RepairTimer(() => void this.#repair());
  #watch: { close(): void } | undefined;
  #way: Way | undefined;

  private constructor(context: ReachContext) {
    this.#context = context;
    const name = ownTableName('beside', context.config.inner.device);
    this.#table = new OwnTable(name, this.#nft, context.tell);
  }

  /** Before anything is led into the tunnel. Goes on from what an earlier run has left. */
  static async open(context: ReachContext): Promise<AnswersBeside> {
    const beside = new AnswersBeside(context);
    try {
      await beside.#begin();
    } catch (error) {
      await beside.close().catch(() => undefined);
      throw error;
    }
    return beside;
  }

  async #begin(): Promise<void> {
    const { journal, config } = this.#context;
    const way = readRecord(journal).beside ?? (await this.#choose());
    writeRecord(journal, { beside: way });
    this.#way = way;
    const { device } = config.inner;
    const table = this.#table.name;
    this.#table.put(() => {
      const listening = listeners().tcp.map(({ port }) => port);
      return besideScript({ table, device, mark: way.mark, listening });
    });
    await this.#mend(way);
    this.#watch = openNetlink({
      family: NETLINK_ROUTE,
      groups: [RTNLGRP_IPV4_RULE, RTNLGRP_IPV6_RULE],
      subject: 'rules of policy routing',
      onEvent: () => this.#timer.ask(WHAT),
    });
  }

  async #choose(): Promise<Way> {
    const rules = (await Promise.all(FAMILIES.map((family) => this.#route.rules(family)))).flat();
    const taken = rules.map((rule) => rule.priority);
    const marks = [...rules, { mark: this.#context.config.returnPath?.mark }];
    return {
      priority: freePriority(taken, PRIORITY_BESIDE),
      mark: freeMark(marks, SECOND_MARK),
    };
  }

  /** Whether a rule was missing. */
  async #mend(way: Way): Promise<boolean> {
    let mended = false;
    for (const family of this.#context.config.inner.ips.map(familyOf)) {
      const rule = ruleOf(way, family);
      if ((await this.#route.rules(family)).some((one) => sameRule(one, rule))) continue;
      await this.#route.addRule(rule);
      mended = true;
    }
    return mended;
  }

  async #repair(): Promise<void> {
    const { tell } = this.#context;
    try {
      const mended = await this.#serial.run(async () =>
        this.#way ? this.#mend(this.#way) : false,
      );
      if (mended) tell({ kind: 'disturbed', what: WHAT, repaired: true });
    } catch {
      tell({ kind: 'disturbed', what: WHAT, repaired: false });
    }
  }

  /** Takes everything back. */
  async close(): Promise<void> {
    this.#timer.close();
    this.#watch?.close();
    const way = this.#way;
    this.#way = undefined;
    try {
      if (way === undefined) return;
      await this.#serial.run(async () => {
        this.#table.remove();
        await removeRules(this.#route, this.#context, way);
      });
    } finally {
      this.#table.close();
      this.#nft.close();
      this.#route.close();
    }
  }
}

/** Takes away what a run that is dead has left. */
export async function cleanBeside(context: ReachContext): Promise<void> {
  const way = readRecord(context.journal).beside;
  if (way === undefined) return;
  using nft = openNft();
  using route = openRouteNetlink();
  nft.runScript(removeTableScript(ownTableName('beside', context.config.inner.device)));
  await removeRules(route, context, way);
}

async function removeRules(route: RouteNetlink, context: ReachContext, way: Way): Promise<void> {
  for (const family of FAMILIES) {
    const rule = ruleOf(way, family);
    const there = await route.rules(family);
    if (there.some((one) => sameRule(one, rule) && one.protocol === RTPROT_IPIPOU))
      await route.removeRule(rule);
  }
  writeRecord(context.journal, { beside: undefined });
}

function ruleOf({ priority, mark }: Way, family: Family): RuleSpec {
  return { family, priority, mark, table: RT_TABLE_MAIN, protocol: RTPROT_IPIPOU };
}
