import type { IfIndex } from '../../../core/units.ts';
import type { PeerCounters } from '../../../ports/data-plane.ts';

const NOTHING: PeerCounters = { rxPackets: 0n, rxBytes: 0n, txPackets: 0n, txBytes: 0n };

/** The kernel's counters of one device, by its index. */
export type DeviceCounters = PeerCounters & { readonly index: IfIndex };

/** Sums the counters of a device over its lives: one that is made again starts from nothing. */
export class CounterLedger {
  #earlier: PeerCounters = NOTHING;
  #last: DeviceCounters | undefined;

  /** The total, given what the device says now; undefined while there is none. */
  total(now: DeviceCounters | undefined): PeerCounters {
    if (this.#last && now?.index !== this.#last.index) {
      this.#earlier = add(this.#earlier, this.#last);
    }
    this.#last = now;
    return add(this.#earlier, now ?? NOTHING);
  }
}

function add(a: PeerCounters, b: PeerCounters): PeerCounters {
  return {
    rxPackets: a.rxPackets + b.rxPackets,
    rxBytes: a.rxBytes + b.rxBytes,
    txPackets: a.txPackets + b.txPackets,
    txBytes: a.txBytes + b.txBytes,
  };
}
