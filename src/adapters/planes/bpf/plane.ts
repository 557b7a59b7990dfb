import type { InitKeys } from '../../../core/handshake/keys.ts';
import { type Family, type Path } from '../../../core/addr.ts';
import { asError, IpipouError } from '../../../core/errors.ts';
import { carries } from '../../../core/config/families.ts';
import { UndoStack } from '../../../core/undo-stack.ts';
import { millis, type Millis } from '../../../core/units.ts';
import { looksLikeData, type Carried } from '../../../core/wire/inner-packet.ts';
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
import { defaultTtl } from '../../system/default-ttl.ts';
import { listenFamilies } from '../families.ts';
import { openOrUndo } from '../open-or-undo.ts';
import { heldByAnother, requireFamily, requirePeer, requireTunnelPort } from '../refusals.ts';
import { Serial } from '../serial.ts';
import { ControlSockets } from './control-socket.ts';
import type { Fixed } from './fixed.ts';
import { Installation } from './installation.ts';
import { CAPABILITIES, LOOKUPS_FIRST } from './limits.ts';
import type { PeerMaps } from './peer-maps.ts';
import type { Peer } from './peer-table.ts';
import { Repairs } from './repairs.ts';
import type { Ends } from './tunnel-pair.ts';
import { Ways } from './ways.ts';

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
  readonly #socket: ControlSockets;
  readonly #installation: Installation;
  readonly #ways: Ways;
  readonly #authLengths: Set<number>;
  #initKeys: InitKeys | undefined;
  readonly #outside: readonly Family[];
  readonly #carried: Carried;
  readonly #undo = new UndoStack();
  #repairs: Repairs | undefined;
  /** Data of admitted peers that reached the socket. */
  #overtaken = 0n;
  /** Whether what an earlier run left is ours to change: from then on, or never. */
  #tookOver = false;
  /** Changes are made one after another: calls of the owner and repairs alike. */
  readonly #serial = new Serial();
  #closed = false;

  private constructor(context: PlaneContext) {
    const { config, authLengths, log } = context;
    this.#context = context;
    this.#authLengths = new Set(authLengths);
    this.#initKeys = context.initKeys;
    this.#carried = {
      ipv4: carries(config.inner, 'ipv4'),
      ipv6: carries(config.inner, 'ipv6'),
    };
    const { outer } = config;
    this.#socket = new ControlSockets(
      listenFamilies(config),
      { outer, log },
      {
        packet: (packet) => this.#control(packet),
        icmp: (path, error) => context.listener.outerError({ remote: path.remote, ...error }),
      },
    );
    this.#outside = this.#socket.families;
    this.#route = openRouteNetlink();
    const fixed: Fixed = {
      ...{ config, authLengths: this.#authLengths, outside: this.#outside },
      initKeys: () => this.#initKeys,
      roamed: (peer, path) => {
        context.listener.roamed(peer, path);
      },
      ttl: { ipv4: defaultTtl('ipv4'), ipv6: defaultTtl('ipv6') },
    };
    this.#installation = new Installation(context, this.#route, { fixed, socket: this.#socket });
    this.#ways = new Ways({
      ...{ config, log: context.log, route: this.#route, installation: this.#installation },
      outside: this.#outside,
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
    await openOrUndo(
      context.log,
      () => plane.#open(),
      () => plane.close(!plane.#tookOver || plane.adopted.size > 0 ? 'leave' : 'remove'),
    );
    return plane;
  }

  async #open(): Promise<void> {
    const { config } = this.#context;
    const installation = this.#installation;
    this.#undo.push('UDP socket', () => this.#socket.close());
    const adopted = await installation.find();
    this.#tookOver = true;
    try {
      const peers = config.peers.map(planePeer);
      const paths = await installation.make(peers, adopted, this.#undo);
      for (const [id, { path }] of paths) this.adopted.set(id, path);
    } finally {
      adopted?.entries[Symbol.dispose]();
    }
    await installation.hang(this.#undo);
    if (adopted) installation.maps.sweepTags();
    this.#undo.push('routes of the last resort', () => this.#ways.close());
    await this.#ways.dressDevice();
    if (adopted) await this.#ways.recallRoutes();
    await this.#ways.makeRoutes(installation.maps.peers.all());
    if (adopted) await this.#ways.mendRoutes();
    this.#repairs = new Repairs(this.#context, {
      isOurs: (index) => installation.isOurs(index),
      isAttached: (index) => installation.isAttached(index),
      restore: () => this.#serial.run(() => this.#restore()),
      follow: () => {
        this.#followNetwork();
      },
    });
    this.#undo.push('watch', () => this.#repairs?.close());
    void this.#ways.follow();
  }

  async configure(peers: readonly PlanePeer[]): Promise<void> {
    await this.#serial.run(async () => {
      if (!this.#running().hasRoom(peers)) await this.#installation.enlarge(peers, 'for peers');
      const maps = this.#running();
      maps.configure(peers);
      await this.#ways.makeRoutes(peers.flatMap(({ id }) => maps.peers.get(id) ?? []));
    });
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

  async admit(id: PeerId, { path, tags }: PeerProperties): Promise<void> {
    requireTunnelPort(path, this.#context.config.outer.localPort);
    requireFamily(path, this.#outside);
    await this.#serial.run(async () => {
      this.#requireFree(this.#known(id), path);
      if (tags) await this.#readyForTags();
      const maps = this.#running();
      const peer = this.#known(id);
      await this.#ways.clear(peer, path);
      maps.admit(peer, path, await this.#ways.to(peer, path, tags !== undefined), tags);
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

  async watch(lengths: readonly number[], initKeys = this.#initKeys): Promise<void> {
    await this.#serial.run(async () => {
      for (const length of lengths) this.#authLengths.add(length);
      const former = this.#initKeys;
      this.#initKeys = initKeys;
      try {
        if (this.#running().lacksFlags) await this.#installation.enlarge([], 'for peers');
        this.#running().writeConfig();
      } catch (error) {
        this.#initKeys = former;
        throw error;
      }
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
    if (this.#closed) throw new IpipouError('sendAuth', 'the plane is closed');
    this.#socket.send(packet);
  }

  async counters(id: PeerId): Promise<PeerCounters> {
    const maps = this.#running();
    const peer = maps.peers.get(id);
    if (!peer) return NOTHING;
    const {
      lastHeard,
      rxRefused: _,
      txRefused: __,
      ...counts
    } = maps.programs.entries.counters(peer.index);
    return { ...counts, heardAt: sinceStart(lastHeard) };
  }

  async describe(): Promise<PlaneDescription> {
    const { 'passed-up': _, ...reasons } = this.#running().programs.reasons();
    return {
      device: this.#installation.device,
      mtu: await this.#innerMtu(),
      refused: positive({ ...reasons, overtaken: this.#overtaken }),
      taken: this.#ways.taken(),
    };
  }

  async describePeer(id: PeerId): Promise<PeerDescription> {
    const maps = this.#running();
    const peer = this.#known(id);
    const { rxRefused, txRefused } = maps.programs.entries.counters(peer.index);
    return {
      ...(await this.counters(id)),
      device: this.#installation.device,
      mtu: maps.wayOf(peer)?.innerMtu ?? (await this.#innerMtu()),
      localAlt: undefined,
      refused: positive({ incoming: rxRefused, outgoing: txRefused }),
      taken: this.#ways.taken(id),
    };
  }

  /** Of the device. */
  async #innerMtu(): Promise<number> {
    const link = await this.#route.linkByName(this.#installation.device);
    return link?.mtu ?? (await this.#ways.deviceMtu());
  }

  async refresh(): Promise<void> {
    await this.#serial.run(async () => {
      await this.#ways.dressDevice();
      await this.#ways.retryRoutes();
    });
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
        await this.#socket.close();
        this.#installation.release();
      }
    } finally {
      this.#installation.close();
      this.#route.close();
    }
  }

  #running(): PeerMaps {
    return this.#installation.maps;
  }

  async #readyForTags(): Promise<void> {
    if (!this.#running().programs.tags.haveRoom) await this.#installation.enlarge([], 'for tags');
    this.#installation.fillChecksums();
  }

  #known(id: PeerId): Peer {
    return requirePeer(this.#running().peers, id);
  }

  #requireFree(peer: Peer, path: Path): void {
    const holder = this.#running().admittedAt(path);
    if (holder && holder !== peer) {
      throw heldByAnother(peer, path, { errno: 'EEXIST', holder: `peer ${holder.id}` });
    }
  }

  async #control(packet: ControlPacket): Promise<void> {
    if (this.#closed) return;
    const { path, payload } = packet;
    const data = looksLikeData(payload, this.#carried) && !this.#authLengths.has(payload.length);
    if (data && this.#installation.admittedAt(path)) this.#overtaken += 1n;
    else await this.#context.listener.packet(packet);
  }

  /** Puts everything of ours back as it should be; what was not, in words. */
  async #restore(): Promise<readonly string[]> {
    if (this.#closed) return [];
    const repaired = await this.#installation.restore((former, make) => this.#remake(former, make));
    await this.#ways.dressDevice();
    const mended = await this.#ways.mendRoutes();
    if (mended > 0 && repaired.length === 0) repaired.push('routes of the tunnel device');
    return repaired;
  }

  async #remake(former: Ends, make: () => Promise<void>): Promise<void> {
    this.#ways.forgetDevice(former);
    try {
      await make();
      await this.#ways.dressDevice();
      await this.#ways.makeRoutes(this.#running().peers.all());
    } catch (error) {
      this.#context.listener.failed(asError(error));
      throw error;
    }
  }

  /** Outer devices, addresses or routes are not what they were. */
  #followNetwork(): void {
    this.#ways.forgetLinks();
    this.#serial
      .run(async () => {
        if (this.#closed) return;
        await this.#installation.followDevices();
        this.#socket.bindAgain();
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
