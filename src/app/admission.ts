import { familyOf, type Family, type Path } from '../core/addr.ts';
import type { TroubleReport } from '../core/events/trouble.ts';
import { reportTrouble } from '../core/events/trouble-words.ts';
import { IpipouError } from '../core/errors.ts';
import type { TagKeys } from '../core/tag/types.ts';
import { millis, type Millis } from '../core/units.ts';
import type { Clock } from '../ports/clock.ts';
import type { DataPlane } from '../ports/data-plane.ts';
import type { Tell } from '../ports/tell.ts';
import { explain } from './explain.ts';
import {
  ADMIT_BACKOFF_FIRST,
  ADMIT_BACKOFF_MAX,
  ADMIT_FAILURES_MAX,
  ADMIT_TROUBLES_TOLD,
} from './limits.ts';
import type { PeerSlot } from './peer-slot.ts';

type Failure = {
  readonly count: number;
  readonly notBefore: Millis;
  /** Of the path that was refused; undefined = it was an eviction. */
  readonly family: Family | undefined;
  readonly trouble: TroubleReport;
};

/**
 * What the plane carries for whom, and the patience with a plane that refuses. A peer's failures in a
 * row are spaced: within the pause after one, further attempts by the same family fail at once without
 * touching the kernel. A tunnel of one peer is given up through `onFatal` after `ADMIT_FAILURES_MAX` of them; one of
 * several goes on for the others.
 */
export class Admission {
  readonly #plane: Pick<DataPlane, 'admit' | 'evict'>;
  readonly #clock: Clock;
  readonly #tell: Tell;
  readonly #isSole: () => boolean;
  readonly #onFatal: (error: Error) => void;
  /** Peers whose last attempt failed. */
  readonly #failures = new Map<PeerSlot, Failure>();
  #everAdmitted: boolean;
  #carried = 0;

  constructor(
    plane: Pick<DataPlane, 'admit' | 'evict' | 'adopted'>,
    ports: {
      readonly clock: Clock;
      readonly tell: Tell;
      readonly isSole: () => boolean;
      readonly onFatal: (error: Error) => void;
    },
  ) {
    this.#plane = plane;
    this.#everAdmitted = plane.adopted.size > 0;
    this.#clock = ports.clock;
    this.#tell = ports.tell;
    this.#isSole = ports.isSole;
    this.#onFatal = ports.onFatal;
  }

  /** The failures that have not been overcome yet: those of the first peers, and how many more. */
  get troubles(): readonly TroubleReport[] {
    const told: TroubleReport[] = [];
    for (const { trouble } of this.#failures.values()) {
      if (told.length === ADMIT_TROUBLES_TOLD) break;
      told.push(trouble);
    }
    const peers = this.#failures.size - told.length;
    return peers > 0 ? [...told, reportTrouble({ kind: 'more-refused', peers })] : told;
  }

  /** Whether the plane carries `path` for a peer now. Never rejects. */
  async admit(slot: PeerSlot, path: Path, tags?: TagKeys): Promise<boolean> {
    const family = familyOf(path.remote.ip);
    const { family: refused = family } = this.#failures.get(slot) ?? {};
    if (refused === family && this.#clock.now().monotonic < this.notBefore(slot)) return false;
    try {
      await this.#plane.admit(slot.peer.id, tags ? { path, tags } : { path });
    } catch (error) {
      this.#failed(slot, 'not-pointed', error, family);
      return false;
    }
    this.carry(slot, path);
    slot.tags = tags;
    this.#everAdmitted = true;
    this.#succeeded(slot);
    return true;
  }

  /** Whether the plane carries nothing of a peer now. Never rejects; the caller tries again after a pause. */
  async evict(slot: PeerSlot): Promise<boolean> {
    try {
      await this.#plane.evict(slot.peer.id);
    } catch (error) {
      this.#failed(slot, 'not-evicted', error);
      return false;
    }
    this.carry(slot, undefined);
    // Whom the plane refused is evicted as well; that overcomes nothing.
    if (this.#failures.get(slot)?.trouble.kind === 'not-evicted') this.#succeeded(slot);
    return true;
  }

  /** Monotonic time before which another attempt is pointless. */
  notBefore(slot: PeerSlot): Millis {
    return this.#failures.get(slot)?.notBefore ?? millis(0);
  }

  /** How many peers the plane carries. */
  get carried(): number {
    return this.#carried;
  }

  /** Notes what the plane carries of a peer. */
  carry(slot: PeerSlot, path: Path | undefined): void {
    this.#carried += (path ? 1 : 0) - (slot.carried ? 1 : 0);
    slot.carried = path;
  }

  /** Forgets a peer that is gone, and that the plane has let go. */
  forget(slot: PeerSlot): void {
    this.carry(slot, undefined);
    this.#failures.delete(slot);
  }

  #succeeded(slot: PeerSlot): void {
    const failure = this.#failures.get(slot);
    if (failure === undefined) return;
    this.#failures.delete(slot);
    this.#tell({ kind: 'plane-obeys', failures: failure.count }, slot.peer.id);
  }

  #failed(
    slot: PeerSlot,
    kind: 'not-pointed' | 'not-evicted',
    error: unknown,
    family?: Family,
  ): void {
    const count = (this.#failures.get(slot)?.count ?? 0) + 1;
    const pause = Math.min(ADMIT_BACKOFF_FIRST * 2 ** (count - 1), ADMIT_BACKOFF_MAX);
    const notBefore = millis(this.#clock.now().monotonic + pause);
    const failure = explain(error);
    const { id } = slot.peer;
    const said = { kind, error: failure.error } as const;
    const trouble = reportTrouble(said, this.#isSole() ? undefined : id);
    this.#failures.set(slot, { count, notBefore, family, trouble });
    const told = { work: kind, failures: count, retryAfter: millis(pause) };
    this.#tell({ kind: 'plane-refuses', ...told, ...failure }, id);
    if (count < ADMIT_FAILURES_MAX || !this.#isSole()) return;
    const exit = this.#everAdmitted ? 'updateTunnel' : 'createTunnel';
    const message = `${trouble.words} (${count} attempts)`;
    const hint = error instanceof IpipouError ? error.hint : undefined;
    this.#onFatal(
      new IpipouError(
        exit,
        message,
        hint === undefined ? { cause: error } : { hint, cause: error },
      ),
    );
  }
}
