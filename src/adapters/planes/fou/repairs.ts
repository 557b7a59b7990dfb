import { familyOf, formatPrefix, parseOuterIp } from '../../../core/addr.ts';
import { RT_TABLE_MAIN } from '../../../core/netlink/route.ts';
import { watchRoutes, type RouteEvent } from '../../netlink/monitor.ts';
import { putBack } from '../repairs.ts';
import type { Admissions } from './admissions.ts';
import type { PlaneParts } from './parts.ts';
import type { Peer } from './peer.ts';

/** Runs work when no other change of the kernel is being made. */
export type Serial = <T>(work: () => Promise<T>) => Promise<T>;

/**
 * Watches what the plane has made, and puts back what others remove: devices, their addresses, the
 * alternative addresses, routes, the FOU port. What a peer has is mended for that peer alone. (The
 * guard watches its own rules.)
 */
export class Repairs {
  readonly #parts: PlaneParts;
  readonly #admissions: Admissions;
  readonly #serial: Serial;
  #watch: { close(): void } | undefined;

  constructor(parts: PlaneParts, admissions: Admissions, serial: Serial) {
    this.#parts = parts;
    this.#admissions = admissions;
    this.#serial = serial;
  }

  start(): void {
    this.#watch = watchRoutes((event) => {
      this.#onEvent(event);
    });
  }

  stop(): void {
    this.#watch?.close();
    this.#watch = undefined;
  }

  /** Looks whether a peer's device is as it should be; nothing to do when it is, or is not admitted. */
  peer(peer: Peer, what: string): void {
    this.#repair(what, () => this.#mend(peer));
  }

  /** The FOU listener is gone. */
  listener(): void {
    this.#repair('FOU port', () => this.#parts.outer.mend());
  }

  #onEvent(event: RouteEvent): void {
    switch (event.kind) {
      case 'overrun':
        for (const [peer] of this.#parts.peers.admitted()) this.peer(peer, 'tunnel device');
        this.#mendUnreachable();
        break;
      case 'link':
        if (event.change === 'new' && event.up) break;
        this.#mendDevice(event.index, 'tunnel device');
        break;
      case 'address':
        if (event.change === 'new') {
          this.#follow(event);
          break;
        }
        this.#mendDevice(event.index, 'address of the tunnel device');
        this.#mendAlt(event);
        break;
      case 'route':
        if (event.change === 'delete' && event.table === RT_TABLE_MAIN) this.#routeGone(event);
        break;
    }
  }

  #mendDevice(index: Parameters<PlaneParts['peers']['byDevice']>[0], what: string): void {
    const peer = this.#parts.peers.byDevice(index);
    if (peer) this.peer(peer, what);
  }

  /** The host may have a family now that it had not. */
  #follow({ ip }: RouteEvent & { kind: 'address' }): void {
    const { context, outer } = this.#parts;
    if (outer.open.includes(familyOf(ip))) return;
    void this.#serial(async () => {
      const opened = this.#watch === undefined ? [] : await outer.follow();
      for (const family of opened)
        context.log('info', 'the port is open in a family more', { family });
    }).catch((error: unknown) => {
      context.log('warn', 'the port is not open in a family more', { error: String(error) });
    });
  }

  #mendAlt({ ip }: RouteEvent & { kind: 'address' }): void {
    const { alts, peers } = this.#parts;
    const address = parseOuterIp(ip);
    for (const id of address === undefined ? [] : alts.users(address)) {
      const peer = peers.get(id);
      if (peer) this.peer(peer, 'alternative address');
    }
  }

  /** Ours go too when we remove them, but by the time we hear of it they are no longer asked for. */
  #routeGone({ oif, destination, prefix }: RouteEvent & { kind: 'route' }): void {
    const { peers, unreachable } = this.#parts;
    const peer = oif === undefined ? undefined : peers.byDevice(oif);
    if (peer === undefined) {
      // Those of IPv6 lead out of the loopback device.
      if (unreachable.has(destination, prefix)) this.#mendUnreachable();
      return;
    }
    const gone = formatPrefix({ ip: destination, length: prefix });
    if (peer.prefixes.some((wanted) => formatPrefix(wanted) === gone)) {
      this.peer(peer, 'route to a peer');
    }
  }

  #mendUnreachable(): void {
    this.#repair('routes of the last resort', () => this.#parts.unreachable.repair());
  }

  /** Says whether anything was to be mended. */
  async #mend(peer: Peer): Promise<boolean> {
    const { admission } = peer;
    if (admission === undefined) return false;
    const link = await peer.device.find();
    const stands = link?.up === true && (await peer.device.hasAddresses(peer));
    const { alt } = admission;
    const whole = stands && (alt === undefined || (await this.#parts.alts.present(alt)));
    const mendedRoutes = await this.#admissions.settle(peer, admission);
    return !whole || mendedRoutes > 0;
  }

  #repair(what: string, work: () => Promise<boolean>): void {
    void putBack(this.#parts.context, what, () =>
      this.#serial(async () => (this.#watch !== undefined && (await work()) ? [what] : [])),
    );
  }
}
