import { addToIp, bitsOf, familyOf, parseOuterIp, type OuterIp } from '../../../core/addr.ts';
import type { TunnelConfig } from '../../../core/config/tunnel-config.ts';
import { IpipouError, withExit } from '../../../core/errors.ts';
import type { IfIndex } from '../../../core/units.ts';
import type { PeerId } from '../../../ports/data-plane.ts';
import type { RouteNetlink } from '../../netlink/route.ts';
import { MAX_PEERS } from './limits.ts';

/** fd00::/8, then "ipipou" in ASCII (RFC 4193, 3.2.2 asks for chance; this is as likely to be anybody's). */
const FIRST_IPV6 = parseOuterIp('fd69:7069:706f:7500::');

/** The first alternative address for a peer at `remote`. */
export function firstAlt(
  { number, outer }: Pick<TunnelConfig, 'number' | 'outer'>,
  remote: OuterIp,
): OuterIp {
  if (familyOf(remote) === 'ipv4' || FIRST_IPV6 === undefined) return outer.localIpAlt;
  return addToIp(FIRST_IPV6, number);
}

/**
 * The alternative local addresses of a tunnel: private addresses on the loopback device that stand for
 * the public one where another tunnel device has the same outer addresses already (a second client
 * behind one public address needs one, a third another). The guard rewrites them on the way in and
 * out. They are consecutive, from the first on; peers at different remotes share them.
 */
export class AltAddresses {
  readonly #route: RouteNetlink;
  /** Who uses which; at most MAX_PEERS. */
  readonly #users = new Map<OuterIp, Set<PeerId>>();
  /** Those that are ours to take away; one that was there before is used and left. */
  readonly #made = new Set<OuterIp>();

  constructor(route: RouteNetlink) {
    this.#route = route;
  }

  get made(): readonly OuterIp[] {
    return [...this.#made];
  }

  /** Who uses an address. */
  users(address: OuterIp): readonly PeerId[] {
    return [...(this.#users.get(address) ?? [])];
  }

  /** Goes on with what an earlier run did; `tidy` then removes what of it nobody uses. */
  adopt(made: readonly OuterIp[]): void {
    for (const address of made) this.#made.add(address);
  }

  /** The first address from `first` on that can be used and is not `taken`. */
  async choose(first: OuterIp, taken: ReadonlySet<OuterIp>): Promise<OuterIp> {
    const present = new Set((await this.#route.addresses()).map(({ ip }) => ip));
    for (let count = 0; count < MAX_PEERS; count++) {
      const address = addToIp(first, count);
      // The configured one may have been put there for us; what others have beyond it is theirs.
      const foreign = count > 0 && present.has(address) && !this.#made.has(address);
      if (!foreign && !taken.has(address)) return address;
    }
    throw new IpipouError(
      'createTunnel',
      `no alternative local address is free among the ${MAX_PEERS} from ${first} on`,
      { hint: 'choose another range with fou-local-ip-alt' },
    );
  }

  /**
   * Puts the address on the loopback device when it is not there; `announce` is called before, when
   * `made` has changed.
   */
  async use(peer: PeerId, address: OuterIp, announce: () => void): Promise<void> {
    this.#usersOf(address).add(peer);
    if (await this.present(address)) return;
    this.#made.add(address);
    announce();
    try {
      const index = await this.#loopback();
      const prefix = bitsOf(familyOf(address));
      // The kernel must not choose it for what others send.
      const ipv6 = familyOf(address) === 'ipv6' ? { noDad: true, deprecated: true } : {};
      await this.#route.addAddress({ index, ip: address, prefix, scope: 'host', ...ipv6 });
    } catch (error) {
      throw withExit(error, 'address', 'fou-local-ip-alt must be free on this host');
    }
  }

  async present(address: OuterIp): Promise<boolean> {
    const addresses = await this.#route.addresses({ index: await this.#loopback() });
    return addresses.some(({ ip }) => ip === address);
  }

  /**
   * The peer uses `kept` alone from now on, or none. What nobody uses then is taken away, where it was
   * ours; says whether anything was.
   */
  async keepOnly(peer: PeerId, kept: OuterIp | undefined): Promise<boolean> {
    for (const [address, users] of this.#users) {
      if (address !== kept && users.delete(peer) && users.size === 0) this.#users.delete(address);
    }
    return this.tidy();
  }

  /** Takes away what is ours and used by nobody, here or in another tunnel; says whether there was any. */
  async tidy(): Promise<boolean> {
    const unused = this.made.filter((address) => !this.#users.has(address));
    if (unused.length === 0) return false;
    const links = await this.#route.links();
    const index = await this.#loopback();
    for (const address of unused) {
      if (!links.some(({ tunnel }) => tunnel?.local === address)) {
        const prefix = bitsOf(familyOf(address));
        await this.#route.removeAddress({ index, ip: address, prefix });
      }
      this.#made.delete(address);
    }
    return true;
  }

  /** Takes away all that is ours, whoever uses it. */
  async removeAll(): Promise<void> {
    this.#users.clear();
    await this.tidy();
  }

  #usersOf(address: OuterIp): Set<PeerId> {
    const users = this.#users.get(address) ?? new Set<PeerId>();
    this.#users.set(address, users);
    return users;
  }

  async #loopback(): Promise<IfIndex> {
    const link = await this.#route.linkByName('lo');
    if (link === undefined) throw new IpipouError('link', 'this namespace has no loopback device');
    return link.index;
  }
}
