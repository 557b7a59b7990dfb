import { parseIpv4, formatEndpoint, type Ipv4, type Path } from '../../../core/addr.ts';
import { defaultPeer } from '../../../core/config/peers.ts';
import { IpipouError, KernelError } from '../../../core/errors.ts';
import { UndoStack } from '../../../core/undo-stack.ts';
import type {
  ControlPacket,
  DataPlane,
  OutgoingControl,
  PeerCounters,
  PeerDescription,
  PlanePeer,
  PeerId,
  PeerProperties,
  PlaneContext,
  PlaneDescription,
} from '../../../ports/data-plane.ts';
import { close } from '../../ffi/libc.ts';
import { watchRoutes, type RouteEvent } from '../../netlink/monitor.ts';
import { openRouteNetlink, type RouteNetlink } from '../../netlink/route.ts';
import { FOU_OVERHEAD, innerMtu, MIN_INNER_MTU } from '../inner-mtu.ts';
import { LOSSES, SharedCounters } from './counters.ts';
import { TunDevice } from './device.ts';
import { MAX_PEERS, MTU_RECHECK, REPAIR_RATE } from './limits.ts';
import { ALL_OFFLOADS, type Offloads } from './offloads.ts';
import { TokenBucket } from './token-bucket.ts';
import { openTunnelSocket } from './udp-socket.ts';
import { WorkerHandle } from './worker-handle.ts';

const NOTHING: PeerCounters = { rxPackets: 0n, rxBytes: 0n, txPackets: 0n, txBytes: 0n };

/**
 * The `tun` plane: a TUN device and an ordinary UDP socket, and a thread that moves packets between
 * them (forwarder.ts). On the wire it is FOU with IPIP: the UDP payload is the inner packet. This
 * side makes and repairs the device, and passes control packets to and fro. All of it is tied to
 * descriptors, so nothing outlives the process and there is nothing to adopt.
 *
 * Order matters. Opening: the thread starts when device and socket stand; it admits nobody yet.
 * Closing: the thread first, so that nothing touches a descriptor that is being closed.
 */
export class TunPlane implements DataPlane {
  readonly name = 'tun';
  readonly adopted: ReadonlyMap<PeerId, Path> = new Map();
  readonly #context: PlaneContext;
  readonly #offloads: Offloads;
  readonly #route: RouteNetlink;
  readonly #device: TunDevice;
  readonly #counters = new SharedCounters();
  readonly #undo = new UndoStack();
  readonly #repairs = new TokenBucket(REPAIR_RATE, performance.now());
  /** Slots in the counters; a peer keeps its own for good. At most MAX_PEERS. */
  readonly #slots = new Map<PeerId, number>();
  readonly #paths = new Map<PeerId, Path>();
  #worker: WorkerHandle | undefined;
  /** MTU while no peer is admitted. */
  #baseMtu: number | undefined;
  #mtuTimer: NodeJS.Timeout | undefined;
  #repairTimer: NodeJS.Timeout | undefined;
  /** Changes are made one after another: calls of the owner and repairs share this tail. */
  #tail: Promise<unknown> = Promise.resolve();
  /** Control packets are handled one after another; the worker bounds how many there are. */
  #controlTail: Promise<void> = Promise.resolve();
  #closed = false;

  private constructor(context: PlaneContext, offloads: Offloads) {
    this.#context = context;
    this.#offloads = offloads;
    this.#route = openRouteNetlink();
    this.#device = new TunDevice(this.#route, context.config, offloads.vnetHeader);
  }

  /** Makes device, socket and thread; all undone when one fails. Offloads that are not there are done without. */
  static async open(context: PlaneContext, offloads = ALL_OFFLOADS): Promise<TunPlane> {
    const plane = new TunPlane(context, offloads);
    try {
      await plane.#open();
      return plane;
    } catch (error) {
      await plane.close().catch((failure: unknown) => {
        context.log('error', 'clean-up after a failed start', { error: String(failure) });
      });
      throw error;
    }
  }

  async #open(): Promise<void> {
    const { config, authLengths } = this.#context;
    const { vnetHeader } = this.#offloads;
    const { fd: udpFd, ...socket } = openTunnelSocket(config.outer, this.#offloads);
    this.#undo.push('UDP socket', () => void close(udpFd));
    // Before there is a device: the route to its peer would lead into the tunnel afterwards.
    this.#baseMtu = await this.#mtuWithoutPeer();
    const tunFd = await this.#device.create();
    this.#undo.push('tunnel device', () => {
      this.#device.remove();
    });
    await this.#device.dress(this.#baseMtu);
    const start = {
      tunFd,
      udpFd,
      localPort: config.outer.localPort,
      authLengths,
      offloads: { vnetHeader, ...socket },
      counters: this.#counters.memory,
    };
    const worker = await WorkerHandle.start(start, {
      control: (path, payload) => {
        this.#control({ path, payload });
      },
      trouble: (operation, errno, loss) => {
        const lost = this.#counters.losses(loss);
        this.#context.log('warn', 'a packet was lost', { operation, errno, loss, lost });
      },
      tooBig: () => {
        this.#shrink();
      },
      deviceLost: () => {
        this.#repair('tunnel device');
      },
      failed: (error) => {
        this.#context.listener.failed(error);
      },
    });
    this.#worker = worker;
    this.#undo.push('forwarding thread', () => worker.stop());
    const watch = watchRoutes((event) => {
      this.#onRouteEvent(event);
    });
    this.#undo.push('watch', () => {
      watch.close();
    });
  }

  async admit(peer: PeerId, { path }: PeerProperties): Promise<void> {
    const { localPort } = this.#context.config.outer;
    if (path.local.port !== localPort) {
      throw new IpipouError(
        'createTunnel',
        `the tunnel's port is ${localPort}, not ${path.local.port}`,
      );
    }
    await this.#serial(async () => {
      const exit = this.#paths.has(peer) ? 'updateTunnel' : 'createTunnel';
      const slot = this.#slot(peer);
      const errno = await this.#running().request({ kind: 'admit', peer, slot, path });
      if (errno !== undefined) {
        const subject = `peer ${peer} at ${formatEndpoint(path.remote)}`;
        throw new KernelError(
          exit,
          { operation: 'admit', errno, subject },
          { hint: 'another peer of this tunnel is admitted at that address and port' },
        );
      }
      this.#paths.set(peer, path);
      // The peer is admitted whatever becomes of the MTU; it is looked at again when routes change.
      await this.#setMtu().catch((error: unknown) => {
        this.#context.log('warn', 'the MTU could not be set', { error: String(error) });
      });
    });
  }

  async evict(peer: PeerId): Promise<void> {
    await this.#serial(async () => {
      if (!this.#paths.has(peer)) return;
      await this.#running().request({ kind: 'evict', peer });
      this.#paths.delete(peer);
    });
  }

  async send({ path, payload, ttl }: OutgoingControl): Promise<void> {
    const errno = await this.#running().request({ kind: 'send', path, payload, ttl });
    if (errno === undefined) return;
    const subject = `packet from ${formatEndpoint(path.local)} to ${formatEndpoint(path.remote)}`;
    throw new KernelError('sendAuth', { operation: 'sendmsg', errno, subject });
  }

  async counters(peer: PeerId): Promise<PeerCounters> {
    const slot = this.#slots.get(peer);
    return slot === undefined ? NOTHING : this.#counters.peer(slot);
  }

  async describe(): Promise<PlaneDescription> {
    const refused = this.#counters.losses('stranger') + this.#counters.losses('control');
    return {
      device: this.#context.config.inner.device,
      mtu: (await this.#device.mtu()) ?? (await this.#mtu()),
      refused: { stranger: refused },
    };
  }

  async describePeer(peer: PeerId): Promise<PeerDescription> {
    const { device, mtu } = await this.describe();
    return { ...(await this.counters(peer)), device, mtu, localAlt: undefined, refused: {} };
  }

  async configure(peers: readonly PlanePeer[]): Promise<void> {
    for (const { id } of peers) this.#slot(id);
  }

  async remove(peers: readonly PeerId[]): Promise<void> {
    for (const peer of peers) await this.evict(peer);
  }

  async limitMtu(): Promise<void> {
    await this.refresh();
  }

  async refresh(): Promise<void> {
    await this.#serial(() => this.#setMtu());
  }

  /** Ends the thread and removes the device in either mode: nothing of it can stay without us. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#mtuTimer);
    clearTimeout(this.#repairTimer);
    await this.#tail.catch(() => undefined);
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

  #slot(peer: PeerId): number {
    const slot = this.#slots.get(peer) ?? this.#slots.size;
    if (slot >= MAX_PEERS) {
      throw new IpipouError('createTunnel', `a tunnel has at most ${MAX_PEERS} peers`);
    }
    this.#slots.set(peer, slot);
    return slot;
  }

  #control(packet: ControlPacket): void {
    this.#controlTail = this.#controlTail.then(async () => {
      if (!this.#closed) await this.#context.listener.packet(packet);
      this.#worker?.handled(packet.path, packet.payload);
    });
  }

  async #mtu(): Promise<number> {
    const { config } = this.#context;
    const [first] = this.#paths.values();
    const remote = first?.remote.ip ?? literalRemote(defaultPeer(config)?.remoteHost);
    if (typeof config.inner.mtu === 'number') return config.inner.mtu;
    if (remote !== undefined) return innerMtu(this.#route, remote, config);
    return this.#baseMtu ?? this.#mtuWithoutPeer();
  }

  /** The MTU for a peer of whom nothing is known: that of the outer device or of the default route. */
  async #mtuWithoutPeer(): Promise<number> {
    const { config } = this.#context;
    const remote = literalRemote(defaultPeer(config)?.remoteHost);
    if (typeof config.inner.mtu === 'number') return config.inner.mtu;
    if (remote !== undefined) return innerMtu(this.#route, remote, config);
    const { device } = config.outer;
    const outer = device === undefined ? undefined : await this.#route.linkByName(device);
    if (outer) return Math.max(MIN_INNER_MTU, outer.mtu - FOU_OVERHEAD);
    return innerMtu(this.#route, config.inner.ip, config);
  }

  async #setMtu(): Promise<void> {
    await this.#device.dress(await this.#mtu());
  }

  /** The outer path takes less than it did: the kernel knows by now how much. */
  #shrink(): void {
    if (this.#closed) return;
    clearTimeout(this.#mtuTimer);
    this.#mtuTimer = setTimeout(() => {
      this.#refreshQuietly();
    }, MTU_RECHECK).unref();
    this.#refreshQuietly();
  }

  #refreshQuietly(): void {
    this.refresh().catch((error: unknown) => {
      this.#context.log('warn', 'the MTU could not be set', { error: String(error) });
    });
  }

  #onRouteEvent(event: RouteEvent): void {
    const { index } = this.#device;
    switch (event.kind) {
      case 'link':
        if (event.index !== index) return;
        if (event.change === 'delete' || !event.up) this.#repair('tunnel device');
        return;
      case 'address':
        if (event.index === index && event.change === 'delete') {
          this.#repair('address of the tunnel device');
        }
        return;
      case 'overrun':
        this.#repair('tunnel device');
        return;
      case 'route':
    }
  }

  /** Puts the device back as it should be; nothing to do, and nothing said, when it is. */
  #repair(what: string): void {
    if (this.#closed || this.#repairTimer) return;
    if (!this.#repairs.take(performance.now())) {
      this.#repairTimer = setTimeout(() => {
        this.#repairTimer = undefined;
        this.#repair(what);
      }, 1000 / REPAIR_RATE.perSecond).unref();
      return;
    }
    this.#serial(() => this.#restore(what)).catch((error: unknown) => {
      this.#context.log('error', `${what} could not be put back`, { error: String(error) });
      this.#context.listener.disturbed(what, false);
    });
  }

  async #restore(what: string): Promise<void> {
    if (this.#closed) return;
    const state = await this.#device.whole();
    if (state === 'whole') return;
    if (state === 'gone') await this.#replaceDevice();
    await this.#setMtu();
    this.#context.listener.disturbed(what, true);
  }

  async #replaceDevice(): Promise<void> {
    const { fd: oldFd } = this.#device;
    try {
      const tunFd = await this.#device.create();
      try {
        await this.#running().request({ kind: 'device', tunFd });
      } finally {
        if (oldFd !== undefined) close(oldFd);
      }
    } catch (error) {
      this.#context.listener.failed(error instanceof Error ? error : new Error(String(error)));
      throw error;
    }
  }

  #serial<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#tail.then(work);
    this.#tail = result.catch(() => undefined);
    return result;
  }

  #logLosses(): void {
    const lost = LOSSES.map((loss) => [loss, this.#counters.losses(loss)] as const);
    const fields = Object.fromEntries(lost.filter(([, packets]) => packets > 0n));
    if (Object.keys(fields).length > 0) this.#context.log('debug', 'packets lost', fields);
  }
}

/** The address that a `fou-remote` spells; undefined for a name or nothing. */
function literalRemote(host: string | undefined): Ipv4 | undefined {
  return host === undefined ? undefined : parseIpv4(host);
}
