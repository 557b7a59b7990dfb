import type { Clock } from '../ports/clock.ts';
import type { Admission } from './admission.ts';
import type { PeerSlot } from './peer-slot.ts';

type Ports = {
  readonly admission: Pick<Admission, 'evict' | 'notBefore'>;
  readonly clock: Clock;
  /** A peer is out of the plane. */
  readonly onGone: () => void;
  /** Has work of a peer done in its turn. */
  readonly inTurn: (slot: PeerSlot, work: () => Promise<void>) => void;
};

/** Peers that must go, until the plane has let them go: one that stays is a hole. */
export class Evictions {
  readonly #ports: Ports;
  /** Those that have not gone yet: what cancels the next attempt. */
  readonly #left = new Map<PeerSlot, () => void>();

  constructor(ports: Ports) {
    this.#ports = ports;
  }

  /** Takes a peer out of the plane, and keeps at it until it is out. Resolves after the first attempt. */
  async evict(slot: PeerSlot): Promise<void> {
    const { admission, clock, onGone, inTurn } = this.#ports;
    this.cancel(slot);
    if (await admission.evict(slot)) {
      onGone();
      return;
    }
    const again = async (): Promise<void> => {
      // It may have been admitted again, or be gone.
      if (this.#left.get(slot) === cancel) await this.evict(slot);
    };
    const cancel = clock.callAt(admission.notBefore(slot), () => inTurn(slot, again));
    this.#left.set(slot, cancel);
  }

  /** The peer may stay, or is gone. */
  cancel(slot: PeerSlot): void {
    this.#left.get(slot)?.();
    this.#left.delete(slot);
  }

  close(): void {
    for (const cancel of this.#left.values()) cancel();
  }
}
