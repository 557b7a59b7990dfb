import { formatEndpoint, type Path } from '../../../core/addr.ts';
import { IpipouError, KernelError } from '../../../core/errors.ts';
import { UndoStack } from '../../../core/undo-stack.ts';
import { millis, type Millis } from '../../../core/units.ts';
import { looksLikeIpv4 } from '../../../core/wire/ipv4.ts';
import { planePeer } from '../../../core/plane-peer.ts';
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
import { Serial } from '../serial.ts';
import { findAdoptable } from './adoption.ts';
import { Attachments } from './attachments.ts';
import { ControlSocket } from './control-socket.ts';
import { preparePair } from './devices.ts';
import { CAPABILITIES, LOOKUPS_FIRST } from './limits.ts';
import { PeerMaps, type Fixed } from './peer-maps.ts';
import type { Peer } from './peer-table.ts';
import type { Programs } from './programs.ts';
import type { AttachedRecord, BpfRecord } from './record.ts';
import { Repairs } from './repairs.ts';
import { TunnelPair } from './tunnel-pair.ts';
import { Ways, type Standing } from './ways.ts';

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
  readonly capabilities = CAPABILITIES;
  readonly adopted = new Map<PeerId, Path>();
  readonly #context: PlaneContext;
  readonly #route: RouteNetlink;
  readonly #tc: TrafficControl;
  readonly #pair: TunnelPair;
  readonly #attachments: Attachments;
  readonly #ways: Ways;
  readonly #authLengths: Set<number>;
  readonly #undo = new UndoStack();
  readonly #fixed: Fixed;
  #stands: Standing | undefined;
  #socket: ControlSocket | undefined;
  #repairs: Repairs | undefined;
  /** Data of admitted peers that reached the socket. */
  #overtaken = 0n;
  /** Whether what an earlier run left is ours to change: from then on, or never. */
  #tookOver = false;
  /** Changes are made one after another: calls of the owner and repairs alike. */
  readonly #serial = new Serial();
  #closed = false;

  private constructor(context: PlaneContext) {
    const { config, authLengths } = context;
    this.#context = context;
    this.#authLengths = new Set(authLengths);
    this.#fixed = { config, authLengths: this.#authLengths, ttl: defaultTtl() };
    this.#route = openRouteNetlink();
    this.#tc = openTrafficControl();
    this.#pair = new TunnelPair(this.#route, config);
    this.#attachments = new Attachments(this.#route, this.#tc, config, (attached) =>
      this.#record(attached),
    );
    this.#ways = new Ways({
      ...{ config, log: context.log, route: this.#route },
      ...{ pair: this.#pair, attachments: this.#attachments },
      standing: () => this.#standing(),
      serial: (work) => this.#serial.run(work),
      closed: () => this.#closed,
    });
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
    const adopted = await findAdoptable({
      ...{ context: this.#context, route: this.#route, tc: this.#tc },
      ...{ pair: this.#pair, attachments: this.#attachments },
    });
    this.#tookOver = true;
    this.#record(this.#attachments.outer);
    const ends = adopted?.ends ?? (await this.#pair.make());
    this.#undo.push('tunnel device', () => this.#pair.remove());
    preparePair(this.#pair.name, this.#pair.farName);
    const maps = PeerMaps.load(this.#fixed, ends, config.peers.map(planePeer));
    this.#stands = { maps, ends };
    this.#undo.push('programs', () => this.#stands?.maps[Symbol.dispose]());
    if (adopted) await this.#inherit(maps, adopted.programs);
    this.#undo.push('tc filters', () => this.#attachments.detachOuter());
    await this.#hang();
    await this.#ways.dressDevice();
    if (adopted) await this.#ways.recallRoutes();
    await this.#ways.makeRoutes(maps.peers.all());
    if (adopted) await this.#ways.mendRoutes();
    this.#repairs = new Repairs(this.#context, {
      isOurs: (index) => this.#isOurs(index),
      isAttached: (index) => this.#attachments.has(index),
      restore: () => this.#serial.run(() => this.#restore()),
      follow: () => {
        this.#followNetwork();
      },
    });
    this.#undo.push('watch', () => this.#repairs?.close());
    void this.#ways.follow();
  }

  #isOurs(index: number | undefined): boolean {
    const { near, far } = this.#standing().ends;
    return index === near.index || index === far.index;
  }

  async #inherit(maps: PeerMaps, programs: Programs): Promise<void> {
    try {
      const inheritance = await maps.recognize(programs);
      await maps.inherit(inheritance);
      for (const [id, { path }] of inheritance.paths) this.adopted.set(id, path);
    } finally {
      programs[Symbol.dispose]();
    }
  }

  /** Hangs the programs on every hook, in the places of older ones. */
  async #hang(): Promise<void> {
    const { maps, ends } = this.#standing();
    this.#attachments.attachPair(maps.programs, ends);
    await this.#attachments.attachOuter(maps.programs, 'all');
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
    await this.#serial.run(async () => {
      if (!this.#running().hasRoom(peers)) await this.#enlarge(peers);
      const maps = this.#running();
      maps.configure(peers);
      await this.#ways.makeRoutes(peers.flatMap(({ id }) => maps.peers.get(id) ?? []));
    });
  }

  /** Programs with more room inherit everything and take the places of these. */
  async #enlarge(more: readonly PlanePeer[]): Promise<void> {
    const standing = this.#standing();
    const old = standing.maps;
    const all = new Map<PeerId, PlanePeer>();
    for (const peer of [...old.peers.all(), ...more]) all.set(peer.id, peer);
    const larger = PeerMaps.load(this.#fixed, standing.ends, [...all.values()]);
    try {
      await larger.succeed(old);
    } catch (error) {
      larger[Symbol.dispose]();
      throw error;
    }
    standing.maps = larger;
    await this.#hang();
    old[Symbol.dispose]();
    this.#context.log('info', 'maps enlarged', { peers: larger.programs.maxPeers });
  }

  async remove(peers: readonly PeerId[]): Promise<void> {
    await this.#serial.run(async () => {
      const maps = this.#running();
      for (const id of peers) {
        const peer = maps.peers.get(id);
        if (peer) maps.remove(peer);
        this.adopted.delete(id);
      }
      await this.#ways.removeRoutes(peers);
    });
  }

  async admit(id: PeerId, { path }: PeerProperties): Promise<void> {
    const { localPort } = this.#context.config.outer;
    if (path.local.port !== localPort) {
      const message = `the tunnel's port is ${localPort}, not ${path.local.port}`;
      throw new IpipouError('createTunnel', message);
    }
    await this.#serial.run(async () => {
      const maps = this.#running();
      const peer = this.#known(id);
      this.#requireFree(peer, path);
      await this.#ways.clear(peer, path);
      maps.point(peer, path, await this.#ways.to(peer, path));
      await this.#ways.settle([peer]);
    });
  }

  async evict(id: PeerId): Promise<void> {
    await this.#serial.run(async () => {
      const peer = this.#running().peers.get(id);
      if (peer) this.#running().evict(peer);
      this.adopted.delete(id);
    });
  }

  async watch(lengths: readonly number[]): Promise<void> {
    await this.#serial.run(async () => {
      for (const length of lengths) this.#authLengths.add(length);
      this.#running().writeConfig();
    });
  }

  async limitMtu(id: PeerId, mtu: number | undefined): Promise<void> {
    await this.#serial.run(async () => {
      const peer = this.#known(id);
      peer.limit = mtu;
      await this.#ways.lead([peer]);
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
    return {
      device: this.#pair.name,
      mtu: await this.#innerMtu(),
      refused: positive({ ...reasons, overtaken: this.#overtaken }),
    };
  }

  async describePeer(id: PeerId): Promise<PeerDescription> {
    const maps = this.#running();
    const peer = this.#known(id);
    const { rxRefused, txRefused } = maps.programs.counters(peer.index);
    return {
      ...(await this.counters(id)),
      device: this.#pair.name,
      mtu: maps.wayOf(peer)?.innerMtu ?? (await this.#innerMtu()),
      localAlt: undefined,
      refused: positive({ incoming: rxRefused, outgoing: txRefused }),
    };
  }

  /** Of the device. */
  async #innerMtu(): Promise<number> {
    const link = await this.#route.linkByName(this.#pair.name);
    return link?.mtu ?? (await this.#ways.deviceMtu());
  }

  async refresh(): Promise<void> {
    await this.#serial.run(() => this.#ways.dressDevice());
    const following = this.#ways.follow();
    if (this.#running().peers.size <= LOOKUPS_FIRST) await following;
  }

  async close(mode: 'remove' | 'leave'): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#repairs?.close();
    await this.#serial.idle();
    try {
      if (mode === 'remove') {
        await this.#undo.release();
        this.#context.journal.save(null);
      } else {
        this.#undo.disarm();
        await this.#socket?.close();
        this.#stands?.maps[Symbol.dispose]();
      }
    } finally {
      this.#tc.close();
      this.#route.close();
    }
  }

  #running(): PeerMaps {
    return this.#standing().maps;
  }

  #standing(): Standing {
    if (this.#stands) return this.#stands;
    throw new IpipouError('createTunnel', 'the plane is not open');
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
    if (data && this.#stands?.maps.admittedAt(path)) this.#overtaken += 1n;
    else await this.#context.listener.packet(packet);
  }

  /** Puts everything of ours back as it should be; what was not, in words. */
  async #restore(): Promise<readonly string[]> {
    if (this.#closed) return [];
    const standing = this.#standing();
    const repaired: string[] = [];
    const ends = await this.#pair.find();
    if (ends?.near.index !== standing.ends.near.index) {
      await this.#remake(standing);
      repaired.push('tunnel device');
    } else {
      if (!ends.near.up || !ends.far.up) repaired.push('tunnel device');
      else if (!(await this.#pair.whole(ends))) repaired.push('address of the tunnel device');
      standing.ends = ends;
    }
    repaired.push(...(await this.#attachments.repair(standing.maps.programs, standing.ends)));
    await this.#ways.dressDevice();
    const mended = await this.#ways.mendRoutes();
    if (mended > 0 && repaired.length === 0) repaired.push('routes of the tunnel device');
    return repaired;
  }

  async #remake(standing: Standing): Promise<void> {
    const { listener } = this.#context;
    const { maps } = standing;
    this.#ways.forgetDevice(standing.ends);
    try {
      standing.ends = await this.#pair.make();
      preparePair(this.#pair.name, this.#pair.farName);
      maps.setEnds(standing.ends);
      this.#attachments.attachPair(maps.programs, standing.ends);
      await this.#ways.dressDevice();
      await this.#ways.makeRoutes(maps.peers.all());
    } catch (error) {
      listener.failed(error instanceof Error ? error : new Error(String(error)));
      throw error;
    }
  }

  /** Outer devices, addresses or routes are not what they were. */
  #followNetwork(): void {
    this.#ways.forgetLinks();
    this.#serial
      .run(async () => {
        if (this.#closed) return;
        await this.#attachments.attachOuter(this.#running().programs, 'missing');
        this.#socket?.bindAgain();
        await this.#ways.dressDevice();
      })
      .catch((error: unknown) => {
        this.#context.log('warn', 'the outer devices could not be followed', {
          error: String(error),
        });
      });
    void this.#ways.follow();
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
