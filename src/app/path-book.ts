import { formatEndpoint, type Path } from '../core/addr.ts';
import { millis } from '../core/units.ts';
import type { Clock } from '../ports/clock.ts';
import type { Notify } from '../ports/notify.ts';
import { STATUS_GAP } from './limits.ts';
import type { RunKeeper } from './run-keeper.ts';

/**
 * Tells outside whom the tunnel carries: of a sole peer its path, in the run record and to the service
 * manager; of several how many are established, and that not more often than `STATUS_GAP`.
 */
export class PathBook {
  readonly #keeper: Pick<RunKeeper, 'record' | 'setPath'>;
  readonly #notify: Pick<Notify, 'status'>;
  readonly #clock: Clock;
  #path: Path | undefined;
  #count: Count = { peers: 0, established: 0 };
  #cancel: (() => void) | undefined;

  constructor(
    keeper: Pick<RunKeeper, 'record' | 'setPath'>,
    notify: Pick<Notify, 'status'>,
    clock: Clock,
  ) {
    this.#keeper = keeper;
    this.#notify = notify;
    this.#clock = clock;
  }

  /** The plane carries another path of a peer, or none. */
  note(path: Path | undefined, count: Count): void {
    const sole = count.peers === 1;
    this.#path = sole ? path : undefined;
    if (sole || this.#keeper.record.path !== undefined) this.#keeper.setPath(this.#path);
    this.tell(count);
  }

  /** So many of the peers are established now. */
  tell(count: Count): void {
    this.#count = count;
    if (count.peers === 1) {
      this.#notify.status(soleWords(this.#path, count.established > 0));
      return;
    }
    const at = millis(this.#clock.now().monotonic + STATUS_GAP);
    this.#cancel ??= this.#clock.callAt(at, () => {
      this.#cancel = undefined;
      this.#notify.status(`${this.#count.established} of ${this.#count.peers} peers established`);
    });
  }

  close(): void {
    this.#cancel?.();
  }
}

type Count = { readonly peers: number; readonly established: number };

function soleWords(path: Path | undefined, established: boolean): string {
  if (path === undefined) return 'no peer';
  return `${established ? 'established with' : 'no word from'} ${formatEndpoint(path.remote)}`;
}
