import type { Ipv4 } from '../../../core/addr.ts';
import { IpipouError, withExit } from '../../../core/errors.ts';
import type { IfIndex } from '../../../core/units.ts';
import type { RouteNetlink } from '../../netlink/route.ts';

/**
 * The alternative local address of a tunnel: a private address on the loopback device that stands
 * for the public one where another tunnel has the same outer addresses already (a second client
 * behind one public address). The guard rewrites it on the way in and out.
 */
export class LocalAlt {
  readonly address: Ipv4;
  readonly #route: RouteNetlink;
  #inUse = false;
  #made = false;

  constructor(route: RouteNetlink, address: Ipv4) {
    this.#route = route;
    this.address = address;
  }

  get inUse(): boolean {
    return this.#inUse;
  }

  /** The address while it stands for the public one. */
  get current(): Ipv4 | undefined {
    return this.#inUse ? this.address : undefined;
  }

  /** Whether the address is ours to take away; one that was there before is used and left. */
  get made(): boolean {
    return this.#made;
  }

  /** Goes on with what an earlier run did. */
  adopt(made: boolean): void {
    this.#inUse = true;
    this.#made = made;
  }

  /** Puts the address on the loopback device when it is not there; `announce` is called before. */
  async use(announce: (made: boolean) => void): Promise<void> {
    this.#inUse = true;
    if (await this.present()) {
      announce(this.#made);
      return;
    }
    announce(true);
    this.#made = true;
    try {
      await this.#route.addAddress({
        index: await this.#loopback(),
        ip: this.address,
        prefix: 32,
        scope: 'host',
      });
    } catch (error) {
      throw withExit(error, 'address', 'fou-local-ip-alt must be free on this host');
    }
  }

  async present(): Promise<boolean> {
    const addresses = await this.#route.addresses({ index: await this.#loopback() });
    return addresses.some((address) => address.ip === this.address);
  }

  /** Takes the address away; quiet when it is gone or is not ours. */
  async remove(): Promise<void> {
    if (!this.#inUse) return;
    this.#inUse = false;
    if (!this.#made || !(await this.present())) return;
    this.#made = false;
    await this.#route.removeAddress({
      index: await this.#loopback(),
      ip: this.address,
      prefix: 32,
    });
  }

  async #loopback(): Promise<IfIndex> {
    const link = await this.#route.linkByName('lo');
    if (link === undefined) throw new IpipouError('link', 'this namespace has no loopback device');
    return link.index;
  }
}
