import { familyOf, formatEndpoint, type OuterIp, type Path } from '../../../core/addr.ts';
import { KernelError } from '../../../core/errors.ts';
import { pairOf, type Admission } from '../../../core/nft/guard-peer.ts';
import type { IfIndex } from '../../../core/units.ts';
import type { PeerId } from '../../../ports/data-plane.ts';
import { allowedMtu } from '../inner-mtu.ts';
import { retryRoutes, warnOfRoutes } from '../peer-routing.ts';
import { firstAlt } from './alt-addresses.ts';
import { outerDevice } from './outer-side.ts';
import type { PlaneParts } from './parts.ts';
import type { Peer } from './peer.ts';

/**
 * Lets peers in, re-points them and puts them out; each call touches what is of that peer and nothing
 * else. Order matters. Admitting: what has no UDP is refused between the addresses, then the device is
 * pointed and gets its routes, then the guard lets the peer in; data that comes between waits in the
 * queue. Evicting: the guard first, and what has no UDP is refused until the device is gone. Whatever fails on
 * the way, the next call for the peer begins again: what may still point somewhere stands in `besides`.
 */
export class Admissions {
  readonly #parts: PlaneParts;

  constructor(parts: PlaneParts) {
    this.#parts = parts;
  }

  /** Admits or re-points; on failure the peer is as it was before. */
  async admit(peer: Peer, path: Path): Promise<void> {
    const holder = this.#parts.peers.at(path);
    if (holder && holder !== peer) throw heldByAnother(peer, path);
    await this.#parts.outer.ensure(familyOf(path.remote.ip));
    const before = peer.admission;
    try {
      const admission = { path, alt: await this.#chooseAlt(peer, path) };
      try {
        await this.#enter(peer, admission);
      } catch (error) {
        // Another tunnel took the same outer addresses since we looked.
        if (!(error instanceof KernelError) || error.errno !== 'EEXIST') throw error;
        await this.#enter(peer, { path, alt: await this.#chooseAlt(peer, path) });
      }
    } catch (error) {
      await this.#restore(peer, before);
      throw error;
    }
    await this.#tidyAlts(peer);
  }

  async evict(peer: Peer): Promise<void> {
    const { guard, peers, routes, record } = this.#parts;
    const { admission } = peer;
    if (admission) peer.besides = [pairOf(admission)];
    if (peer.besides.length === 0) return;
    peers.setAdmission(peer, undefined);
    guard.change(new Map([[peer.id, peer.guarded()]]));
    record.setPeers([peer.record(undefined)]);
    await routes.remove([peer.id]);
    await this.#removeDevice(peer);
    await this.#tidyAlts(peer);
  }

  /**
   * Makes alternative address, device and routes of an admitted peer as they should be, whatever is
   * there. Returns how many routes had to be mended.
   */
  async settle(peer: Peer, admission: Admission): Promise<number> {
    const { routes } = this.#parts;
    await this.#useAlt(peer, admission);
    const device = await this.#point(peer, admission);
    const { mended, failures } = await routes.reconcile(device);
    warnOfRoutes(this.#parts.context.log, failures);
    return mended;
  }

  /** Puts back what hangs on the outer path, after routes changed: one look at all devices tells where. */
  async refresh(): Promise<void> {
    const { context, peers, route } = this.#parts;
    const links = new Map((await route.links()).map((link) => [link.name, link]));
    const outer = await outerDevice(route, context.config);
    const mtus = new Map<OuterIp, number>();
    for (const [peer, admission] of peers.admitted()) {
      const { ip } = admission.path.remote;
      const allowed = mtus.get(ip) ?? (await allowedMtu(route, ip, context.config));
      mtus.set(ip, allowed);
      const pointing = peer.pointing(admission);
      if (peer.device.isPointed(links.get(peer.device.name), pointing, { outer, allowed }))
        continue;
      await this.#point(peer, admission);
    }
    await retryRoutes(context.log, this.#parts.routes);
  }

  /** Makes device and routes those of a limit that has changed; on failure they have the earlier one. */
  async limit(peer: Peer, mtu: number | undefined): Promise<void> {
    const before = peer.mtuLimit;
    peer.mtuLimit = mtu;
    if (peer.admission === undefined || mtu === before) return;
    try {
      await this.#point(peer, peer.admission);
    } catch (error) {
      peer.mtuLimit = before;
      throw error;
    }
  }

  /** Points a peer's device, and gives it its routes. */
  async #point(peer: Peer, admission: Admission): Promise<IfIndex> {
    const before = peer.device.index;
    const device = await peer.device.point(peer.pointing(admission));
    if (before !== undefined && before !== device) this.#parts.routes.forgetDevice(before);
    await this.#route(peer, device, admission.path.remote.ip);
    return device;
  }

  /** Makes the routes of admitted peers what is known of them now. */
  async reroute(changed: readonly Peer[]): Promise<void> {
    const routings = changed.flatMap((peer) => {
      const device = peer.admission && peer.device.index;
      if (device === undefined) return [];
      return [[peer.id, peer.routing(device)] as const];
    });
    warnOfRoutes(this.#parts.context.log, await this.#parts.routes.set(new Map(routings)));
  }

  async #enter(peer: Peer, admission: Admission): Promise<void> {
    const { guard, peers, record } = this.#parts;
    await this.#useAlt(peer, admission);
    record.setPeers([peer.record(admission)]);
    peer.besides = [...peer.besides, pairOf(admission)];
    guard.change(new Map([[peer.id, peer.guarded()]]));
    await this.#point(peer, admission);
    guard.change(new Map([[peer.id, peer.guarded({ admission, besides: [] })]]));
    peer.besides = [];
    peers.setAdmission(peer, admission);
  }

  async #removeDevice(peer: Peer): Promise<void> {
    await peer.device.remove();
    this.#parts.guard.change(new Map([[peer.id, peer.guarded({ besides: [] })]]));
    peer.besides = [];
  }

  /** Back to how it was before a failed admission; failures here are logged, the first error counts. */
  async #restore(peer: Peer, before: Admission | undefined): Promise<void> {
    const { context, guard, record, routes } = this.#parts;
    try {
      if (before) {
        await this.#point(peer, before);
        guard.change(new Map([[peer.id, peer.guarded({ besides: [] })]]));
        peer.besides = [];
      } else {
        await routes.remove([peer.id]);
        await this.#removeDevice(peer);
      }
      await this.#tidyAlts(peer);
      record.setPeers([peer.record(before)]);
    } catch (error) {
      const fields = { peer: peer.id, error: String(error) };
      context.log('error', 'putting the tunnel back failed', fields);
    }
  }

  async #route(peer: Peer, device: IfIndex, outer: OuterIp): Promise<void> {
    await this.#parts.unreachable.clear(outer);
    warnOfRoutes(
      this.#parts.context.log,
      await this.#parts.routes.set(new Map([[peer.id, peer.routing(device, outer)]])),
    );
  }

  /**
   * Undefined where no other tunnel device has the peer's outer addresses, of whatever kind: the kernel could
   * not tell the two apart. A peer that has an alternative address keeps it while it can.
   */
  async #chooseAlt(peer: Peer, path: Path): Promise<OuterIp | undefined> {
    const { context, route, alts } = this.#parts;
    const { forceLocalIpAlt } = context.config.outer;
    const taken = new Set<OuterIp>();
    for (const { name, tunnel } of await route.links()) {
      const local = name !== peer.device.name && tunnel?.remote === path.remote.ip && tunnel.local;
      if (local) taken.add(local);
    }
    const now = peer.admission?.alt;
    const usable = now !== undefined && familyOf(now) === familyOf(path.local.ip);
    if (usable && !taken.has(now)) return now;
    const needed = forceLocalIpAlt || taken.has(path.local.ip);
    return needed ? alts.choose(firstAlt(context.config, path.remote.ip), taken) : undefined;
  }

  async #useAlt({ id }: Peer, { alt }: Admission): Promise<void> {
    const { alts, record } = this.#parts;
    if (alt === undefined) return;
    await alts.use(id, alt, () => {
      record.setMadeAlts(alts.made);
    });
  }

  /**
   * Takes away the alternative addresses that the peer does not use any more. One that stays is in
   * nobody's way, and goes with the next one.
   */
  async #tidyAlts({ id, admission }: Peer): Promise<void> {
    const { alts, context, record } = this.#parts;
    try {
      if (await alts.keepOnly(id, admission?.alt)) record.setMadeAlts(alts.made);
    } catch (error) {
      const fields = { peer: id, error: String(error) };
      context.log('warn', 'an alternative address could not be removed', fields);
    }
  }
}

function heldByAnother({ id }: { readonly id: PeerId }, path: Path): KernelError {
  return new KernelError(
    'createTunnel',
    {
      operation: 'admit',
      errno: 'EEXIST',
      words: 'another peer of this tunnel is admitted there',
      subject: `peer ${id} at ${formatEndpoint(path.remote)}`,
    },
    { hint: 'two peers cannot have one address and port' },
  );
}
