import { parseOuterIp, type OuterIp } from '../core/addr.ts';
import { unusableBy } from '../core/session/usable-address.ts';
import { millis, type IfIndex, type Millis } from '../core/units.ts';
import type { HostNetwork, OutwardRoute } from '../ports/host-network.ts';
import { watchRoutes, type RouteWatch } from './netlink/monitor.ts';
import { openRouteNetlink, type RouteNetlink } from './netlink/route.ts';

/** Changes come in swarms (a link that goes up brings addresses and routes): one call for all within this time. */
const COALESCE = millis(50);

/** Opens the view of the calling thread's network namespace; failures of the kernel reject with KernelError. */
export function openHostNetwork(): HostNetwork & Disposable & { close(): void } {
  return new KernelHostNetwork();
}

class KernelHostNetwork implements HostNetwork, Disposable {
  readonly #route: RouteNetlink;
  readonly #watch: RouteWatch;
  readonly #callbacks = new Set<{ readonly call: () => void }>();
  #timer: NodeJS.Timeout | undefined;

  constructor(coalesce: Millis = COALESCE) {
    this.#route = openRouteNetlink();
    try {
      // An overrun hides changes, so it counts as one.
      this.#watch = watchRoutes(() => this.#changed(coalesce));
    } catch (error) {
      this.#route.close();
      throw error;
    }
  }

  async firstAddress(device: string): Promise<OuterIp | undefined> {
    const link = await this.#route.linkByName(device);
    if (!link) return undefined;
    const addresses = await this.#route.addresses({ index: link.index, family: 'ipv4' });
    // The kernel lists narrower scopes before, which other hosts need not reach.
    const first = addresses.find(({ scope }) => scope === 'global') ?? addresses[0];
    return first && parseOuterIp(first.ip);
  }

  async hasDevice(device: string): Promise<boolean> {
    return (await this.#route.linkByName(device)) !== undefined;
  }

  async routeTo(remote: OuterIp, device: string | undefined): Promise<OutwardRoute | undefined> {
    let oif: IfIndex | undefined;
    if (device !== undefined) {
      oif = (await this.#route.linkByName(device))?.index;
      if (oif === undefined) return undefined;
    }
    const answer = await this.#route.routeTo(remote, { oif });
    const link = answer && (await this.#route.linkByIndex(answer.oif));
    // A link-local source is what the kernel takes where it has a route and no address yet: nobody can answer it.
    if (!link || unusableBy(answer.source) === 'link-local') return undefined;
    const mtu = await this.#route.ownMtu(remote, { oif });
    // Of a device the kernel says of every IPv4 address that it is on its link, where no route leads there.
    if (mtu === undefined) return undefined;
    return { source: answer.source, device: link.name, mtu };
  }

  onChange(callback: () => void): () => void {
    const entry = { call: callback };
    this.#callbacks.add(entry);
    return () => void this.#callbacks.delete(entry);
  }

  #changed(coalesce: Millis): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      for (const { call } of [...this.#callbacks]) call();
    }, coalesce);
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#callbacks.clear();
    this.#watch.close();
    this.#route.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
