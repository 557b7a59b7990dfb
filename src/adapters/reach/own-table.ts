import process from 'node:process';
import { removeTableScript } from '../../core/nft/own-table.ts';
import type { Tell } from '../../ports/tell.ts';
import { watchNft, type NftEvent } from '../nft/monitor.ts';
import type { Nft } from '../nft/nft.ts';
import { RepairTimer } from '../planes/repairs.ts';

/** A table of ours whose rules are put back when somebody else changes them. */
export class OwnTable {
  readonly name: string;
  readonly #nft: Nft;
  readonly #tell: Tell;
  readonly #timer: RepairTimer;
  /** What makes it as it should be; undefined while there is to be none. */
  #script: (() => string) | undefined;
  #watch: { close(): void } | undefined;

  constructor(name: string, nft: Nft, tell: Tell) {
    this.name = name;
    this.#nft = nft;
    this.#tell = tell;
    this.#timer = new RepairTimer((what) => this.#repair(what));
  }

  /** Makes the table what the script says, now and after every disturbance. Throws as nft does; then nothing has changed. */
  put(script: () => string): void {
    this.#nft.runScript(script());
    this.#script = script;
    this.#watch ??= watchNft((event) => {
      if (this.#concerns(event)) this.#timer.ask(`nftables table inet ${this.name}`);
    });
  }

  #concerns(event: NftEvent): boolean {
    if (event.change === 'unknown') return true;
    const { portId } = this.#nft;
    const own = portId === undefined ? event.processId === process.pid : event.portId === portId;
    return !own && event.family === 'inet' && event.table === this.name;
  }

  /** Takes it away; no effect where there is none. */
  remove(): void {
    this.#script = undefined;
    this.#watch?.close();
    this.#watch = undefined;
    this.#nft.runScript(removeTableScript(this.name));
  }

  close(): void {
    this.#timer.close();
    this.#watch?.close();
    this.#watch = undefined;
    this.#script = undefined;
  }

  #repair(what: string): void {
    if (this.#script === undefined) return;
    try {
      this.#nft.runScript(this.#script());
      this.#tell({ kind: 'disturbed', what, repaired: true });
    } catch {
      this.#tell({ kind: 'disturbed', what, repaired: false });
    }
  }
}
