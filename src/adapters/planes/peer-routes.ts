/**
 * The routes to peers' prefixes out of tunnel devices, in the main table and without a metric, as a
 * person would write them. They carry our protocol number, so that what a run left is known for ours.
 *
 * A peer whose path is smaller than its device gets an `mtu` on its routes. The kernel then does what
 * is due: a packet that is too big and may not be fragmented is answered
 * with "fragmentation needed" when it is forwarded (RFC 1191) and with EMSGSIZE when it is our own;
 * others are fragmented; our own TCP advertises an MSS that fits, so RTAX_ADVMSS is not needed.
 */
import { formatPrefix, type Prefix } from '../../core/addr.ts';
import { KernelError } from '../../core/errors.ts';
import { RT_TABLE_MAIN } from '../../core/netlink/route.ts';
import type { IfIndex } from '../../core/units.ts';
import type { PeerId } from '../../ports/data-plane.ts';
import type {
  Route,
  RouteChange,
  RouteFailure,
  RouteNetlink,
  RouteSpec,
} from '../netlink/route.ts';

/** rtm_protocol of our routes: of the numbers that linux/rtnetlink.h leaves to administrators. */
export const RTPROT_IPIPOU = 148;

/** Where a peer's prefixes lead. */
export type PeerRouting = {
  /** Must be up: the kernel takes no routes out of a device that is down, and drops those that it had. */
  readonly device: IfIndex;
  readonly prefixes: readonly Prefix[];
  /** Largest inner packet (bytes), less than the device's MTU; undefined = the device's. */
  readonly mtu: number | undefined;
};

/** A route that could not be made, changed or removed. EEXIST: somebody else's leads there already. */
export type PeerRouteFailure = { readonly prefix: Prefix; readonly error: Error };

/** One route that is in the kernel, or is to be. `peer`: whose it is; undefined = of an earlier run. */
type PeerRoute = {
  readonly peer: PeerId | undefined;
  readonly prefix: Prefix;
  readonly device: IfIndex;
  readonly mtu: number | undefined;
};

/** By prefix in text. */
type RouteTable = ReadonlyMap<string, PeerRoute>;

/**
 * Keeps the routes of many peers. Remembers what it made, so that a change costs only what differs.
 * Calls must be made one at a time. Closing the netlink socket is its owner's, and leaves the routes.
 */
export class PeerRoutes {
  readonly #route: RouteNetlink;
  /** As many as the tunnel has peers. */
  readonly #peers = new Map<PeerId, PeerRouting>();
  /** What is in the kernel as far as we know; as many as the peers have prefixes. */
  readonly #made = new Map<string, PeerRoute>();

  constructor(route: RouteNetlink) {
    this.#route = route;
  }

  /**
   * Makes the routes of these peers exactly what is said here; other peers' stay. Where two peers
   * claim one prefix the later one has it. A route that is there already and is not ours is left
   * alone and told as a failure (EEXIST), but one that leads out of the same device (the kernel's own,
   * to the peer of an address) is taken over. What failed is tried again by the next call for its peer.
   */
  async set(peers: ReadonlyMap<PeerId, PeerRouting>): Promise<readonly PeerRouteFailure[]> {
    const before = [...peers.keys()].flatMap((peer) => this.#madeFor(peer));
    for (const [peer, routing] of peers) this.#peers.set(peer, routing);
    return this.#change(before, tableOf(peers));
  }

  /** Removes the routes of these peers; unknown ones do no harm. */
  async remove(peers: Iterable<PeerId>): Promise<readonly PeerRouteFailure[]> {
    const doomed = [...peers];
    const before = doomed.flatMap((peer) => this.#madeFor(peer));
    for (const peer of doomed) this.#peers.delete(peer);
    return this.#change(before, new Map());
  }

  /** Forgets what led out of a device that is gone or was down: the kernel has dropped it. */
  forgetDevice(device: IfIndex): void {
    for (const [key, made] of this.#made) if (made.device === device) this.#made.delete(key);
  }

  /** Learns what an earlier run has made out of a device, so that `set` changes only what differs. */
  async recall(device: IfIndex): Promise<void> {
    this.forgetDevice(device);
    for (const route of await this.#route.routes({ protocol: RTPROT_IPIPOU, oif: device })) {
      if (!isPlain(route)) continue;
      const prefix = { ip: route.destination, length: route.prefix };
      this.#made.set(formatPrefix(prefix), { peer: undefined, prefix, device, mtu: route.mtu });
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
    const there = [...this.#made.keys()].filter((key) => this.#made.get(key)?.device === device);
    const here = [...this.#peers].filter(([, routing]) => routing.device === device);
    const wanted = tableOf(new Map(here));
    const mended = this.#changes(there, wanted).length;
    const failures = await this.#change(there, wanted);
    return { mended: mended - failures.length, failures };
  }

  /** Keys of what is made for a peer and is still its own. */
  #madeFor(peer: PeerId): readonly string[] {
    const keys = this.#peers.get(peer)?.prefixes.map(formatPrefix) ?? [];
    return keys.filter((key) => this.#made.get(key)?.peer === peer);
  }

  /** What of `before` is not wanted goes, then what is wanted comes. */
  #changes(before: readonly string[], wanted: RouteTable): readonly RouteChange[] {
    const changes: RouteChange[] = [];
    for (const key of before) {
      const made = this.#made.get(key);
      if (made && !wanted.has(key)) changes.push({ kind: 'remove', spec: specOf(made, 'remove') });
    }
    for (const [key, route] of wanted) {
      const made = this.#made.get(key);
      if (made?.device === route.device && made.mtu === route.mtu) continue;
      changes.push({ kind: made ? 'replace' : 'create', spec: specOf(route, 'make') });
    }
    return changes;
  }

  async #change(
    before: readonly string[],
    wanted: RouteTable,
  ): Promise<readonly PeerRouteFailure[]> {
    const refused = await this.#route.changeRoutes(this.#changes(before, wanted));
    const failures = (await this.#takeOver(refused)).map(({ change, error }) => ({
      prefix: { ip: change.spec.destination, length: change.spec.prefix },
      error,
    }));
    const failed = new Set(failures.map(({ prefix }) => formatPrefix(prefix)));
    for (const key of before) if (!wanted.has(key) && !failed.has(key)) this.#made.delete(key);
    for (const [key, route] of wanted) if (!failed.has(key)) this.#made.set(key, route);
    return failures;
  }

  /** Replaces what could not be made because a route is there already, where that route is ours to replace. */
  async #takeOver(failures: readonly RouteFailure[]): Promise<readonly RouteFailure[]> {
    if (!failures.some(isTaken)) return failures;
    const there = new Map<string, Route>();
    for (const route of await this.#route.routes()) {
      if (isPlain(route)) there.set(keyOf(route), route);
    }
    const again: RouteChange[] = [];
    const left: RouteFailure[] = [];
    for (const failure of failures) {
      const { spec } = failure.change;
      const sameDevice = there.get(keyOf(spec))?.oif === spec.oif;
      if (isTaken(failure) && sameDevice) again.push({ kind: 'replace', spec });
      else left.push(failure);
    }
    return [...left, ...(await this.#route.changeRoutes(again))];
  }
}

/** The routes that these peers ask for; the later one has what several claim. */
function tableOf(peers: ReadonlyMap<PeerId, PeerRouting>): RouteTable {
  const table = new Map<string, PeerRoute>();
  for (const [peer, { device, prefixes, mtu }] of peers) {
    for (const prefix of prefixes) table.set(formatPrefix(prefix), { peer, prefix, device, mtu });
  }
  return table;
}

/** A removal leaves the MTU out: it would have to be exactly the route's (fib_metrics_match). */
function specOf({ prefix, device, mtu }: PeerRoute, purpose: 'make' | 'remove'): RouteSpec {
  return {
    destination: prefix.ip,
    prefix: prefix.length,
    oif: device,
    protocol: RTPROT_IPIPOU,
    mtu: purpose === 'make' ? mtu : undefined,
  };
}

function keyOf({ destination, prefix }: Pick<RouteSpec, 'destination' | 'prefix'>): string {
  return formatPrefix({ ip: destination, length: prefix });
}

/** In the main table, without a metric: what a route of ours can be or collide with. */
function isPlain(route: Route): boolean {
  return route.table === RT_TABLE_MAIN && (route.priority ?? 0) === 0;
}

function isTaken({ error }: RouteFailure): boolean {
  return error instanceof KernelError && error.errno === 'EEXIST';
}
