import type { InnerIp, Ip, OuterIp } from '../../core/addr.ts';
import { sameValue } from '../../core/same-value.ts';
import type { DnsManager } from '../../core/reach/dns.ts';
import type { Mark } from '../../core/config/syntax-reach.ts';
import type { PlaneJournal } from '../../ports/data-plane.ts';

/** A setting of the host below /proc/sys, what it was, and what it was made. */
export type HeldSetting = {
  readonly path: string;
  readonly before: string;
  readonly value: string;
};

/** Where what allowed-ips names is led into the tunnel. */
export type RoutingRecord = {
  readonly table: number;
  /** Of the first of two rules that lead there; undefined where there are none. */
  readonly priority: number | undefined;
  /** Addresses that have been the server's, the latest last: they stay outside. */
  readonly outside: readonly OuterIp[];
};

/** An address that a device answers for. */
export type ProxyRecord = { readonly ip: Ip; readonly device: string };

/** What a run has changed of the host, for its end or for a later one that cleans up. */
export type ReachRecord = {
  readonly exposes: boolean;
  readonly settings: readonly HeldSetting[];
  /** About to put them back: others who need them must not count on this one. */
  readonly leaving: boolean;
  readonly returnPath: { readonly table: number; readonly mark: Mark } | undefined;
  readonly proxies: readonly ProxyRecord[];
  /** A client's own, on the tunnel device. */
  readonly publicIps: readonly InnerIp[];
  readonly routing: RoutingRecord | undefined;
  /** By which mark, and the rule of which priority, answers stay beside the tunnel. */
  readonly beside: { readonly priority: number; readonly mark: Mark } | undefined;
  /** Whether what comes out of the tunnel is masqueraded. */
  readonly masquerades: boolean;
  /** Whether nothing may leave but by the tunnel. */
  readonly killSwitch: boolean;
  /** Who was told of the tunnel's name servers. */
  readonly dns: DnsManager | undefined;
};

const NOTHING: ReachRecord = {
  exposes: false,
  settings: [],
  leaving: false,
  returnPath: undefined,
  proxies: [],
  publicIps: [],
  routing: undefined,
  beside: undefined,
  masquerades: false,
  killSwitch: false,
  dns: undefined,
};

/** The record of a journal, which only runs of this program write. */
export function readRecord(journal: PlaneJournal): ReachRecord {
  return recordOf(journal.load());
}

/** The same of what was loaded, also by another tunnel. */
export function recordOf(found: unknown): ReachRecord {
  if (typeof found !== 'object' || found === null) return NOTHING;
  return { ...NOTHING, ...found };
}

export function writeRecord(journal: PlaneJournal, news: Partial<ReachRecord>): void {
  const record = { ...readRecord(journal), ...news };
  journal.save(sameValue(record, NOTHING) ? undefined : record);
}
