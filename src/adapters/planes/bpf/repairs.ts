import type { IfIndex } from '../../../core/units.ts';
import type { PlaneContext } from '../../../ports/data-plane.ts';
import { watchRoutes, type RouteEvent, type RouteWatch } from '../../netlink/monitor.ts';
import { watchTrafficControl } from '../../netlink/tc.ts';
import { putBack, RepairTimer, SETTLE } from '../repairs.ts';

/** What the watch asks of its owner. */
export type Repairing = {
  /** Whether this is an end of our pair. */
  readonly isOurs: (index: IfIndex | undefined) => boolean;
  /** Whether a program of ours hangs on this device. */
  readonly isAttached: (index: IfIndex) => boolean;
  /** Looks at everything of ours and puts it back; what was not as it should be, in words. */
  readonly restore: () => Promise<readonly string[]>;
  /** Outer devices, addresses or routes are not what they were. */
  readonly follow: () => void;
};

/**
 * Watches for what others do to our devices, filters and routes, and to the outer path. Changes come in
 * swarms, so everything is looked at once when it has settled.
 */
export class Repairs {
  readonly #owner: Repairing;
  readonly #routeWatch: RouteWatch;
  readonly #tcWatch: { close(): void };
  readonly #repairs: RepairTimer;
  readonly #device: string;
  #followTimer: NodeJS.Timeout | undefined;

  constructor(context: PlaneContext, owner: Repairing) {
    this.#owner = owner;
    this.#device = `device ${context.config.inner.device}`;
    this.#repairs = new RepairTimer((what) => void putBack(context, what, owner.restore));
    this.#routeWatch = watchRoutes((event) => {
      this.#onRouteEvent(event);
    });
    try {
      this.#tcWatch = watchTrafficControl((index) => {
        const concerned = index === undefined || owner.isOurs(index) || owner.isAttached(index);
        if (concerned) this.#repair();
      });
    } catch (error) {
      this.#routeWatch.close();
      throw error;
    }
  }

  close(): void {
    this.#repairs.close();
    clearTimeout(this.#followTimer);
    this.#routeWatch.close();
    this.#tcWatch.close();
  }

  #repair(): void {
    this.#repairs.ask(this.#device);
  }

  #follow(): void {
    this.#followTimer ??= setTimeout(() => {
      this.#followTimer = undefined;
      this.#owner.follow();
    }, SETTLE).unref();
  }

  #onRouteEvent(event: RouteEvent): void {
    switch (event.kind) {
      case 'link':
        if (!this.#owner.isOurs(event.index)) this.#follow();
        else if (event.change === 'delete' || !event.up) this.#repair();
        return;
      case 'address':
        if (!this.#owner.isOurs(event.index)) this.#follow();
        else if (event.change === 'delete') this.#repair();
        return;
      case 'route':
        if (!this.#owner.isOurs(event.oif)) this.#follow();
        else if (event.change === 'delete') this.#repair();
        return;
      case 'overrun':
        this.#repair();
        this.#follow();
    }
  }
}
