import type { Family } from '../addr.ts';
import type { Port } from '../units.ts';
import type { PrefixLengths } from './guard-peer.ts';

/** What the guard of a tunnel is made from (guard-rules.ts). */
export type GuardSpec = {
  readonly table: string;
  readonly port: Port;
  /** Families that the port listens in. */
  readonly outside: readonly Family[];
  /** Families that the tunnel carries. */
  readonly inside: readonly Family[];
  /** Only packets that come in by this device are considered; undefined = any. */
  readonly device: string | undefined;
  readonly queue: number;
  /** Where packets of unknown sources go that nothing else is known of. */
  readonly strangerQueue: number;
  /** Where first messages of session 2 from strangers go, whom the daemon tests itself; undefined = to the same queue. */
  readonly firstQueue?: number | undefined;
  /** Whether packets of unknown sources go to the queue (a server), or are dropped (a client). */
  readonly strangers: boolean;
  /** UDP payload lengths of authentication packets; the least of them bounds what strangers may send. */
  readonly authLengths: readonly number[];
  /** Of the peers' prefixes (prefixLengthsOf). */
  readonly prefixLengths: PrefixLengths;
  /** Where outer packets go in fragments over IPv4, and come in such: the TTL that they leave with. */
  readonly fragments: { readonly ttl: number } | undefined;
  readonly counters: boolean;
};

/** The rules of one chain, in their order. */
export type ChainRules = { readonly chain: string; readonly list: readonly string[] };

/** Beginning of the name of every object of the tunnel on `port`. */
export function guardPrefix(port: Port): string {
  return `p${port}_`;
}

/** Names of the objects of the tunnel on `port`. */
export function objectNames(port: Port) {
  const prefix = guardPrefix(port);
  return {
    guard: `${prefix}guard`,
    input: `${prefix}input`,
    prerouting: `${prefix}prerouting`,
    postrouting: `${prefix}postrouting`,
    forward: `${prefix}forward`,
    foreign: `${prefix}foreign`,
    admitted: `${prefix}admitted`,
    pairs: `${prefix}pairs`,
    inwards: `${prefix}inwards`,
    outwards: `${prefix}outwards`,
    devices: `${prefix}devices`,
    strays: `${prefix}strays`,
    stray: `${prefix}stray`,
    everywhere: `${prefix}everywhere`,
    paths: `${prefix}paths`,
    sources: `${prefix}sources`,
    hints: `${prefix}hints`,
    hinted: `${prefix}hinted`,
    hintSources: `${prefix}hint_sources`,
    hintBudgets: `${prefix}hint_budgets`,
    knownSources: `${prefix}known_sources`,
    knownBudgets: `${prefix}known_budgets`,
    strangers: `${prefix}strangers`,
    first: `${prefix}first`,
    tested: `${prefix}tested`,
    heard: `${prefix}heard`,
    heardBudgets: `${prefix}heard_budgets`,
    asked: `${prefix}asked`,
    askedBudgets: `${prefix}asked_budgets`,
    refused: `${prefix}refused`,
  } as const;
}

/** Families that the tunnel has a table of. */
export function tablesOf({
  outside,
  inside,
}: Pick<GuardSpec, 'outside' | 'inside'>): readonly Family[] {
  return (['ipv4', 'ipv6'] as const).filter(
    (family) => outside.includes(family) || inside.includes(family),
  );
}

/** What nft calls a family of tables, and the header of its packets. */
export const WORD = { ipv4: 'ip', ipv6: 'ip6' } as const satisfies Record<Family, string>;
