/** A host's packet filter, whichever tool has made it, and what becomes of a packet in it. */
import type { Family } from '../addr.ts';
import { all, type Holds, type Packet } from './packet.ts';

export type Tool = 'nft' | 'iptables-nft' | 'iptables-legacy';
export type Hook = 'ingress' | 'prerouting' | 'input' | 'forward' | 'output' | 'postrouting';

export type Verdict =
  | { readonly kind: 'accept' | 'drop' | 'reject' | 'divert' | 'return' }
  | { readonly kind: 'jump' | 'goto'; readonly chain: string };

export type Rule = {
  /** As the tool prints it. */
  readonly text: string;
  readonly handle: number | undefined;
  readonly holds: (packet: Packet) => Holds;
  readonly verdict: Verdict;
};

export type Chain = {
  readonly tool: Tool;
  /** `inet` is of both families, `netdev` of a device. */
  readonly family: 'ip' | 'ip6' | 'inet' | 'netdev';
  readonly table: string;
  readonly name: string;
  /** Where packets come into it; undefined of one that others call. */
  readonly base: Base | undefined;
  readonly rules: readonly Rule[];
};

export type Base = {
  readonly hook: Hook;
  readonly priority: number;
  readonly policy: 'accept' | 'drop';
  /** Of `netdev`. */
  readonly devices: readonly string[];
};

/** What a packet may come to harm by. */
export type Obstacle = {
  /** The chain that packets come into, and the one with the rule. */
  readonly base: Chain;
  readonly chain: Chain;
  /** Undefined: it is the policy. */
  readonly rule: Rule | undefined;
  readonly what: 'drop' | 'reject' | 'divert';
  /** `surely`; `some`: of some senders; `unknown`: where a condition holds that cannot be told. */
  readonly certainty: 'surely' | 'some' | 'unknown';
  /** A rule before it that may let the packet through. */
  readonly unless: Rule | undefined;
};

/** All that may keep a packet from passing these hooks, in the order in which it meets them. */
export function obstaclesOf(
  chains: readonly Chain[],
  hooks: readonly Hook[],
  packet: Packet,
): readonly Obstacle[] {
  return hooks.flatMap((hook) =>
    chains
      .filter(({ base, family }) => base?.hook === hook && isOf(family, packet.family))
      .filter(({ base, family }) => family !== 'netdev' || atDevice(base, packet))
      .toSorted((a, b) => (a.base?.priority ?? 0) - (b.base?.priority ?? 0))
      .flatMap((base) => new Walk(chains, base, packet).take()),
  );
}

function isOf(family: Chain['family'], of: Family): boolean {
  return family === 'inet' || family === 'netdev' || family === (of === 'ipv4' ? 'ip' : 'ip6');
}

function atDevice(base: Base | undefined, { from }: Packet): boolean {
  return from !== undefined && base?.devices.includes(from) === true;
}

/** How many chains may call each other: the kernel's own limit (NFT_JUMP_STACK_SIZE). */
const DEPTH_MAX = 16;

/** A packet's way through one base chain. What may hold is taken for both. */
class Walk {
  readonly #chains: readonly Chain[];
  readonly #base: Chain;
  readonly #packet: Packet;
  readonly #found: Obstacle[] = [];
  /** The first rule that may have let it through. */
  #unless: Rule | undefined;

  constructor(chains: readonly Chain[], base: Chain, packet: Packet) {
    this.#chains = chains.filter(
      ({ tool, family, table }) =>
        tool === base.tool && family === base.family && table === base.table,
    );
    this.#base = base;
    this.#packet = packet;
  }

  take(): readonly Obstacle[] {
    const ends = this.#chain(this.#base, 'yes', 0);
    if (!ends && this.#base.base?.policy === 'drop') {
      this.#obstacle(this.#base, undefined, 'drop', 'yes');
    }
    return this.#found;
  }

  /** Whether the packet surely goes no further than this chain; `holds`: whether it comes here at all. */
  #chain(chain: Chain, holds: Holds, depth: number): boolean {
    if (depth > DEPTH_MAX) return false;
    let here = holds;
    for (const rule of chain.rules) {
      const met = all([rule.holds(this.#packet), here]);
      if (met === 'no') continue;
      const { verdict } = rule;
      switch (verdict.kind) {
        case 'return':
          if (rule.holds(this.#packet) === 'yes') return false;
          here = all([here, 'unknown']);
          break;
        case 'accept':
          if (met === 'yes') return true;
          this.#unless ??= rule;
          break;
        case 'drop':
        case 'reject':
        case 'divert':
          this.#obstacle(chain, rule, verdict.kind, met);
          if (met === 'yes') return true;
          break;
        case 'jump':
        case 'goto':
        default: {
          const target = this.#chains.find(({ name }) => name === verdict.chain);
          const ends = target !== undefined && this.#chain(target, met, depth + 1);
          if (ends && met === 'yes') return true;
          // Behind `goto` the caller's own rules are not met any more.
          if (verdict.kind === 'goto' && met === 'yes') return false;
        }
      }
    }
    return false;
  }

  #obstacle(chain: Chain, rule: Rule | undefined, what: Obstacle['what'], met: Holds): void {
    const certainty = met === 'yes' ? 'surely' : met === 'some' ? 'some' : 'unknown';
    this.#found.push({
      base: this.#base,
      chain,
      rule,
      what,
      certainty: this.#unless === undefined || certainty === 'some' ? certainty : 'unknown',
      unless: this.#unless,
    });
  }
}
