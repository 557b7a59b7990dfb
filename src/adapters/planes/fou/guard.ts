import type { Ipv4 } from '../../../core/addr.ts';
import {
  admitPeer,
  guardPrefix,
  installGuard,
  objectNames,
  refuseBareIpip,
  removeGuard,
  type Admission,
  type GuardSpec,
} from '../../../core/nft/guard.ts';
import { openNft, type Nft } from '../../nft/nft.ts';
import { watchNft, type NftEvent } from '../../nft/monitor.ts';

/** Repairs in a row, within `REPAIR_WINDOW_MS`, before we pause: two tools must not fight at full speed. */
const REPAIR_BURST = 10;
const REPAIR_WINDOW_MS = 10_000;
const REPAIR_PAUSE_MS = 1000;

/**
 * Keeps the guard's ruleset in the kernel: installs it, changes who is admitted, and puts it back
 * when another tool has changed or flushed it.
 */
export class Guard {
  readonly #nft: Nft;
  readonly #spec: GuardSpec;
  readonly #disturbed: (repaired: boolean) => void;
  #admission: Admission | undefined;
  #monitor: { close(): void } | undefined;
  #repairs: number[] = [];
  #repairDue = false;
  #pause: NodeJS.Timeout | undefined;

  /** Opens the library only; `install` makes the rules. */
  constructor(spec: GuardSpec, disturbed: (repaired: boolean) => void) {
    this.#nft = openNft();
    this.#spec = spec;
    this.#disturbed = disturbed;
  }

  /** Makes the rules, whatever is there, and watches them from now on. */
  install(admission: Admission | undefined): void {
    this.#nft.runScript(installGuard(this.#spec, admission));
    this.#admission = admission;
    this.#monitor ??= watchNft((event) => this.#onEvent(event));
  }

  /** To be called before a device is pointed along a path that is not admitted yet. */
  expect(remote: Ipv4, local: Ipv4): void {
    this.#nft.runScript(refuseBareIpip(this.#spec, remote, local));
  }

  /** Makes `admission` the only one, atomically. On failure the earlier one is still in force. */
  admit(admission: Admission | undefined): void {
    this.#nft.runScript(admitPeer(this.#spec, admission));
    this.#admission = admission;
  }

  /** Packets refused since the rules were made; undefined where they are not counted. */
  refusedPackets(): bigint | undefined {
    if (!this.#spec.counters) return undefined;
    return this.#nft.counterPackets('ip', this.#spec.table, objectNames(this.#spec.port).refused);
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

  #repairOrPause(): void {
    const now = Date.now();
    this.#repairs = this.#repairs.filter((at) => now - at < REPAIR_WINDOW_MS);
    this.#repairs.push(now);
    if (this.#repairs.length <= REPAIR_BURST) this.#repair();
    else this.#repairLater();
  }

  #repairLater(): void {
    this.#pause ??= setTimeout(() => {
      this.#pause = undefined;
      this.#repair();
    }, REPAIR_PAUSE_MS);
  }

  #concerns(event: Extract<NftEvent, { change: 'add' | 'delete' }>): boolean {
    const { portId } = this.#nft;
    const own = portId === undefined ? event.processId === process.pid : event.portId === portId;
    if (own) return false;
    if (event.family !== 'ip' || event.table !== this.#spec.table) return false;
    const prefix = guardPrefix(this.#spec.port);
    if (event.object === 'table') return event.change === 'delete';
    return (event.chain ?? event.set ?? prefix).startsWith(prefix);
  }

  #repair(): void {
    try {
      this.#nft.runScript(installGuard(this.#spec, this.#admission));
      this.#disturbed(true);
    } catch {
      this.#disturbed(false);
      this.#repairLater();
    }
  }
}

/** Removes the rules of one tunnel, and the table when it is empty then. */
export function removeGuardRules(nft: Nft, spec: Pick<GuardSpec, 'table' | 'port'>): void {
  nft.runScript(removeGuard(spec));
  if (nft.tableIsEmpty('ip', spec.table)) nft.runScript(`delete table ip ${spec.table}`);
}
