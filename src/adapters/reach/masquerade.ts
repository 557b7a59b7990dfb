import { familyOf } from '../../core/addr.ts';
import { masqueradeScript } from '../../core/nft/masquerade-rules.ts';
import { ownTableName } from '../../core/nft/own-table.ts';
import type { ReachContext } from '../../ports/reach.ts';
import { openNft, type Nft } from '../nft/nft.ts';
import { OwnTable } from './own-table.ts';
import { readRecord, writeRecord } from './record.ts';
import { forward, notForwarding, switchedOn } from './settings.ts';
import { giveBack, share } from './shared-settings.ts';

/** What comes out of the tunnel for elsewhere goes there with this host's address: a table of nftables, and forwarding. */
export class Masquerading {
  readonly #context: ReachContext;
  readonly #nft: Nft = openNft();
  readonly #table: OwnTable;

  private constructor(context: ReachContext) {
    this.#context = context;
    const name = ownTableName('masquerade', context.config.inner.device);
    this.#table = new OwnTable(name, this.#nft, context.tell);
  }

  /** Throws as nft does, and nothing has changed then. */
  static open(context: ReachContext): Masquerading {
    const masquerading = new Masquerading(context);
    try {
      masquerading.#put();
    } catch (error) {
      masquerading.close();
      throw error;
    }
    return masquerading;
  }

  #put(): void {
    const { journal, config, tell } = this.#context;
    const { device, ips } = config.inner;
    const families = ips.map(familyOf);
    writeRecord(journal, { masquerades: true });
    share(families, this.#nft, this.#context);
    // What this host has not forwarded before it must not forward for others.
    const closed = [...new Set([...switchedOn(this.#context), ...notForwarding(families)])];
    this.#table.put(() => masqueradeScript({ table: this.#table.name, device, closed }));
    forward(families, this.#context);
    tell({ kind: 'masquerading' });
  }

  close(): void {
    try {
      giveBack(this.#nft, this.#context);
      this.#table.remove();
      writeRecord(this.#context.journal, { masquerades: false });
    } finally {
      this.#table.close();
      this.#nft.close();
    }
  }
}

/** Takes away what a run that is dead has left. */
export function cleanMasquerading(context: ReachContext): void {
  if (!readRecord(context.journal).masquerades) return;
  using nft = openNft();
  giveBack(nft, context);
  new OwnTable(ownTableName('masquerade', context.config.inner.device), nft, context.tell).remove();
  writeRecord(context.journal, { masquerades: false });
}
