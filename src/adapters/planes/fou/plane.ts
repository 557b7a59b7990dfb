import { familyOf, type OuterIp, type Path } from '../../../core/addr.ts';
import { IpipouError } from '../../../core/errors.ts';
import { UndoStack } from '../../../core/undo-stack.ts';
import type { InitKeys } from '../../../core/handshake/keys.ts';
import type { Millis } from '../../../core/units.ts';
import { planePeer } from '../../../core/plane-peer.ts';
import {
  COUNTER_MAX_AGE,
  type DataPlane,
  type OutgoingControl,
  type PeerCounters,
  type PeerDescription,
  type PeerId,
  type PeerProperties,
  type PlaneContext,
  type PlaneDescription,
  type PlanePeer,
} from '../../../ports/data-plane.ts';
import { deleteConntrack } from '../../netlink/conntrack.ts';
import type { Link } from '../../netlink/route.ts';
import { openRawUdp, type RawUdp } from '../../raw-socket.ts';
import { openOuterErrors } from '../icmp-errors.ts';
import { deviceMtu, ETHERNET_MTU } from '../inner-mtu.ts';
import { openOrUndo } from '../open-or-undo.ts';
import { Serial } from '../serial.ts';
import { Admissions } from './admissions.ts';
import { adopt } from './adoption.ts';
import { Configuration } from './configuration.ts';
import { ControlQueue } from './control.ts';
import { FirstQueue } from './first-queue.ts';
import { CAPABILITIES, firstQueueOf } from './limits.ts';
import { closeParts, openParts, type PlaneParts } from './parts.ts';
import { Repairs } from './repairs.ts';
import { pathMtu } from './room.ts';
import { countersOf } from './tunnel-device.ts';

/**
 * The `fou` plane: kernel FOU and a tunnel device a peer (kinds.ts), guarded by nftables, with an NFQUEUE for
 * everything that is not data of an admitted peer, two more for strangers and for their first messages, and a raw socket for what we send from the
 * tunnel's own port (which the FOU listener holds).
 *
 * Order matters. Opening: the guard stands before the listener is made, so that the port is never
 * open unguarded. Closing: the devices, the listener, and the guard last. How peers come and go:
 * admissions.ts.
 *
 * Of "fragmentation needed" about outer packets the kernel learns itself (the listener's socket is found by
 * their ports, udp_err() of net/ipv4/udp.c and net/ipv6/udp.c), and the device then answers inner packets that are
 * too big (measured on 6.1). What else ICMP says a client hears: icmp-errors.ts.
 */
export class FouPlane implements DataPlane {
  readonly name = 'fou';
  readonly capabilities = CAPABILITIES;
  readonly adopted = new Map<PeerId, Path>();
  readonly #parts: PlaneParts;
  readonly #admissions: Admissions;
  readonly #configuration: Configuration;
  readonly #repairs: Repairs;
  readonly #undo = new UndoStack();
  #raw: RawUdp | undefined;
  #errors: Disposable | undefined;
  #queue: ControlQueue | undefined;
  #first: FirstQueue | undefined;
  /** Kernel changes are made one after another: calls of the owner and repairs alike. */
  readonly #serial = new Serial();
  /** Whether what an earlier run left is ours to change: from then on, or never. */
  #tookOver = false;
  #closed = false;
  #links: { readonly at: Millis; readonly byName: ReadonlyMap<string, Link> } | undefined;

  private constructor(context: PlaneContext) {
    this.#parts = openParts(context);
    this.#admissions = new Admissions(this.#parts);
    this.#configuration = new Configuration(this.#parts, this.#admissions);
    this.#repairs = new Repairs(this.#parts, this.#admissions, (work) => this.#serial.run(work));
  }

  /**
   * Makes guard, queue and listener, adopts what an earlier run left. When something fails, what was
   * made is undone, and what an earlier run left forwarding stays as it was.
   */
  static async open(context: PlaneContext): Promise<FouPlane> {
    const plane = new FouPlane(context);
    await openOrUndo(
      context.log,
      () => plane.#open(),
      () => plane.close(!plane.#tookOver || plane.adopted.size > 0 ? 'leave' : 'remove'),
    );
    return plane;
  }

  async #open(): Promise<void> {
    const { context, alts, guard, outer, peers, record, unreachable } = this.#parts;
    const adoption = await adopt(this.#parts, () => {
      this.#tookOver = true;
    });
    for (const { id, path } of adoption.kept) this.adopted.set(id, path);
    this.#queue = this.#openQueue();
    this.#undo.push('queue', () => this.#queue?.close());
    this.#undo.push('queue of first messages', () => this.#first?.close());
    this.#hearFirst(context.initKeys);
    await this.#configuration.begin(context.config.peers.map(planePeer), adoption);
    const families = await outer.first(adoption.kept.map(({ path }) => path.remote.ip));
    await outer.closeOthers(families);
    guard.listenIn(families);
    guard.install(new Map(peers.all().map((peer) => [peer.id, peer.guarded()])));
    // Rules that could not be made are not ours to remove.
    this.#undo.push('nftables rules', () => guard.remove());
    this.#undo.push('FOU port', () => outer.close());
    await outer.openFirst(families);
    if (adoption.kept.length > 0) guard.removeOthers();
    this.#undo.push('alternative addresses', () => alts.removeAll());
    this.#undo.push('routes of the last resort', () => unreachable.set([]));
    this.#undo.push('tunnel devices', () => this.#removeDevices());
    await unreachable.reconcile(this.#configuration.claimed());
    for (const [peer, admission] of peers.admitted())
      await this.#admissions.settle(peer, admission);
    if (await alts.tidy()) record.setMadeAlts(alts.made);
    this.#raw = openRawUdp();
    this.#errors = openOuterErrors(context);
    this.#repairs.start();
  }

  #openQueue(): ControlQueue {
    const { context, peers } = this.#parts;
    return new ControlQueue(context.config, {
      publicLocal: (path) => this.#publicLocal(path),
      packet: (packet) => context.listener.packet(packet),
      carries: (path) => peers.carries(path),
    });
  }

  /** Takes first messages that are made to these keys, if any. */
  #hearFirst(keys: InitKeys | undefined): void {
    if (keys === undefined) {
      this.#first?.close();
      this.#first = undefined;
    } else if (this.#first) this.#first.keys = keys;
    else {
      const { config, listener } = this.#parts.context;
      this.#first = new FirstQueue(firstQueueOf(config.queue.number), keys, {
        packet: (packet) => listener.packet(packet),
        send: (packet) => this.#sends(packet),
      });
    }
  }

  async configure(peers: readonly PlanePeer[]): Promise<void> {
    await this.#serial.run(() => this.#configuration.change(peers));
  }

  async remove(peers: readonly PeerId[]): Promise<void> {
    await this.#serial.run(async () => {
      for (const id of peers) await this.#evict(id);
      await this.#configuration.forget(peers);
    });
  }

  async admit(id: PeerId, { path }: PeerProperties): Promise<void> {
    await this.#serial.run(() => this.#admissions.admit(this.#parts.peers.require(id), path));
  }

  async evict(id: PeerId): Promise<void> {
    await this.#serial.run(() => this.#evict(id));
  }

  async #evict(id: PeerId): Promise<void> {
    const peer = this.#parts.peers.get(id);
    if (peer) await this.#admissions.evict(peer);
    this.adopted.delete(id);
  }

  async watch(lengths: readonly number[], initKeys?: InitKeys): Promise<void> {
    const { context, guard } = this.#parts;
    await this.#serial.run(async () => {
      // Who listens to a queue comes before the rules that fill it, and goes after them.
      if (initKeys) this.#hearFirst(initKeys);
      guard.watch(lengths, initKeys && firstQueueOf(context.config.queue.number));
      if (!initKeys) this.#hearFirst(undefined);
    });
  }

  async limitMtu(id: PeerId, mtu: number | undefined): Promise<void> {
    await this.#serial.run(() => this.#admissions.limit(this.#parts.peers.require(id), mtu));
  }

  async send(packet: OutgoingControl): Promise<void> {
    this.#put(packet);
  }

  /** Whether it left. */
  #sends(packet: OutgoingControl): boolean {
    try {
      this.#put(packet);
      return true;
    } catch {
      // A source may be forged that nothing can be sent to.
      return false;
    }
  }

  #put({ path, payload, ttl, probe }: OutgoingControl): void {
    if (this.#raw === undefined) throw new IpipouError('sendAuth', 'the plane is closed');
    const { context, environment } = this.#parts;
    this.#raw.send({
      path,
      payload,
      ttl: ttl ?? environment.defaultTtl[familyOf(path.remote.ip)],
      device: context.config.outer.device,
      probe,
    });
  }

  async counters(id: PeerId): Promise<PeerCounters> {
    const peer = this.#parts.peers.require(id);
    const link = (await this.#recentLinks()).get(peer.device.name);
    if (link === undefined && peer.admission) this.#repairs.peer(peer, 'tunnel device');
    return peer.ledger.total(countersOf(link));
  }

  /** One look at all devices serves the counters of all peers; the FOU port is looked at with it. */
  async #recentLinks(): Promise<ReadonlyMap<string, Link>> {
    const now = performance.now() as Millis;
    if (this.#links && now - this.#links.at < COUNTER_MAX_AGE / 2) return this.#links.byName;
    const { fou, outer, route } = this.#parts;
    const byName = new Map((await route.links()).map((link) => [link.name, link]));
    this.#links = { at: now, byName };
    if (!outer.areThere(await fou.list())) this.#repairs.listener();
    return byName;
  }

  async describe(): Promise<PlaneDescription> {
    const { context, guard } = this.#parts;
    const refused = guard.refusedPackets();
    return {
      device: context.config.inner.device,
      mtu: await this.#mtu(),
      refused: {
        ...(refused === undefined ? {} : { guard: refused }),
        'queue-full': BigInt(this.#queue?.dropped() ?? 0),
        ...this.#first?.refused,
      },
      taken: this.#parts.routes.taken,
    };
  }

  /** Of the tunnel's own device, else what the route to a peer would leave. */
  async #mtu(): Promise<number> {
    const { context, peers, route } = this.#parts;
    const { config } = context;
    const link = await route.linkByName(config.inner.device);
    const [first] = peers.admitted();
    const remote = first?.[1].path.remote.ip ?? config.inner.ips[0];
    return link?.mtu ?? (remote === undefined ? ETHERNET_MTU : deviceMtu(route, remote, config));
  }

  async describePeer(id: PeerId): Promise<PeerDescription> {
    const { guard, peers } = this.#parts;
    const peer = peers.require(id);
    const link = await peer.device.link();
    const foreign = guard.foreignPackets(peer.device.name);
    return {
      ...peer.ledger.total(countersOf(link)),
      device: peer.device.name,
      mtu: (link && peer.device.room && pathMtu(peer.device.room)) ?? (await this.#mtu()),
      localAlt: peer.admission?.alt,
      refused: foreign === undefined ? {} : { 'inner-source': foreign },
      taken: this.#parts.routes.takenOf(id),
    };
  }

  async refresh(): Promise<void> {
    await this.#serial.run(() => this.#admissions.refresh());
  }

  async close(mode: 'remove' | 'leave'): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#repairs.stop();
    await this.#serial.idle();
    try {
      if (mode === 'remove') {
        await this.#undo.release();
        const { localPort } = this.#parts.context.config.outer;
        await deleteConntrack(
          ({ original, reply }) =>
            original.destinationPort === localPort || reply.destinationPort === localPort,
        );
        this.#parts.record.clear();
      } else {
        this.#undo.disarm();
        this.#queue?.close();
        this.#first?.close();
      }
    } finally {
      this.#raw?.close();
      this.#errors?.[Symbol.dispose]();
      closeParts(this.#parts);
    }
  }

  async #removeDevices(): Promise<void> {
    for (const { device } of this.#parts.peers.all()) await device.remove();
  }

  #publicLocal(path: Path): OuterIp | undefined {
    const { alts, peers } = this.#parts;
    if (alts.users(path.local.ip).length === 0) return path.local.ip;
    return peers.byAlt(path)?.admission?.path.local.ip;
  }
}
