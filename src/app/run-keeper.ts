import type { Path } from '../core/addr.ts';
import type { Tell } from '../ports/tell.ts';
import type { PlaneJournal } from '../ports/data-plane.ts';
import type { RunClaim, RunRecord } from '../ports/run-store.ts';
import { explain } from './explain.ts';

/**
 * Keeps a tunnel's run record up to date and decides what becomes of the run directory at the end:
 * it goes when nothing of the tunnel is left, and stays, for a later clean-up, when something is.
 */
export class RunKeeper {
  readonly #claim: RunClaim;
  readonly #tell: Tell;
  #record: RunRecord | undefined;
  #plane: 'open' | 'closed' | 'stuck' = 'open';

  constructor(claim: RunClaim, tell: Tell) {
    this.#claim = claim;
    this.#tell = tell;
  }

  /** Writes the first record of this run; what the plane of the last one noted carries over. */
  begin(record: Omit<RunRecord, 'process' | 'life' | 'path' | 'journal' | 'reach'>): void {
    const { previous } = this.#claim;
    const journal = previous?.plane === record.plane ? previous.journal : undefined;
    const { process } = this.#claim;
    const reach = previous?.reach;
    this.#write({ ...record, process, life: 'starting', path: undefined, journal, reach });
  }

  get record(): RunRecord {
    if (!this.#record) throw new Error('no run has begun');
    return this.#record;
  }

  /** The plane's journal: a member of the record, so that both are replaced as one. */
  readonly journal: PlaneJournal = {
    load: () => this.record.journal,
    save: (journal) => this.#write({ ...this.record, journal }),
  };

  /** That of what is changed of the host, whatever the plane. */
  readonly reach: PlaneJournal = {
    load: () => this.record.reach,
    save: (reach) => this.#write({ ...this.record, reach }),
  };

  /** Writes the record again: it is gone. */
  rewrite(): void {
    this.#claim.write(this.record);
  }

  /** Notes what the plane carries, for whoever looks after this process has died. */
  setPath(path: Path | undefined): void {
    this.#note({ path });
  }

  /** Notes that the control socket is there, or about to go. */
  setLife(life: 'up' | 'ending'): void {
    this.#note({ life });
  }

  /** Whether the plane could remove all it made. */
  planeClosed(clean: boolean): void {
    this.#plane = clean ? 'closed' : 'stuck';
  }

  release(): void {
    const noted = this.#record === undefined ? this.#claim.previous : this.#record.journal;
    const left =
      this.#plane === 'stuck' ||
      (this.#plane === 'open' && isNoted(noted)) ||
      isNoted(this.#record?.reach);
    this.#claim.release(left ? 'keep' : 'remove');
  }

  /** What only helps whoever looks: without it the tunnel goes on. */
  #note(news: Partial<RunRecord>): void {
    try {
      this.#write({ ...this.record, ...news });
    } catch (error) {
      this.#tell({ kind: 'not-recorded', ...explain(error) });
    }
  }

  #write(record: RunRecord): void {
    this.#claim.write(record);
    this.#record = record;
  }
}

function isNoted(journal: unknown): boolean {
  return journal !== undefined && journal !== null;
}
