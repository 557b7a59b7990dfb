import { REPAIR_RATE } from '../../../core/budgets.ts';
import type { IfIndex } from '../../../core/units.ts';
import type { PlaneContext } from '../../../ports/data-plane.ts';
import { watchRoutes, type RouteEvent, type RouteWatch } from '../../netlink/monitor.ts';
import { watchTrafficControl } from '../../netlink/tc.ts';
import { TokenBucket } from '../token-bucket.ts';
import { SETTLE } from './limits.ts';

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
 * swarms, so everything is looked at once when it has settled; repairs are limited, so that two
 * programs which undo each other's work do not fill a processor.
 */
export class Repairs {
  readonly #context: PlaneContext;
  readonly #owner: Repairing;
  readonly #routeWatch: RouteWatch;
  readonly #tcWatch: { close(): void };
  readonly #bucket = new TokenBucket(REPAIR_RATE, performance.now());
  #repairTimer: NodeJS.Timeout | undefined;
  #followTimer: NodeJS.Timeout | undefined;

  constructor(context: PlaneContext, owner: Repairing) {
    this.#context = context;
    this.#owner = owner;
    this.#routeWatch = watchRoutes((event) => {
      this.#onRouteEvent(event);
    });
    try {
      this.#tcWatch = watchTrafficControl((index) => {
        const concerned = index === undefined || owner.isOurs(index) || owner.isAttached(index);
        if (concerned) this.repair();
      });
    } catch (error) {
      this.#routeWatch.close();
      throw error;
    }
  }

  /** Looks at everything of ours soon. */
  repair(): void {
    if (this.#repairTimer) return;
    const delay = this.#bucket.take(performance.now()) ? SETTLE : 1000 / REPAIR_RATE.perSecond;
    this.#repairTimer = setTimeout(() => {
      this.#repairTimer = undefined;
      void this.#restore();
    }, delay).unref();
  }

  close(): void {
    clearTimeout(this.#repairTimer);
    clearTimeout(this.#followTimer);
    this.#routeWatch.close();
    this.#tcWatch.close();
  }

  async #restore(): Promise<void> {
    const { listener, log } = this.#context;
    try {
      for (const what of await this.#owner.restore()) listener.disturbed(what, true);
    } catch (error) {
      const what = `device ${this.#context.config.inner.device}`;
      log('error', 'the tunnel could not be put back', { error: String(error) });
      listener.disturbed(what, false);
    }
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
        else if (event.change === 'delete' || !event.up) this.repair();
        return;
      case 'address':
        if (!this.#owner.isOurs(event.index)) this.#follow();
        else if (event.change === 'delete') this.repair();
        return;
      case 'route':
        if (!this.#owner.isOurs(event.oif)) this.#follow();
        else if (event.change === 'delete') this.repair();
        return;
      case 'overrun':
        this.repair();
        this.#follow();
    }
  }
}
