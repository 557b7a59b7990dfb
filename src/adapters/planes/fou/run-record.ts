import type { Family, OuterIp } from '../../../core/addr.ts';
import type { TunnelConfig } from '../../../core/config/tunnel-config.ts';
import type { PeerId, PlaneJournal } from '../../../ports/data-plane.ts';
import { newRecord, type FouRecord, type PeerRecord } from './record.ts';

/** The record of this run: what changes is written down at once. */
export class RunRecord {
  readonly #journal: PlaneJournal;
  readonly #base: FouRecord;
  readonly #peers = new Map<PeerId, PeerRecord>();
  #madeListeners: readonly Family[] = [];
  #madeAlts: readonly OuterIp[] = [];

  constructor(config: TunnelConfig, journal: PlaneJournal) {
    this.#journal = journal;
    this.#base = newRecord(config);
  }

  get madeListeners(): readonly Family[] {
    return this.#madeListeners;
  }

  /** Goes on where an earlier run ended, with those of its peers that are kept. */
  adopt(left: FouRecord, peers: readonly PeerRecord[]): void {
    this.#madeListeners = left.madeListeners;
    this.#madeAlts = left.madeAlts;
    this.setPeers(peers);
  }

  addMadeListener(family: Family): void {
    this.#madeListeners = [...new Set([...this.#madeListeners, family])];
    this.#save();
  }

  removeMadeListener(family: Family): void {
    this.#madeListeners = this.#madeListeners.filter((made) => made !== family);
    this.#save();
  }

  setMadeAlts(addresses: readonly OuterIp[]): void {
    this.#madeAlts = addresses;
    this.#save();
  }

  setPeers(records: readonly PeerRecord[]): void {
    for (const record of records) this.#peers.set(record.id, record);
    this.#save();
  }

  removePeers(ids: readonly PeerId[]): void {
    for (const id of ids) this.#peers.delete(id);
    this.#save();
  }

  /** After everything is removed: there is nothing to adopt or clean. */
  clear(): void {
    this.#journal.save(null);
  }

  #save(): void {
    this.#journal.save({
      ...this.#base,
      madeListeners: this.#madeListeners,
      madeAlts: this.#madeAlts,
      peers: [...this.#peers.values()],
    } satisfies FouRecord);
  }
}
