import type { PeerStatus } from '../../ports/control.ts';
import type { Tunnel } from './survey.ts';

/** Bytes a second from and to a peer. */
export type Rate = { readonly received: number; readonly sent: number };

/** What passes between two looks. */
export class Rates {
  #before = new Map<string, { readonly at: number; readonly traffic: PeerStatus['traffic'] }>();
  #rates = new Map<string, Rate>();

  /** `at`: milliseconds of a clock that is never set. */
  look(tunnels: readonly Tunnel[], at: number): void {
    const before = this.#before;
    this.#before = new Map();
    this.#rates = new Map();
    for (const tunnel of tunnels) {
      for (const peer of tunnel.daemon === 'answers' ? tunnel.peers : []) {
        const key = keyOf(tunnel, peer);
        this.#before.set(key, { at, traffic: peer.traffic });
        const last = before.get(key);
        if (!last?.traffic || !peer.traffic) continue;
        const seconds = (at - last.at) / 1000;
        // Counters that begin anew are no traffic.
        const received = Math.max(0, peer.traffic.rxBytes - last.traffic.rxBytes) / seconds;
        const sent = Math.max(0, peer.traffic.txBytes - last.traffic.txBytes) / seconds;
        this.#rates.set(key, { received, sent });
      }
    }
  }

  of(tunnel: Tunnel, peer: PeerStatus): Rate | undefined {
    return this.#rates.get(keyOf(tunnel, peer));
  }
}

function keyOf({ device }: Tunnel, { id }: PeerStatus): string {
  return `${device} ${id}`;
}
