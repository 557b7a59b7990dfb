import type { InitKeys } from '../../../core/handshake/keys.ts';
import type { Path } from '../../../core/addr.ts';
import { carriedBy, carries } from '../../../core/config/families.ts';
import { asError, IpipouError } from '../../../core/errors.ts';
import { UndoStack } from '../../../core/undo-stack.ts';
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
import { close } from '../../ffi/libc.ts';
import { watchRoutes, type RouteEvent } from '../../netlink/monitor.ts';
import { openRouteNetlink, type RouteNetlink } from '../../netlink/route.ts';
import { listenFamilies, openInFamilies } from '../families.ts';
import { openOuterErrors } from '../icmp-errors.ts';
import { InFlight, PACKETS_IN_FLIGHT } from '../in-flight.ts';
import { putBack, RepairTimer } from '../repairs.ts';
import { openOrUndo } from '../open-or-undo.ts';
import { heldByAnother, requireTunnelPort } from '../refusals.ts';
import { Serial } from '../serial.ts';
import { slices } from '../slices.ts';
import { LOSSES, SharedCounters, type PeerTotals } from './counters.ts';
import { DeviceRouting } from './device-routing.ts';
import { KnownPeers, memberOf, type KnownPeer } from './known-peers.ts';
import { CAPABILITIES, MTU_RECHECK, PEERS_PER_SLICE } from './limits.ts';
import { monotonicEpoch } from '../monotonic-epoch.ts';
import { ALL_OFFLOADS, type Offloads } from './offloads.ts';
import { sendFailure } from '../../udp/control-sender.ts';
import { bindAgain, openTunnelSocket, type TunnelSocket } from '../../udp/tunnel-socket.ts';
import { hearMarks } from './marks.ts';
import { WorkerHandle } from './worker-handle.ts';
import { INDEX_TAKEN } from './worker-protocol.ts';

/**
 * The `tun` plane: a TUN device and an ordinary UDP socket for each family outside, and a thread that moves packets
 * between them (forwarder.ts). On the wire it is FOU with IPIP: the UDP payload is the inner packet. This
 * side makes and repairs the device and the routes to peers, and passes control packets to and fro. All
 * of it is tied to descriptors, so nothing outlives the process and there is nothing to adopt.
 *
 * Order matters. Opening: the thread starts when device and sockets stand; it admits nobody yet.
 * Closing: the thread first, so that nothing touches a descriptor that is being closed.
 */
export class TunPlane implements DataPlane {
  readonly name = 'tun';
  readonly capabilities = CAPABILITIES;
  readonly adopted: ReadonlyMap<PeerId, Path> = new Map();
  readonly #context: PlaneContext;
  readonly #offloads: Offloads;
  readonly #route: RouteNetlink;
  readonly #device: DeviceRouting;
  readonly #peers = new KnownPeers();
  readonly #counters = new SharedCounters();
  readonly #undo = new UndoStack();
  readonly #repairs = new RepairTimer((what) => {
    void putBack(this.#context, what, () => this.#serial.run(() => this.#restore(what)));
  });
  #worker: WorkerHandle | undefined;
  #sockets: readonly TunnelSocket[] = [];
  #mtuTimer: NodeJS.Timeout | undefined;
  /** Changes are made one after another: calls of the owner and repairs alike. */
  readonly #serial = new Serial();
  /** Control packets are handled one after another; the worker bounds how many there are. */
  #controlTail: Promise<void> = Promise.resolve();
  /** One peer's packet may wait for a disk; those of others do not. */
  readonly #inFlight = new InFlight(PACKETS_IN_FLIGHT);
  #closed = false;

  private constructor(context: PlaneContext, offloads: Offloads) {
    this.#context = context;
    this.#offloads = offloads;
    this.#route = openRouteNetlink();
    this.#device = new DeviceRouting(this.#route, context.config, this.#peers, {
      vnetHeader: offloads.vnetHeader,
      log: context.log,
      resized: (mtu) => this.#tellMtu(mtu),
    });
  }

  /**
   * Makes device, socket and thread; all undone when one fails. Offloads that are not there are done
   * without.
   */
  static async open(context: PlaneContext, offloads = ALL_OFFLOADS): Promise<TunPlane> {
    const plane = new TunPlane(context, offloads);
    await openOrUndo(
      context.log,
      () => plane.#open(),
      () => plane.close(),
    );
    return plane;
  }

  async #open(): Promise<void> {
    const { config, authLengths, log } = this.#context;
    const { outer } = config;
    const opened = openInFamilies(listenFamilies(config), { outer, log }, (family) => {
      const socket = openTunnelSocket(outer, family, this.#offloads);
      this.#undo.push('UDP socket', () => void close(socket.fd));
      hearMarks(socket.fd, family);
      return socket;
    });
    const sockets = [...opened.values()];
    this.#sockets = sockets;
    const tunFd = await this.#device.create();
    this.#undo.push('tunnel device', () => {
      this.#device.remove();
    });
    this.#undo.push('routes of the last resort', () => this.#device.close());
    await this.#device.dress();
    const worker = await WorkerHandle.start(
      {
        tunFd,
        mtu: await this.#device.mtu(),
        vnetHeader: this.#offloads.vnetHeader,
        sockets,
        localPort: config.outer.localPort,
        authLengths,
        initKeys: this.#context.initKeys,
        carried: carriedBy(config),
        innerIps: config.inner.ips,
        counters: this.#counters.memory,
        epoch: monotonicEpoch(),
      },
      {
        control: (path, payload) => this.#control({ path, payload }),
        trouble: (operation, errno, loss) => {
          const lost = this.#counters.losses(loss);
          this.#context.log('warn', 'a packet was lost', { operation, errno, loss, lost });
        },
        tooBig: (peer) => this.#shrink(peer),
        roamed: (peer, path) => this.#context.listener.roamed(peer, path),
        deviceLost: () => this.#repairs.ask('tunnel device'),
        failed: (error) => this.#context.listener.failed(error),
      },
    );
    this.#worker = worker;
    this.#undo.push('forwarding thread', () => worker.stop());
    await this.#configure(config.peers.map(planePeer));
    const watch = watchRoutes((event) => {
      this.#onRouteEvent(event);
    });
    this.#undo.push('watch', () => watch.close());
    const errors = openOuterErrors(this.#context);
    this.#undo.push('ICMP errors', () => errors[Symbol.dispose]());
  }

  async configure(peers: readonly PlanePeer[]): Promise<void> {
    await this.#serial.run(() => this.#configure(peers));
  }

  async #configure(peers: readonly PlanePeer[]): Promise<void> {
    for (const slice of slices(peers, PEERS_PER_SLICE)) {
      await this.#running().request({ kind: 'configure', members: slice.map(memberOf) });
    }
    await this.#device.route(peers.map((peer) => this.#peers.configure(peer)));
  }

  async remove(ids: readonly PeerId[]): Promise<void> {
    await this.#serial.run(async () => {
      await this.#running().request({ kind: 'remove', peers: ids });
      for (const id of ids) {
        const peer = this.#peers.get(id);
        if (!peer) continue;
        this.#device.forgetPath(peer);
        this.#peers.remove(peer);
      }
      await this.#device.unroute(ids);
    });
  }

  async admit(id: PeerId, { path, tags }: PeerProperties): Promise<void> {
    requireTunnelPort(path, this.#context.config.outer.localPort);
    await this.#serial.run(async () => {
      const peer = this.#peers.require(id);
      const slot = await this.#slotOf(peer);
      const errno = await this.#running().request({ kind: 'admit', peer: id, slot, path, tags });
      if (errno === INDEX_TAKEN) throw indexHeld(peer);
      if (errno !== undefined) throw heldByAnother(peer, path, { errno, holder: 'another peer' });
      peer.path = path;
      peer.tagged = tags !== undefined;
      // The peer is admitted whatever becomes of the MTU; it is looked at again when routes change.
      await this.#lookAt([peer]).catch((error: unknown) => {
        this.#warnOfMtu(error);
      });
    });
  }

  async evict(id: PeerId): Promise<void> {
    await this.#serial.run(async () => {
      const peer = this.#peers.get(id);
      if (!peer?.path) return;
      await this.#running().request({ kind: 'evict', peer: id });
      peer.path = undefined;
      this.#device.forgetPath(peer);
    });
  }

  async watch(lengths: readonly number[], initKeys?: InitKeys): Promise<void> {
    await this.#serial.run(async () => {
      await this.#running().request({ kind: 'watch', lengths, initKeys });
    });
  }

  async limitMtu(id: PeerId, mtu: number | undefined): Promise<void> {
    await this.#serial.run(async () => {
      const peer = this.#peers.require(id);
      peer.limit = mtu;
      await this.#lookAt([peer]);
    });
  }

  async send(packet: OutgoingControl): Promise<void> {
    const errno = await this.#running().request({ kind: 'send', packet });
    if (errno !== undefined) throw sendFailure(packet, errno);
  }

  async counters(id: PeerId): Promise<PeerCounters> {
    const {
      foreign: _foreign,
      tooBig: _tooBig,
      control: _control,
      untagged: _untagged,
      ...counters
    } = this.#totals(id);
    return counters;
  }

  async describe(): Promise<PlaneDescription> {
    return {
      device: this.#context.config.inner.device,
      mtu: await this.#device.mtu(),
      refused: Object.fromEntries(LOSSES.map((loss) => [loss, this.#counters.losses(loss)])),
      taken: this.#device.taken(),
    };
  }

  async describePeer(id: PeerId): Promise<PeerDescription> {
    const { foreign, tooBig, control, untagged, ...counters } = this.#totals(id);
    return {
      ...counters,
      device: this.#context.config.inner.device,
      mtu: this.#device.mtuOf(this.#peers.get(id)),
      localAlt: undefined,
      refused: {
        ...{ 'inner-source': foreign, 'too-big': tooBig, control, untagged },
        ...{ 'bad-tag': counters.tagFailures, replayed: counters.replays },
      },
      taken: this.#device.taken(id),
    };
  }

  async refresh(): Promise<void> {
    await this.#serial.run(async () => {
      await this.#device.retry();
      await this.#lookAt([...this.#peers.admitted()]);
    });
  }

  /** Ends the thread and removes the device in either mode: nothing of it can stay without us. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#mtuTimer);
    this.#repairs.close();
    await this.#serial.idle();
    this.#logLosses();
    try {
      await this.#undo.release();
    } finally {
      this.#route.close();
    }
  }

  #running(): WorkerHandle {
    if (this.#worker && !this.#closed) return this.#worker;
    throw new IpipouError('createTunnel', 'the plane is closed');
  }

  #totals(id: PeerId): PeerTotals {
    // A slot that there is no memory for counts nothing.
    return this.#counters.peer(this.#peers.get(id)?.slot ?? this.#counters.slots);
  }

  async #slotOf(peer: KnownPeer): Promise<number> {
    if (peer.slot !== undefined) return peer.slot;
    const slot = this.#peers.takeSlot();
    peer.slot = slot;
    if (slot < this.#counters.slots) this.#counters.reset(slot);
    else await this.#running().request({ kind: 'counters', memory: this.#counters.grow() });
    return slot;
  }

  #control(packet: ControlPacket): void {
    this.#controlTail = this.#controlTail.then(() => this.#inFlight.add(this.#handle(packet)));
  }

  async #handle(packet: ControlPacket): Promise<void> {
    if (!this.#closed) await this.#context.listener.packet(packet);
    this.#worker?.handled(packet.path, packet.payload);
  }

  /** The path to a peer takes less than it did: the kernel knows by now how much. */
  #shrink(id: PeerId): void {
    if (this.#closed) return;
    clearTimeout(this.#mtuTimer);
    this.#mtuTimer = setTimeout(() => {
      this.refresh().catch((error: unknown) => this.#warnOfMtu(error));
    }, MTU_RECHECK).unref();
    const peer = this.#peers.get(id);
    if (!peer) return;
    this.#serial.run(() => this.#lookAt([peer])).catch((error: unknown) => this.#warnOfMtu(error));
  }

  /** Looks at the paths to these peers. The thread is told of them where IPv6 is carried, which no router cuts up. */
  async #lookAt(peers: readonly KnownPeer[]): Promise<void> {
    await this.#device.lookAt(peers);
    if (!carries(this.#context.config.inner, 'ipv6')) return;
    for (const slice of slices(peers, PEERS_PER_SLICE)) {
      const sizes = slice.map(({ id, mtu }) => [id, mtu] as const);
      await this.#running().request({ kind: 'sizes', sizes });
    }
  }

  /** The thread is told, too; there is none before the device is dressed for the first time. */
  #tellMtu(mtu: number): void {
    this.#worker?.request({ kind: 'mtu', mtu }).catch(() => undefined);
  }

  #warnOfMtu(error: unknown): void {
    this.#context.log('warn', 'the MTU could not be set', { error: String(error) });
  }

  #onRouteEvent(event: RouteEvent): void {
    const { index } = this.#device;
    switch (event.kind) {
      case 'link':
        if (event.name === this.#context.config.outer.device) this.#bindAgain();
        if (event.index !== index) return;
        if (event.change === 'delete' || !event.up) this.#repairs.ask('tunnel device');
        return;
      case 'address':
        if (event.index === index && event.change === 'delete') {
          this.#repairs.ask('address of the tunnel device');
        }
        return;
      case 'overrun':
        this.#bindAgain();
        this.#repairs.ask('tunnel device');
        return;
      case 'route':
    }
  }

  /** Follows `fou-dev` to a device of that name which has been made anew. */
  #bindAgain(): void {
    if (this.#closed) return;
    try {
      for (const { fd } of this.#sockets) bindAgain(fd, this.#context.config.outer);
    } catch (error) {
      this.#context.log('warn', 'the outer device could not be followed', { error: String(error) });
    }
  }

  /** Puts the device back as it should be; what was not, in words. */
  async #restore(what: string): Promise<readonly string[]> {
    if (this.#closed) return [];
    try {
      const use = (tunFd: number) => this.#running().request({ kind: 'device', tunFd });
      return (await this.#device.restore(use)) ? [what] : [];
    } catch (error) {
      // Without a device there is nothing to go on with; else the next change is another try.
      if (this.#device.lost) this.#context.listener.failed(asError(error));
      throw error;
    }
  }

  #logLosses(): void {
    const lost = LOSSES.map((loss) => [loss, this.#counters.losses(loss)] as const);
    const fields = Object.fromEntries(lost.filter(([, packets]) => packets > 0n));
    if (Object.keys(fields).length > 0) this.#context.log('debug', 'packets lost', fields);
  }
}

/** What the thread says where an index of a peer's tags is another peer's. */
function indexHeld({ id }: KnownPeer): IpipouError {
  return new IpipouError('createTunnel', `the tags of peer ${id} have an index of another peer's`);
}
