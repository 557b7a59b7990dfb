/**
 * The routes to peers' prefixes out of tunnel devices, in the main table and without a metric, as a
 * person would write them. They carry our protocol number, so that what a run left is known for ours.
 *
 * A peer whose path is smaller than its device gets an `mtu` on its routes. The kernel then does what
 * is due: a packet that is too big and may not be fragmented is answered
 * with "fragmentation needed" when it is forwarded (RFC 1191) and with EMSGSIZE when it is our own;
 * others are fragmented; our own TCP advertises an MSS that fits, so RTAX_ADVMSS is not needed.
 *
 * IPv6 needs ways of 1280 bytes (RFC 8200, section 5). Where a peer's takes less, its IPv6 prefixes lead nowhere
 * (`unreachable`) until it takes that much again, and it is told once as a failure; its IPv4 goes on.
 */
import { familyOf, formatPrefix, type Ip, type OuterIp, type Prefix } from '../../core/addr.ts';
import { capturesOuter } from '../../core/captures-outer.ts';
import { asError, IpipouError, KernelError } from '../../core/errors.ts';
import { plainPriority, RT_TABLE_MAIN } from '../../core/netlink/route.ts';
import { PrefixMap } from '../../core/prefix-map.ts';
import type { IfIndex } from '../../core/units.ts';
import { IPV6_MIN_MTU } from '../../core/wire/ipv6.ts';
import type { PeerId, TakenPrefix } from '../../ports/data-plane.ts';
import type {
  Route,
  RouteChange,
  RouteFailure,
  RouteNetlink,
  RouteSpec,
} from '../netlink/route.ts';
import { RTPROT_IPIPOU } from './route-protocol.ts';
import type { UnreachableRoutes } from './unreachable-routes.ts';

/** Where a peer's prefixes lead. */
export type PeerRouting = {
  /** Must be up: the kernel takes no routes out of a device that is down, and drops those that it had. */
  readonly device: IfIndex;
  readonly prefixes: readonly Prefix[];
  /** Largest inner packet (bytes), less than the device's MTU; undefined = the device's. */
  readonly mtu: number | undefined;
  /** Where the peer's outer packets go, as far as is known. */
  readonly outer?: OuterIp | undefined;
};

/** A route that could not be made, changed or removed. EEXIST: somebody else's leads there already. */
export type PeerRouteFailure = { readonly prefix: Prefix<Ip>; readonly error: Error };

/** `holder`: out of which device the route leads that is there already, where that is known. */
type Refused = RouteFailure & { readonly holder?: IfIndex | undefined };

/** What all routes of a peer have in common. `peer` is undefined for routes of an earlier run. */
type Owned = PeerRouting & { readonly peer: PeerId | undefined };

/** Routes that are in the kernel, or are to be. */
type RouteTable = PrefixMap<Owned>;

/**
 * Keeps the routes of many peers. One that could take the outer path into the tunnel is not made, and told once
 * as a failure. Remembers what it made, so that a change costs only what differs.
 * Calls must be made one at a time. Closing the netlink socket is its owner's, and leaves the routes.
 */
export class PeerRoutes {
  readonly #route: RouteNetlink;
  /** As many as the tunnel has peers. */
  readonly #peers = new Map<PeerId, Owned>();
  /** What is in the kernel as far as we know; as many as the peers have prefixes. */
  readonly #made: RouteTable = new PrefixMap();
  /** What was told of the peers that have prefixes without a route. */
  readonly #withheld = new Map<PeerId, string>();
  /** What another route of the host has, by prefix. */
  readonly #taken = new Map<string, TakenPrefix>();
  readonly #lastResort: UnreachableRoutes | undefined;
  /** Of peers whose way takes no IPv6, where there is a last resort to lead them to. */
  readonly #blocked = new Map<PeerId, readonly Prefix[]>();
  /** Whether it is known what an earlier run has left of the last resort. */
  #recalled = false;

  /** `lastResort`: where what may not go out of the device leads, unless its owner sees to that. */
  constructor(route: RouteNetlink, lastResort?: UnreachableRoutes) {
    this.#route = route;
    this.#lastResort = lastResort;
  }

  /**
   * Makes the routes of these peers exactly what is said here; other peers' stay. Where two peers
   * claim one prefix the later one has it. A route that is there already and is not ours is left
   * alone and told as a failure (EEXIST), but one that leads out of the same device (the kernel's own,
   * to the peer of an address) is taken over. What failed is tried again by the next call for its peer, and by `retry`.
   */
  async set(peers: ReadonlyMap<PeerId, PeerRouting>): Promise<readonly PeerRouteFailure[]> {
    const before = [...peers.keys()].flatMap((peer) => this.#madeFor(peer));
    const wanted: RouteTable = new PrefixMap();
    const withheld: PeerRouteFailure[] = [];
    const unblocked: Prefix[] = [];
    const taken = [...peers.keys()].flatMap((peer) => this.takenOf(peer));
    for (const [peer, { device, prefixes, mtu, outer }] of peers) {
      const owned = { peer, device, prefixes, mtu, outer };
      this.#peers.set(peer, owned);
      claim(wanted, owned);
      withheld.push(...this.#newlyWithheld(peer, owned));
      unblocked.push(...this.#block(peer, blockedOf(owned)));
    }
    // What changes between device and last resort is for a moment in both, never in none.
    const failures = [
      ...(await this.#holdBack(unblocked)),
      ...(await this.#change(before, wanted)),
      ...(unblocked.length > 0 ? await this.#holdBack([]) : []),
    ];
    this.#forgetTaken(taken.filter(({ prefix }) => !wanted.has(prefix)));
    return [...withheld, ...failures];
  }

  /** Removes the routes of these peers; unknown ones do no harm. */
  async remove(peers: Iterable<PeerId>): Promise<readonly PeerRouteFailure[]> {
    const doomed = [...peers];
    const before = doomed.flatMap((peer) => this.#madeFor(peer));
    const unblocked: Prefix[] = [];
    for (const peer of doomed) {
      this.#forgetTaken(this.takenOf(peer));
      this.#peers.delete(peer);
      this.#withheld.delete(peer);
      unblocked.push(...this.#block(peer, []));
    }
    const failures = await this.#change(before, new PrefixMap());
    return unblocked.length === 0 ? failures : [...failures, ...(await this.#holdBack([]))];
  }

  /** What other routes of the host have, of all peers. */
  get taken(): readonly TakenPrefix[] {
    return [...this.#taken.values()];
  }

  takenOf(peer: PeerId): readonly TakenPrefix[] {
    if (this.#taken.size === 0) return [];
    const prefixes = this.#peers.get(peer)?.prefixes ?? [];
    const taken = prefixes.flatMap((prefix) => this.#taken.get(formatPrefix(prefix)) ?? []);
    return taken.filter((one) => one.peer === peer);
  }

  /** Tries to make what other routes had; the prefixes of which that is done. */
  async retry(): Promise<readonly Prefix<Ip>[]> {
    const wanted: RouteTable = new PrefixMap();
    for (const { peer, prefix } of this.#taken.values()) {
      const owned = this.#peers.get(peer);
      if (owned) wanted.set(prefix, owned);
    }
    const changes = this.#changes([], wanted);
    if (changes.length === 0) return [];
    const refused = await this.#route.changeRoutes(changes);
    const still = new Set(refused.map(({ change }) => formatPrefix(prefixOf(change.spec))));
    const made = [...wanted.entries()].filter(([prefix]) => !still.has(formatPrefix(prefix)));
    for (const [prefix, owned] of made) {
      this.#made.set(prefix, owned);
      this.#taken.delete(formatPrefix(prefix));
    }
    return made.map(([prefix]) => prefix);
  }

  /** Takes the last resort away, for good: other routes go with their device. */
  async close(): Promise<void> {
    await this.#lastResort?.set([]);
  }

  /** Forgets what led out of a device that is gone or was down: the kernel has dropped it. */
  forgetDevice(device: IfIndex): void {
    for (const prefix of this.#madeOutOf(device)) this.#made.delete(prefix);
  }

  /** Learns what an earlier run has made out of a device, so that `set` changes only what differs. */
  async recall(device: IfIndex): Promise<void> {
    this.forgetDevice(device);
    for (const route of await this.#route.routes({ protocol: RTPROT_IPIPOU, oif: device })) {
      if (!isPlain(route)) continue;
      this.#made.set(prefixOf(route), { peer: undefined, device, prefixes: [], mtu: route.mtu });
    }
  }

  /**
   * Looks at what the kernel has out of a device and puts it in order: makes what is missing or
   * differs, removes what is ours and no peer's (of an earlier run). Says how many routes it mended.
   */
  async reconcile(
    device: IfIndex,
  ): Promise<{ readonly mended: number; readonly failures: readonly PeerRouteFailure[] }> {
    await this.recall(device);
    const there = this.#madeOutOf(device);
    const wanted: RouteTable = new PrefixMap();
    for (const owned of this.#peers.values()) if (owned.device === device) claim(wanted, owned);
    const mended = this.#changes(there, wanted).length;
    const failures = await this.#change(there, wanted);
    const repaired = this.#blocked.size > 0 && (await this.#lastResort?.repair()) ? 1 : 0;
    return { mended: mended - failures.length + repaired, failures };
  }

  #newlyWithheld(peer: PeerId, owned: Owned): readonly PeerRouteFailure[] {
    const captures = owned.prefixes.filter((prefix) => capturesOuter(prefix, owned.outer));
    const [blocked] = blockedOf(owned);
    const words = [...captures.map(formatPrefix), ...(blocked ? ['IPv6'] : [])].join(' ');
    if (words === (this.#withheld.get(peer) ?? '')) return [];
    if (words === '') this.#withheld.delete(peer);
    else this.#withheld.set(peer, words);
    const told = captures.map((prefix) => ({
      prefix,
      error: new IpipouError('generic', WITHHELD),
    }));
    return blocked
      ? [...told, { prefix: blocked, error: new IpipouError('generic', tooSmall(owned.mtu)) }]
      : told;
  }

  /** Remembers which prefixes of a peer are blocked now; those that were and are no more. */
  #block(peer: PeerId, blocked: readonly Prefix[]): readonly Prefix[] {
    if (this.#lastResort === undefined) return [];
    const before = this.#blocked.get(peer) ?? [];
    if (blocked.length > 0) this.#blocked.set(peer, blocked);
    else this.#blocked.delete(peer);
    const still = new Set(blocked.map(formatPrefix));
    return before.filter((prefix) => !still.has(formatPrefix(prefix)));
  }

  /** Makes the last resort what is blocked, and `besides`. */
  async #holdBack(besides: readonly Prefix[]): Promise<readonly PeerRouteFailure[]> {
    if (this.#lastResort === undefined) return [];
    const wanted = [...this.#blocked.values(), besides].flat();
    try {
      if (this.#recalled) await this.#lastResort.set(wanted);
      else await this.#lastResort.reconcile(wanted);
      this.#recalled = true;
      return [];
    } catch (error) {
      const [prefix] = wanted;
      return prefix ? [{ prefix, error: asError(error) }] : [];
    }
  }

  #madeOutOf(device: IfIndex): readonly Prefix<Ip>[] {
    const made: Prefix<Ip>[] = [];
    for (const [prefix, owned] of this.#made.entries())
      if (owned.device === device) made.push(prefix);
    return made;
  }

  /** What is made for a peer and is still its own. */
  #madeFor(peer: PeerId): readonly Prefix<Ip>[] {
    const prefixes = this.#peers.get(peer)?.prefixes ?? [];
    return prefixes.filter((prefix) => this.#made.get(prefix)?.peer === peer);
  }

  /** What of `before` is not wanted goes, then what is wanted comes. */
  #changes(before: readonly Prefix<Ip>[], wanted: RouteTable): readonly RouteChange[] {
    const changes: RouteChange[] = [];
    for (const prefix of before) {
      const made = this.#made.get(prefix);
      if (made && !wanted.has(prefix)) {
        changes.push({ kind: 'remove', spec: specOf(prefix, made, 'remove') });
      }
    }
    for (const [prefix, route] of wanted.entries()) {
      const made = this.#made.get(prefix);
      if (made?.device === route.device && made.mtu === route.mtu) continue;
      changes.push({ kind: made ? 'replace' : 'create', spec: specOf(prefix, route, 'make') });
    }
    return changes;
  }

  async #change(
    before: readonly Prefix<Ip>[],
    wanted: RouteTable,
  ): Promise<readonly PeerRouteFailure[]> {
    const refused = await this.#route.changeRoutes(this.#changes(before, wanted));
    const failed = new PrefixMap<Error>();
    const left = await this.#takeOver(refused);
    for (const { change, error } of left) failed.set(prefixOf(change.spec), error);
    await this.#noteTaken(wanted, left);
    for (const prefix of before) {
      if (!wanted.has(prefix) && !failed.has(prefix)) this.#made.delete(prefix);
    }
    for (const [prefix, route] of wanted.entries()) {
      if (!failed.has(prefix)) this.#made.set(prefix, route);
    }
    return [...failed.entries()].map(([prefix, error]) => ({ prefix, error }));
  }

  /** Replaces what could not be made because a route is there already, where that route is ours to replace. */
  async #takeOver(failures: readonly RouteFailure[]): Promise<readonly Refused[]> {
    if (!failures.some(isTaken)) return failures;
    const there = new PrefixMap<Route>();
    for (const route of await this.#route.routes()) {
      if (isPlain(route)) there.set(prefixOf(route), route);
    }
    const again: RouteChange[] = [];
    const left: Refused[] = [];
    for (const failure of failures) {
      const { spec } = failure.change;
      const holder = there.get(prefixOf(spec))?.oif;
      if (isTaken(failure) && holder === spec.oif) again.push({ kind: 'replace', spec });
      else left.push({ ...failure, holder });
    }
    return [...left, ...(await this.#route.changeRoutes(again))];
  }

  /** Notes of what is wanted whether another route has it. */
  async #noteTaken(wanted: RouteTable, refused: readonly Refused[]): Promise<void> {
    const taken = refused.filter(isTaken);
    const holders = new Set(taken.flatMap(({ holder }) => holder ?? []));
    const names = new Map<IfIndex, string | undefined>();
    for (const index of holders) names.set(index, (await this.#route.linkByIndex(index))?.name);
    if (this.#taken.size > 0)
      for (const [prefix] of wanted.entries()) this.#taken.delete(formatPrefix(prefix));
    for (const { change, holder } of taken) {
      const prefix = prefixOf(change.spec);
      const peer = wanted.get(prefix)?.peer;
      const device = holder === undefined ? undefined : names.get(holder);
      if (peer !== undefined) this.#taken.set(formatPrefix(prefix), { peer, prefix, device });
    }
  }

  #forgetTaken(taken: readonly TakenPrefix[]): void {
    for (const { prefix } of taken) this.#taken.delete(formatPrefix(prefix));
  }
}

/** Puts in the routes that a peer asks for and may have; of several peers that claim one the last has it. */
function claim(table: RouteTable, owned: Owned): void {
  for (const prefix of owned.prefixes) {
    if (capturesOuter(prefix, owned.outer) || isBlocked(prefix, owned.mtu)) continue;
    table.set(prefix, owned);
  }
}

/** What a peer may have, but its way does not take. */
function blockedOf({ prefixes, mtu, outer }: Owned): readonly Prefix[] {
  if (mtu === undefined || mtu >= IPV6_MIN_MTU) return [];
  return prefixes.filter((prefix) => isBlocked(prefix, mtu) && !capturesOuter(prefix, outer));
}

function isBlocked(prefix: Prefix<Ip>, mtu: number | undefined): boolean {
  return mtu !== undefined && mtu < IPV6_MIN_MTU && familyOf(prefix.ip) === 'ipv6';
}

function tooSmall(mtu: number | undefined): string {
  return (
    `the way to the peer takes packets of ${mtu} bytes, and IPv6 needs ${IPV6_MIN_MTU}: its IPv6 is ` +
    'unreachable until the way takes that much'
  );
}

const WITHHELD =
  'it could take the outer packets of the tunnel into the tunnel; make the routes that you want by hand, ' +
  'and let one to the outer address of the other side go by the outer device';

/** A removal leaves the MTU out: it would have to be exactly the route's (fib_metrics_match). */
function specOf(
  { ip, length }: Prefix<Ip>,
  { device, mtu }: Owned,
  purpose: 'make' | 'remove',
): RouteSpec {
  return {
    destination: ip,
    prefix: length,
    oif: device,
    protocol: RTPROT_IPIPOU,
    mtu: purpose === 'make' ? mtu : undefined,
  };
}

function prefixOf({ destination, prefix }: Pick<RouteSpec, 'destination' | 'prefix'>): Prefix<Ip> {
  return { ip: destination, length: prefix };
}

/** In the main table, without a metric: what a route of ours can be or collide with. */
function isPlain(route: Route): boolean {
  const plain = plainPriority(familyOf(route.destination));
  return route.table === RT_TABLE_MAIN && (route.priority ?? 0) === plain;
}

function isTaken({ error }: RouteFailure): boolean {
  return error instanceof KernelError && error.errno === 'EEXIST';
}
