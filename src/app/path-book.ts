import type { Path } from '../core/addr.ts';
import { millis } from '../core/units.ts';
import type { Clock } from '../ports/clock.ts';
import type { Notify } from '../ports/notify.ts';
import { STATUS_GAP } from './limits.ts';
import type { RunKeeper } from './run-keeper.ts';

/**
 * Tells outside whom the tunnel carries: of a sole peer its path, in the run record and to the service
 * manager; of several how many there are, and that not more often than `STATUS_GAP`.
 */
export class PathBook {
  readonly #keeper: Pick<RunKeeper, 'record' | 'setPath'>;
  readonly #notify: Pick<Notify, 'status'>;
  readonly #clock: Clock;
  #carried = 0;
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

  /** The plane carries another path of a peer, or none; it carries `carried` of so many peers. */
  note(path: Path | undefined, peers: number, carried: number): void {
    this.#carried = carried;
    const sole = peers === 1;
    const told = sole ? path : undefined;
    if (sole || this.#keeper.record.path !== undefined) this.#keeper.setPath(told);
    if (sole) {
      this.#notify.status(path ? `carrying ${path.remote.ip}:${path.remote.port}` : 'no peer');
      return;
    }
    const at = millis(this.#clock.now().monotonic + STATUS_GAP);
    this.#cancel ??= this.#clock.callAt(at, () => {
      this.#cancel = undefined;
      this.#notify.status(`carrying ${this.#carried} peers`);
    });
  }

  close(): void {
    this.#cancel?.();
  }
}
