import { familyOf, type Family, type OuterIp } from '../../../core/addr.ts';
import { familyName } from '../../../core/config/families.ts';
import { IpipouError } from '../../../core/errors.ts';
import { IFF_LOOPBACK } from '../../../core/netlink/link.ts';
import type { FouListener, FouNetlink } from '../../netlink/fou.ts';
import type { RouteNetlink } from '../../netlink/route.ts';
import type { PlaneContext } from '../../../ports/data-plane.ts';
import { listenFamilies } from '../families.ts';
import { configuredRemote } from '../inner-mtu.ts';
import type { Guard } from './guard.ts';
import { isTunnelOfPort, listenerOf, outerModules } from './kinds.ts';
import { ensureListener, findListener } from './listener.ts';
import { outerDevice } from './outer-side.ts';
import { missingModule } from './requirements.ts';
import type { RunRecord } from './run-record.ts';

type Parts = {
  readonly context: PlaneContext;
  readonly route: RouteNetlink;
  readonly fou: FouNetlink;
  readonly guard: Guard;
  readonly record: RunRecord;
};

/** What the kernel has, and what of it the config allows. */
type Machine = { readonly missing: typeof missingModule; readonly allowed: readonly Family[] };

/**
 * The outer families that the tunnel has its port in: a FOU listener, behind the guard. At the start it is open
 * in those that the host has addresses of (a client whose server is an address needs that one's), so that a
 * tunnel of IPv4 alone is made of what it always was. Any other that the config allows is opened when a peer is
 * to be admitted there, or the host gets an address. None is closed before the end.
 */
export class OuterFamilies {
  readonly #parts: Parts;
  readonly #missing: Machine['missing'];
  readonly #allowed: readonly Family[];
  #open: readonly Family[] = [];
  /** Why a family could not be opened, where that was told. */
  readonly #told = new Map<Family, string>();

  constructor(
    parts: Parts,
    machine: Machine = { missing: missingModule, allowed: listenFamilies(parts.context.config) },
  ) {
    this.#parts = parts;
    this.#missing = machine.missing;
    this.#allowed = machine.allowed;
  }

  get open(): readonly Family[] {
    return this.#open;
  }

  /** Which to begin with, those of peers that are `adopted` at these addresses among them. Changes nothing. */
  async first(adopted: readonly OuterIp[]): Promise<readonly Family[]> {
    const { config } = this.#parts.context;
    const remote = config.role === 'client' ? configuredRemote(config) : undefined;
    const wanted = new Set(adopted.map(familyOf));
    if (remote !== undefined) wanted.add(familyOf(remote));
    for (const family of remote === undefined ? this.#allowed : []) {
      const sure = family === 'ipv4' || this.#allowed.length === 1;
      if (sure || (await this.#hostHas(family))) wanted.add(family);
    }
    return this.#allowed.filter((family) => wanted.has(family));
  }

  /** Makes the listeners of the start, behind a guard that stands already. A host that cannot do one does the other. */
  async openFirst(families: readonly Family[]): Promise<void> {
    for (const family of families) {
      try {
        await this.#listen(family);
      } catch (error) {
        const others = families.filter((other) => other !== family);
        const spare = family === 'ipv6' && others.length > 0 && this.#allowed.length > 1;
        if (!spare) throw error;
        this.#parts.guard.listenIn(others);
        this.#told.set(family, String(error));
        this.#parts.context.log('warn', 'the port is not open for IPv6', { error: String(error) });
      }
    }
  }

  /** Removes the listeners that an earlier run had in other families than these, while its rules still stand before them. */
  async closeOthers(families: readonly Family[]): Promise<void> {
    const { context, fou, record } = this.#parts;
    for (const family of record.madeListeners) {
      if (families.includes(family)) continue;
      await fou.remove({ family, port: context.config.outer.localPort });
      record.removeMadeListener(family);
    }
  }

  /** Whether the port may be open in the family of an address. */
  allows(address: OuterIp): boolean {
    return this.#allowed.includes(familyOf(address));
  }

  /** Opens the port in a family where it is not. */
  async ensure(family: Family): Promise<void> {
    if (this.#open.includes(family)) return;
    if (!this.#allowed.includes(family)) {
      throw new IpipouError('createTunnel', `the tunnel has no port in ${familyName(family)}`, {
        hint: 'see fou-family and fou-local-ip',
      });
    }
    this.#parts.guard.listenIn([...this.#open, family]);
    await this.#listen(family);
  }

  /**
   * Opens what the config allows and the host has an address of since; says what was opened. Routers renew addresses
   * all the time, so the same failure is told once.
   */
  async follow(): Promise<readonly Family[]> {
    const opened: Family[] = [];
    if (this.#parts.context.config.role !== 'server') return opened;
    for (const family of this.#allowed) {
      if (this.#open.includes(family) || !(await this.#hostHas(family))) continue;
      try {
        await this.ensure(family);
        opened.push(family);
      } catch (error) {
        if (this.#told.get(family) === String(error)) continue;
        this.#told.set(family, String(error));
        throw error;
      }
    }
    return opened;
  }

  /** Puts back listeners that are gone; says whether there were any. */
  async mend(): Promise<boolean> {
    let mended = false;
    for (const family of this.#open) mended = (await this.#listen(family)) || mended;
    return mended;
  }

  /** Whether all listeners are among these. */
  areThere(listeners: readonly FouListener[]): boolean {
    const { localPort: port } = this.#parts.context.config.outer;
    return this.#open.every((family) => findListener(listeners, { family, port }));
  }

  /** Removes the listeners that are ours. */
  async close(): Promise<void> {
    const { context, fou, record } = this.#parts;
    for (const family of record.madeListeners)
      await fou.remove({ family, port: context.config.outer.localPort });
    this.#open = [];
  }

  async #listen(family: Family): Promise<boolean> {
    const { context, fou, record } = this.#parts;
    const { config } = context;
    const missing = await this.#missing(outerModules(config, family));
    if (missing) {
      throw new IpipouError('modprobe', `${missing.what}: ${missing.detail}`, {
        ...(missing.fix === undefined ? {} : { hint: missing.fix }),
      });
    }
    const made = await ensureListener(fou, listenerOf(config, family), {
      ours: record.madeListeners.includes(family),
      announce: () => record.addMadeListener(family),
    });
    if (!made && !record.madeListeners.includes(family)) {
      context.log('warn', 'the FOU port was there already; it is used and will be left', {
        port: config.outer.localPort,
        family,
      });
    }
    if (!this.#open.includes(family)) this.#open = [...this.#open, family];
    return made;
  }

  /** Whether the host, or the outer device, has an address that is known beyond the link, and not by a tunnel of ours. */
  async #hostHas(family: Family): Promise<boolean> {
    const { context, route } = this.#parts;
    const { config } = context;
    const outer = await outerDevice(route, config);
    const usable = new Set(
      (await route.links())
        .filter((link) => (link.flags & IFF_LOOPBACK) === 0)
        .filter((link) => !isTunnelOfPort(link, config.outer.localPort))
        .filter(({ index }) => outer === undefined || index === outer)
        .map(({ index }) => index),
    );
    const addresses = await route.addresses({ family });
    return addresses.some(({ index, scope }) => scope === 'global' && usable.has(index));
  }
}
