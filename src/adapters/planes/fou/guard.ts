import type { Family } from '../../../core/addr.ts';
import { REPAIR_RATE } from '../../../core/budgets.ts';
import { KernelError } from '../../../core/errors.ts';
import {
  prefixLengthsOf,
  setKey,
  type GuardPeer,
  type SetKey,
} from '../../../core/nft/guard-peer.ts';
import {
  guardPrefix,
  objectNames,
  tablesOf,
  WORD,
  type GuardSpec,
} from '../../../core/nft/guard-spec.ts';
import {
  changePeers,
  installGuard,
  peerSets,
  removeGuard,
  type ElementsThere,
  type PeerChange,
} from '../../../core/nft/guard.ts';
import type { PeerId } from '../../../ports/data-plane.ts';
import type { Nft } from '../../nft/nft.ts';
import { watchNft, type NftEvent } from '../../nft/monitor.ts';
import { REPAIR_PAUSE } from '../repairs.ts';
import { TokenBucket } from '../token-bucket.ts';

/** How long what was dropped of every peer is remembered: many peers are told of one after another. */
const COUNTS_AGE_MS = 500;

/**
 * Keeps the guard's ruleset in the kernel: installs it, changes who is admitted, and puts it back
 * when another tool has changed or flushed it.
 */
export class Guard {
  readonly #nft: Nft;
  #spec: GuardSpec;
  readonly #disturbed: (repaired: boolean) => void;
  /** What the kernel's rules say, when nobody else has changed them. */
  #peers: ReadonlyMap<PeerId, GuardPeer> = new Map();
  #foreign:
    { readonly at: number; readonly packets: readonly ReadonlyMap<string, bigint>[] } | undefined;
  #monitor: { close(): void } | undefined;
  readonly #repairs = new TokenBucket(REPAIR_RATE);
  #repairDue = false;
  #pause: NodeJS.Timeout | undefined;

  /** Changes nothing yet; `install` makes the rules. Closing `nft` is the guard's. */
  constructor(
    nft: Nft,
    spec: Omit<GuardSpec, 'prefixLengths'>,
    disturbed: (repaired: boolean) => void,
  ) {
    this.#nft = nft;
    this.#spec = { ...spec, prefixLengths: { ipv4: [], ipv6: [] } };
    this.#disturbed = disturbed;
  }

  /** Makes the rules, whatever is there, and watches them from now on. */
  install(peers: ReadonlyMap<PeerId, GuardPeer>): void {
    // First, so that nothing is missed that somebody changes meanwhile.
    this.#monitor ??= watchNft((event) => this.#onEvent(event));
    try {
      this.#replace(peers);
    } catch (error) {
      this.#monitor.close();
      this.#monitor = undefined;
      throw error;
    }
  }

  /** What the rules say of a peer. */
  peer(id: PeerId): GuardPeer | undefined {
    return this.#peers.get(id);
  }

  /**
   * Changes what is said of peers, in one transaction that touches nothing of the others; undefined
   * removes one. On failure the earlier rules are still in force.
   */
  change(changes: ReadonlyMap<PeerId, GuardPeer | undefined>): void {
    const peers = new Map(this.#peers);
    const differences: PeerChange[] = [];
    for (const [id, after] of changes) {
      differences.push({ before: peers.get(id), after });
      if (after) peers.set(id, after);
      else peers.delete(id);
    }
    const known = this.#spec.prefixLengths;
    const after = prefixLengthsOf(differences.flatMap((difference) => difference.after ?? []));
    const isNew = (family: Family) =>
      after[family].some((length) => !known[family].includes(length));
    if (tablesOf(this.#spec).some(isNew)) {
      this.#replace(peers);
      return;
    }
    const script = changePeers(this.#spec, differences);
    if (script === '') return;
    try {
      this.#nft.runScript(script);
      this.#peers = peers;
    } catch {
      // The rules are not as we left them: somebody has just changed them.
      this.#replace(peers);
    }
  }

  /**
   * Lets packets of these payload lengths up too, and first messages of session 2 by this queue: one transaction, which
   * admits whom it did before.
   */
  watch(lengths: readonly number[], firstQueue: number | undefined): void {
    const before = this.#spec;
    const authLengths = [...new Set([...before.authLengths, ...lengths])];
    const same = firstQueue === before.firstQueue;
    if (same && authLengths.length === before.authLengths.length) return;
    this.#spec = { ...before, authLengths, firstQueue };
    try {
      this.#replace(this.#peers);
    } catch (error) {
      this.#spec = before;
      throw error;
    }
  }

  /** Stands before the port in these families; before `install` that is remembered alone. */
  listenIn(outside: readonly Family[]): void {
    const before = this.#spec;
    this.#spec = { ...before, outside };
    if (this.#monitor === undefined) return;
    try {
      this.#replace(this.#peers);
    } catch (error) {
      this.#spec = before;
      throw error;
    }
  }

  /** Removes rules of families that are not in use now: an earlier run may have left some. */
  removeOthers(): void {
    const used = tablesOf(this.#spec);
    removeGuardRules(
      this.#nft,
      this.#spec,
      FAMILIES.filter((family) => !used.includes(family)),
    );
  }

  /** Packets refused since the rules were made; undefined where they are not counted. */
  refusedPackets(): bigint | undefined {
    if (!this.#spec.counters) return undefined;
    const { table, port } = this.#spec;
    const counts = tablesOf(this.#spec).map((family) =>
      this.#nft.counterPackets(WORD[family], table, objectNames(port).refused),
    );
    return sum(counts);
  }

  /** Packets dropped since the rules were made because they came out of `device` with a foreign source. */
  foreignPackets(device: string): bigint | undefined {
    if (!this.#spec.counters) return undefined;
    const now = Date.now();
    if (this.#foreign === undefined || now - this.#foreign.at > COUNTS_AGE_MS) {
      const set = objectNames(this.#spec.port).strays;
      const packets = tablesOf(this.#spec).map((family) =>
        this.#nft.elementPackets(WORD[family], this.#spec.table, set),
      );
      this.#foreign = { at: now, packets };
    }
    return sum(this.#foreign.packets.map((counted) => counted.get(device)));
  }

  /** Lets go of the rules without touching them. */
  close(): void {
    clearTimeout(this.#pause);
    this.#monitor?.close();
    this.#monitor = undefined;
    this.#nft.close();
  }

  /** Removes the rules, and the table when nothing else is in it. */
  remove(): void {
    this.#monitor?.close();
    this.#monitor = undefined;
    clearTimeout(this.#pause);
    removeGuardRules(this.#nft, this.#spec);
  }

  /** Many events tell of one change: the repair comes once, after all that have arrived are read. */
  #onEvent(event: NftEvent): void {
    if (event.change !== 'unknown' && !this.#concerns(event)) return;
    if (this.#repairDue) return;
    this.#repairDue = true;
    queueMicrotask(() => {
      this.#repairDue = false;
      if (this.#monitor !== undefined && this.#pause === undefined) this.#repairOrPause();
    });
  }

  /** At once while REPAIR_RATE allows: until then the port is open. */
  #repairOrPause(): void {
    if (this.#repairs.take(performance.now())) this.#repair();
    else this.#repairLater();
  }

  #repairLater(): void {
    this.#pause ??= setTimeout(() => {
      this.#pause = undefined;
      this.#repairs.take(performance.now());
      this.#repair();
    }, REPAIR_PAUSE);
  }

  #concerns(event: Extract<NftEvent, { change: 'add' | 'delete' }>): boolean {
    const { portId } = this.#nft;
    const own = portId === undefined ? event.processId === process.pid : event.portId === portId;
    if (own) return false;
    const ours = tablesOf(this.#spec).some((family) => WORD[family] === event.family);
    if (!ours || event.table !== this.#spec.table) return false;
    const prefix = guardPrefix(this.#spec.port);
    if (event.object === 'table') return event.change === 'delete';
    return (event.chain ?? event.set ?? prefix).startsWith(prefix);
  }

  /**
   * Makes the rules anew; they replace whatever is there, of whatever type. Peers who are admitted
   * already lose nothing (installGuard).
   */
  #replace(peers: ReadonlyMap<PeerId, GuardPeer>): void {
    const wanted = [...peers.values()];
    const spec = { ...this.#spec, prefixLengths: prefixLengthsOf(wanted) };
    try {
      this.#nft.runScript(installGuard(spec, wanted, this.#elements(spec)));
    } catch (error) {
      // EEXIST: another version, or other options, made sets of the same name in another way. ENOENT:
      // somebody has removed elements since we looked.
      if (!(error instanceof KernelError && ['EEXIST', 'ENOENT'].includes(error.errno)))
        throw error;
      this.#nft.runScript(
        `${removal(this.#nft, spec, tablesOf(spec))}\n${installGuard(spec, wanted)}`,
      );
    }
    this.#spec = spec;
    this.#peers = peers;
  }

  /** What the kernel's sets of peers hold, but for those where it cannot be told. */
  #elements(spec: GuardSpec): ElementsThere {
    const prefix = guardPrefix(spec.port);
    const there = new Map<SetKey, ReadonlySet<string>>();
    for (const each of peerSets(spec)) {
      const { family, set, kind } = each;
      const name = `${prefix}${set}`;
      const texts = this.#nft.elements(WORD[family], spec.table, { kind, name });
      if (texts) there.set(setKey(each), texts);
    }
    return there;
  }

  #repair(): void {
    try {
      this.#replace(this.#peers);
      this.#disturbed(true);
    } catch {
      this.#disturbed(false);
      this.#repairLater();
    }
  }
}

const FAMILIES: readonly Family[] = ['ipv4', 'ipv6'];

/** Removes the rules of one tunnel, of both families, and each table when it is empty then. */
export function removeGuardRules(
  nft: Nft,
  spec: Pick<GuardSpec, 'table' | 'port'>,
  families = FAMILIES,
): void {
  nft.runScript(removal(nft, spec, families));
  for (const family of families) {
    if (nft.tableIsEmpty(WORD[family], spec.table))
      nft.runScript(`delete table ${WORD[family]} ${spec.table}`);
  }
}

function removal(
  nft: Nft,
  spec: Pick<GuardSpec, 'table' | 'port'>,
  families: readonly Family[],
): string {
  return families
    .map((family) => removeGuard(spec, family, nft.objects(WORD[family], spec.table)))
    .join('\n');
}

/** undefined where nothing is counted. */
function sum(counts: readonly (bigint | undefined)[]): bigint | undefined {
  const known = counts.filter((count) => count !== undefined);
  return known.length === 0 ? undefined : known.reduce((total, count) => total + count, 0n);
}
