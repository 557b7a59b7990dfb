import { formatEndpoint, formatPrefix, parseIpv4, type Path } from '../../../core/addr.ts';
import { defaultPeer } from '../../../core/config/peers.ts';
import { IpipouError, KernelError } from '../../../core/errors.ts';
import { UndoStack } from '../../../core/undo-stack.ts';
import { millis, type Millis } from '../../../core/units.ts';
import { looksLikeIpv4 } from '../../../core/wire/ipv4.ts';
import type {
  ControlPacket,
  DataPlane,
  OutgoingControl,
  PeerCounters,
  PeerDescription,
  PeerId,
  PeerProperties,
  PlaneContext,
  PlaneDescription,
  PlanePeer,
} from '../../../ports/data-plane.ts';
import { openRouteNetlink, type RouteNetlink } from '../../netlink/route.ts';
import { openTrafficControl, type TrafficControl } from '../../netlink/tc.ts';
import { defaultTtl } from '../../system/default-ttl.ts';
import { FOU_OVERHEAD, MIN_INNER_MTU } from '../inner-mtu.ts';
import { PeerRoutes, type PeerRouteFailure, type PeerRouting } from '../peer-routes.ts';
import { Attachments } from './attachments.ts';
import { ControlSocket } from './control-socket.ts';
import { preparePair } from './devices.ts';
import { removeLeftovers, removeOrphans } from './leftovers.ts';
import { LOOKUPS_AT_ONCE, LOOKUPS_FIRST, PEERS_AT_ONCE } from './limits.ts';
import { OuterRoutes } from './outer-routes.ts';
import { PeerMaps, type Fixed, type Way } from './peer-maps.ts';
import { routedOf, slices, type Peer } from './peer-table.ts';
import { adoptPrograms, type Programs } from './programs.ts';
import { parseRecord, type AttachedRecord, type BpfRecord } from './record.ts';
import { Repairs } from './repairs.ts';
import { TunnelPair, type Ends } from './tunnel-pair.ts';

const ETHERNET_MTU = 1500;

const NOTHING: PeerCounters = { rxPackets: 0n, rxBytes: 0n, txPackets: 0n, txBytes: 0n };

/**
 * The `bpf` plane: programs on tc hooks encapsulate what leaves by the tunnel device and put what comes
 * from admitted paths into it; the kernel's FOU is not needed, and what is on the wire is the same. One
 * device and one port carry every peer. What the programs do not take reaches an ordinary socket.
 *
 * Order matters. Opening: the programs know everything before they are hung on any device, so that
 * nothing passes by them. Adopting: new programs inherit the peers of the old ones and are put in their
 * places one hook at a time; every packet meets one of the two. Closing: the outer devices first.
 *
 * A data packet that overtakes its authentication packet, or comes while that is looked at, reaches the
 * socket and is lost: inner protocols send again, and putting it back would take a path into the tunnel
 * that no program guards.
 */
export class BpfPlane implements DataPlane {
  readonly name = 'bpf';
  readonly adopted = new Map<PeerId, Path>();
  readonly #context: PlaneContext;
  readonly #route: RouteNetlink;
  readonly #tc: TrafficControl;
  readonly #pair: TunnelPair;
  readonly #attachments: Attachments;
  readonly #outerRoutes: OuterRoutes;
  readonly #peerRoutes: PeerRoutes;
  readonly #authLengths: ReadonlySet<number>;
  readonly #undo = new UndoStack();
  readonly #fixed: Fixed;
  #maps: PeerMaps | undefined;
  #ends: Ends | undefined;
  #socket: ControlSocket | undefined;
  #repairs: Repairs | undefined;
  /** Data of admitted peers that reached the socket. */
  #overtaken = 0n;
  /** Whether what an earlier run left is ours to change: from then on, or never. */
  #tookOver = false;
  #following: Promise<void> | undefined;
  #followAgain = false;
  /** Changes are made one after another: calls of the owner and repairs share this tail. */
  #tail: Promise<unknown> = Promise.resolve();
  #closed = false;

  private constructor(context: PlaneContext) {
    const { config, authLengths } = context;
    this.#context = context;
    this.#fixed = { config, authLengths, ttl: defaultTtl() };
    this.#authLengths = new Set(authLengths);
    this.#route = openRouteNetlink();
    this.#tc = openTrafficControl();
    this.#pair = new TunnelPair(this.#route, config);
    this.#outerRoutes = new OuterRoutes(this.#route, config);
    this.#peerRoutes = new PeerRoutes(this.#route);
    this.#attachments = new Attachments(this.#route, this.#tc, config, (attached) =>
      this.#record(attached),
    );
  }

  /**
   * Makes devices and programs, or adopts those of an earlier run. When something fails, what was made
   * is undone, and what an earlier run left forwarding stays as it was.
   */
  static async open(context: PlaneContext): Promise<BpfPlane> {
    const plane = new BpfPlane(context);
    try {
      await plane.#open();
      return plane;
    } catch (error) {
      const theirs = !plane.#tookOver || plane.adopted.size > 0;
      await plane.close(theirs ? 'leave' : 'remove').catch((failure: unknown) => {
        context.log('error', 'clean-up after a failed start', { error: String(failure) });
      });
      throw error;
    }
  }

  async #open(): Promise<void> {
    const { config } = this.#context;
    this.#socket = new ControlSocket(config.outer, {
      packet: (packet) => this.#control(packet),
      icmp: (path, error) => {
        this.#context.listener.outerError({ remote: path.remote, ...error });
      },
    });
    const socket = this.#socket;
    this.#undo.push('UDP socket', () => socket.close());
    await this.#attachments.requireDevice();
    const adopted = await this.#adoptable();
    this.#tookOver = true;
    this.#record(this.#attachments.outer);
    this.#undo.push('tunnel device', () => this.#pair.remove());
    this.#ends = adopted?.ends ?? (await this.#pair.make());
    preparePair(this.#pair.name, this.#pair.farName, config.outer.udpChecksum ?? false);
    this.#maps = PeerMaps.load(this.#fixed, this.#ends, config.peers);
    this.#undo.push('programs', () => this.#maps?.[Symbol.dispose]());
    if (adopted) this.#inherit(this.#maps, adopted.programs);
    this.#undo.push('tc filters', () => this.#attachments.detachOuter());
    await this.#hang();
    await this.#setDeviceMtu();
    if (adopted) await this.#peerRoutes.recall(this.#ends.near.index);
    await this.#makeRoutes(this.#maps.peers.all());
    if (adopted) await this.#mendRoutes(this.#ends);
    this.#repairs = new Repairs(this.#context, {
      isOurs: (index) => index === this.#ends?.near.index || index === this.#ends?.far.index,
      isAttached: (index) => this.#attachments.has(index),
      restore: () => this.#serial(() => this.#restore()),
      follow: () => {
        this.#followNetwork();
      },
    });
    this.#undo.push('watch', () => this.#repairs?.close());
    void this.#follow();
  }

  /** An earlier run's device and programs, where they stand as that run made them, with our port. */
  async #adoptable(): Promise<{ readonly ends: Ends; readonly programs: Programs } | undefined> {
    const { config, journal, log } = this.#context;
    const { localPort: port } = config.outer;
    const left = parseRecord(journal.load());
    const names = { port, near: this.#pair.name, far: this.#pair.farName };
    if (!left) {
      if (await removeOrphans(this.#route, this.#tc, names)) {
        log('warn', 'removed a tunnel device that nobody answers for', { device: names.near });
      }
      return undefined;
    }
    const ends =
      left.port === port && left.near === names.near ? await this.#pair.find() : undefined;
    await this.#attachments.adopt(left.attached);
    const programs = ends && adoptPrograms(this.#attachments.hooks(ends));
    if (ends && programs) return { ends, programs };
    log('info', 'removing what an earlier run left; its peers have to authenticate again', {
      device: left.near,
      port: left.port,
    });
    await removeLeftovers(left);
    this.#attachments.forget();
    return undefined;
  }

  #inherit(maps: PeerMaps, programs: Programs): void {
    try {
      const inheritance = maps.recognize(programs);
      maps.inherit(inheritance);
      for (const [id, { path }] of inheritance.paths) this.adopted.set(id, path);
    } finally {
      programs[Symbol.dispose]();
    }
  }

  /** Hangs the programs on every hook, in the places of older ones. */
  async #hang(): Promise<void> {
    const { programs } = this.#running();
    this.#attachments.attachPair(programs, this.#standing());
    await this.#attachments.attachOuter(programs);
  }

  #record(attached: readonly AttachedRecord[]): void {
    const record: BpfRecord = {
      version: 1,
      port: this.#context.config.outer.localPort,
      near: this.#pair.name,
      far: this.#pair.farName,
      attached,
    };
    this.#context.journal.save(record);
  }

  async configure(peers: readonly PlanePeer[]): Promise<void> {
    await this.#serial(async () => {
      if (!this.#running().hasRoom(peers)) await this.#enlarge(peers);
      const maps = this.#running();
      maps.configure(peers);
      await this.#makeRoutes(peers.flatMap(({ id }) => maps.peers.get(id) ?? []));
    });
  }

  /** Programs with more room inherit everything and take the places of these. */
  async #enlarge(more: readonly PlanePeer[]): Promise<void> {
    const old = this.#running();
    const all = new Map<PeerId, PlanePeer>();
    for (const peer of [...old.peers.all(), ...more]) all.set(peer.id, peer);
    const larger = PeerMaps.load(this.#fixed, this.#standing(), [...all.values()]);
    larger.succeed(old);
    this.#maps = larger;
    await this.#hang();
    old[Symbol.dispose]();
    this.#context.log('info', 'maps enlarged', { peers: larger.programs.maxPeers });
  }

  async remove(peers: readonly PeerId[]): Promise<void> {
    await this.#serial(async () => {
      const maps = this.#running();
      for (const id of peers) {
        const peer = maps.peers.get(id);
        if (peer) maps.remove(peer);
        this.adopted.delete(id);
      }
      this.#tellFailures(await this.#peerRoutes.remove(peers));
    });
  }

  async admit(id: PeerId, { path }: PeerProperties): Promise<void> {
    const { localPort } = this.#context.config.outer;
    if (path.local.port !== localPort) {
      const message = `the tunnel's port is ${localPort}, not ${path.local.port}`;
      throw new IpipouError('createTunnel', message);
    }
    await this.#serial(async () => {
      const maps = this.#running();
      const peer = this.#known(id);
      this.#requireFree(peer, path);
      maps.point(peer, path, await this.#wayTo(peer, path));
      if (maps.peers.size === 1) await this.#setDeviceMtu();
      await this.#leadRoutes([peer]);
    });
  }

  async evict(id: PeerId): Promise<void> {
    await this.#serial(async () => {
      const peer = this.#running().peers.get(id);
      if (peer) this.#running().evict(peer);
      this.adopted.delete(id);
    });
  }

  async limitMtu(id: PeerId, mtu: number | undefined): Promise<void> {
    await this.#serial(async () => {
      const peer = this.#known(id);
      peer.limit = mtu;
      await this.#lead([peer]);
    });
  }

  async send(packet: OutgoingControl): Promise<void> {
    if (!this.#socket || this.#closed) throw new IpipouError('sendAuth', 'the plane is closed');
    this.#socket.send(packet);
  }

  async counters(id: PeerId): Promise<PeerCounters> {
    const maps = this.#running();
    const peer = maps.peers.get(id);
    if (!peer) return NOTHING;
    const { rxPackets, rxBytes, txPackets, txBytes, lastHeard } = maps.programs.counters(
      peer.index,
    );
    return { rxPackets, rxBytes, txPackets, txBytes, heardAt: sinceStart(lastHeard) };
  }

  async describe(): Promise<PlaneDescription> {
    const { 'passed-up': _, ...reasons } = this.#running().programs.reasons();
    const link = await this.#route.linkByName(this.#pair.name);
    return {
      device: this.#pair.name,
      mtu: link?.mtu ?? (await this.#deviceMtu()),
      refused: positive({ ...reasons, overtaken: this.#overtaken }),
    };
  }

  async describePeer(id: PeerId): Promise<PeerDescription> {
    const maps = this.#running();
    const peer = this.#known(id);
    const { rxRefused, txRefused } = maps.programs.counters(peer.index);
    const link = await this.#route.linkByName(this.#pair.name);
    return {
      ...(await this.counters(id)),
      device: this.#pair.name,
      mtu: maps.wayOf(peer)?.innerMtu ?? link?.mtu ?? (await this.#deviceMtu()),
      localAlt: undefined,
      refused: positive({ incoming: rxRefused, outgoing: txRefused }),
    };
  }

  async refresh(): Promise<void> {
    await this.#serial(() => this.#setDeviceMtu());
    const following = this.#follow();
    if (this.#running().peers.size <= LOOKUPS_FIRST) await following;
  }

  async close(mode: 'remove' | 'leave'): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#repairs?.close();
    await this.#tail.catch(() => undefined);
    try {
      if (mode === 'remove') {
        await this.#undo.release();
        this.#context.journal.save(null);
      } else {
        this.#undo.disarm();
        await this.#socket?.close();
        this.#maps?.[Symbol.dispose]();
      }
    } finally {
      this.#tc.close();
      this.#route.close();
    }
  }

  #running(): PeerMaps {
    if (this.#maps) return this.#maps;
    throw new IpipouError('createTunnel', 'the plane is closed');
  }

  #standing(): Ends {
    if (this.#ends) return this.#ends;
    throw new IpipouError('createTunnel', 'the tunnel device is not there');
  }

  #known(id: PeerId): Peer {
    const peer = this.#running().peers.get(id);
    if (peer) return peer;
    throw new IpipouError('createTunnel', `the plane knows no peer ${id}`);
  }

  #requireFree(peer: Peer, path: Path): void {
    const holder = this.#running().admittedAt(path);
    if (!holder || holder === peer) return;
    const subject = `peer ${peer.id} at ${formatEndpoint(path.remote)}`;
    throw new KernelError(
      peer.path ? 'updateTunnel' : 'createTunnel',
      { operation: 'admit', errno: 'EEXIST', subject },
      { hint: `peer ${holder.id} of this tunnel is admitted at that address and port` },
    );
  }

  async #control(packet: ControlPacket): Promise<void> {
    if (this.#closed) return;
    const { path, payload } = packet;
    const data = looksLikeIpv4(payload) && !this.#authLengths.has(payload.length);
    if (data && this.#maps?.admittedAt(path)) this.#overtaken += 1n;
    else await this.#context.listener.packet(packet);
  }

  async #leadQuietly(peers: readonly Peer[]): Promise<void> {
    await this.#serial(() => this.#lead(peers)).catch((error: unknown) => {
      this.#context.log('warn', 'an outer route could not be followed', { error: String(error) });
    });
  }

  /** Looks at the way to some peers again. */
  async #lead(peers: readonly Peer[]): Promise<void> {
    const maps = this.#running();
    await Promise.all(
      peers.map(async (peer) => {
        const { path } = peer;
        if (!path) return;
        const way = await this.#wayTo(peer, path);
        if (peer.path === path) maps.lead(peer, way);
      }),
    );
    if (maps.peers.size === 1) await this.#setDeviceMtu();
    await this.#leadRoutes(peers);
  }

  /** Looks at the way to every peer again, a slice at a time; others have their turn between. */
  async #follow(): Promise<void> {
    if (this.#following) {
      this.#followAgain = true;
      return this.#following;
    }
    this.#following = this.#walk().finally(() => {
      this.#following = undefined;
      if (!this.#followAgain || this.#closed) return;
      this.#followAgain = false;
      void this.#follow();
    });
    return this.#following;
  }

  async #walk(): Promise<void> {
    for (const slice of slices(this.#running().peers.admitted(), LOOKUPS_AT_ONCE)) {
      if (this.#closed) return;
      await this.#leadQuietly(slice);
    }
  }

  async #wayTo(peer: Peer, { remote }: Path): Promise<Way> {
    const { mtu } = this.#context.config.inner;
    const way = await this.#outerRoutes.to(remote.ip);
    const path = typeof mtu === 'number' ? mtu : (way.innerMtu ?? ETHERNET_MTU - FOU_OVERHEAD);
    return { device: way.device, innerMtu: Math.min(path, peer.limit ?? path) };
  }

  async #deviceMtu(): Promise<number> {
    const { config } = this.#context;
    if (typeof config.inner.mtu === 'number') return config.inner.mtu;
    const peers = this.#running().peers;
    const [sole] = peers.size === 1 ? peers.all() : [];
    const remote = sole?.path?.remote.ip ?? parseIpv4(defaultPeer(config)?.remoteHost ?? '');
    const way = peers.size === 1 && remote ? await this.#outerRoutes.to(remote) : undefined;
    if (way?.innerMtu !== undefined) return way.innerMtu;
    const mtus = await Promise.all(
      this.#attachments.outer.map(async ({ index }) => (await this.#route.linkByIndex(index))?.mtu),
    );
    const largest = Math.max(0, ...mtus.map((mtu) => mtu ?? 0)) || ETHERNET_MTU;
    return Math.max(MIN_INNER_MTU, largest - FOU_OVERHEAD);
  }

  async #setDeviceMtu(): Promise<void> {
    const mtu = await this.#deviceMtu();
    this.#ends = await this.#pair.dress(this.#standing(), mtu);
  }

  /** Gives routes to peers whose way has become another. */
  async #leadRoutes(peers: readonly Peer[]): Promise<void> {
    const device = this.#standing().near.mtu;
    const changed = peers.filter((peer) => {
      const mtu = this.#running().wayOf(peer)?.innerMtu ?? peer.limit;
      const routeMtu = mtu !== undefined && mtu < device ? mtu : undefined;
      const differs = routeMtu !== peer.routeMtu;
      peer.routeMtu = routeMtu;
      return differs;
    });
    await this.#makeRoutes(changed);
  }

  async #makeRoutes(peers: Iterable<Peer>): Promise<void> {
    const device = this.#standing().near.index;
    for (const slice of slices(peers, PEERS_AT_ONCE)) {
      const routings = new Map<PeerId, PeerRouting>();
      for (const peer of slice) {
        routings.set(peer.id, { device, prefixes: routedOf(peer), mtu: peer.routeMtu });
      }
      this.#tellFailures(await this.#peerRoutes.set(routings));
    }
  }

  /** Makes what is missing and removes what nobody asks for; how many routes were not as they should be. */
  async #mendRoutes({ near }: Ends): Promise<number> {
    const { mended, failures } = await this.#peerRoutes.reconcile(near.index);
    this.#tellFailures(failures);
    return mended;
  }

  #tellFailures(failures: readonly PeerRouteFailure[]): void {
    for (const { prefix, error } of failures) {
      const fields = { prefix: formatPrefix(prefix), error: error.message };
      this.#context.log('warn', 'a route to a peer could not be made', fields);
    }
  }

  /** Puts everything of ours back as it should be; what was not, in words. */
  async #restore(): Promise<readonly string[]> {
    if (this.#closed) return [];
    const repaired: string[] = [];
    const maps = this.#running();
    const before = this.#standing();
    let ends = await this.#pair.find();
    if (ends?.near.index !== before.near.index) {
      ends = await this.#remake();
      repaired.push('tunnel device');
    } else if (!ends.near.up || !ends.far.up) {
      repaired.push('tunnel device');
    } else if (!(await this.#pair.whole(ends))) {
      repaired.push('address of the tunnel device');
    }
    this.#ends = ends;
    repaired.push(...(await this.#attachments.repair(maps.programs, ends)));
    await this.#setDeviceMtu();
    const mended = await this.#mendRoutes(ends);
    if (mended > 0 && repaired.length === 0) repaired.push('routes of the tunnel device');
    return repaired;
  }

  async #remake(): Promise<Ends> {
    const { listener, config } = this.#context;
    this.#peerRoutes.forgetDevice(this.#standing().near.index);
    try {
      const ends = await this.#pair.make();
      preparePair(this.#pair.name, this.#pair.farName, config.outer.udpChecksum ?? false);
      const maps = this.#running();
      maps.setEnds(ends);
      this.#attachments.attachPair(maps.programs, ends);
      this.#ends = await this.#pair.dress(ends, await this.#deviceMtu());
      await this.#makeRoutes(maps.peers.all());
      return this.#ends;
    } catch (error) {
      listener.failed(error instanceof Error ? error : new Error(String(error)));
      throw error;
    }
  }

  /** Outer devices, addresses or routes are not what they were. */
  #followNetwork(): void {
    this.#outerRoutes.forget();
    this.#serial(async () => {
      if (this.#closed) return;
      await this.#attachments.attachOuter(this.#running().programs);
      await this.#setDeviceMtu();
    }).catch((error: unknown) => {
      this.#context.log('warn', 'the outer devices could not be followed', {
        error: String(error),
      });
    });
    void this.#follow();
  }

  #serial<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#tail.then(work);
    this.#tail = result.catch(() => undefined);
    return result;
  }
}

/** A reading of CLOCK_MONOTONIC in nanoseconds by the process's clock; 0 stays 0. */
function sinceStart(nanos: bigint): Millis {
  if (nanos === 0n) return millis(0);
  return millis(performance.now() - Number(process.hrtime.bigint() - nanos) / 1e6);
}

function positive(counts: Readonly<Record<string, bigint>>): Readonly<Record<string, bigint>> {
  return Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0n));
}
