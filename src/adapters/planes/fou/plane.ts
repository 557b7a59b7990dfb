import type { Ipv4, Path } from '../../../core/addr.ts';
import { IpipouError, KernelError } from '../../../core/errors.ts';
import { UndoStack } from '../../../core/undo-stack.ts';
import type {
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
import { DEFAULT_PEER } from '../../../core/config/tunnel-config.ts';
import { deleteConntrack } from '../../netlink/conntrack.ts';
import { openFouNetlink, type FouNetlink } from '../../netlink/fou.ts';
import { watchRoutes, type RouteEvent } from '../../netlink/monitor.ts';
import { openRouteNetlink, type RouteNetlink } from '../../netlink/route.ts';
import { openRawUdp, type RawUdp } from '../../raw-socket.ts';
import { defaultTtl } from '../../system/default-ttl.ts';
import { deviceMtu } from '../inner-mtu.ts';
import { ControlQueue } from './control.ts';
import { CounterLedger } from './counter-ledger.ts';
import { Guard } from './guard.ts';
import { ensureListener, findListener, removeListener } from './listener.ts';
import { LocalAlt } from './local-alt.ts';
import { removeLeftovers } from './leftovers.ts';
import { newRecord, parseRecord, type FouRecord } from './record.ts';
import { TunnelDevice } from './tunnel-device.ts';

/**
 * The `fou` plane: kernel FOU and one ipip device, guarded by nftables, with an NFQUEUE for
 * everything that is not data of the admitted peer and a raw socket for what we send from the
 * tunnel's own port (which the FOU listener holds).
 *
 * Order matters. Opening: the guard stands before the listener is made, so that the port is never
 * open unguarded. Admitting: the device is pointed first, then the guard lets the peer in; data that
 * comes between waits in the queue. Evicting: the guard first. Closing: the device, the listener,
 * and the guard last.
 */
export class FouPlane implements DataPlane {
  readonly name = 'fou';
  readonly adopted = new Map<PeerId, Path>();
  readonly #context: PlaneContext;
  readonly #route: RouteNetlink;
  readonly #fou: FouNetlink;
  readonly #device: TunnelDevice;
  readonly #guard: Guard;
  readonly #alt: LocalAlt;
  readonly #undo = new UndoStack();
  readonly #defaultTtl = defaultTtl();
  #raw: RawUdp | undefined;
  #queue: ControlQueue | undefined;
  #watch: { close(): void } | undefined;
  #record: FouRecord;
  #path: Path | undefined;
  readonly #ledger = new CounterLedger();
  /** Kernel changes are made one after another: calls of the owner and repairs share this tail. */
  #tail: Promise<unknown> = Promise.resolve();
  /** Whether what an earlier run left is ours to change: from then on, or never. */
  #tookOver = false;
  #closed = false;

  private constructor(context: PlaneContext) {
    const { config } = context;
    this.#context = context;
    this.#route = openRouteNetlink();
    this.#fou = openFouNetlink();
    this.#device = new TunnelDevice(this.#route, config, this.#defaultTtl);
    this.#alt = new LocalAlt(this.#route, config.outer.localIpAlt);
    this.#guard = new Guard(
      {
        table: config.nft.table,
        port: config.outer.localPort,
        device: config.outer.device,
        queue: config.queue.number,
        strangers: config.role === 'server',
        authLengths: context.authLengths,
        counters: config.nft.counters,
      },
      (repaired) => context.listener.disturbed(`nftables table ${config.nft.table}`, repaired),
    );
    this.#record = newRecord(config);
  }

  /**
   * Makes guard, queue and listener, adopts what an earlier run left. When something fails, what was
   * made is undone, and what an earlier run left forwarding stays as it was.
   */
  static async open(context: PlaneContext): Promise<FouPlane> {
    const plane = new FouPlane(context);
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
    const { config, journal, log } = this.#context;
    await this.#device.outerDevice();
    await this.#device.requireLocalAddress();
    const left = parseRecord(journal.load());
    const adoption = await this.#adoptable(left);
    this.#tookOver = true;
    if (left && !adoption) {
      log('info', 'removing what an earlier run left', { device: left.device, port: left.port });
      await removeLeftovers(left);
    }
    // Without a record, a device of ours still points at a peer that nobody answers for.
    if (!adoption && (await this.#device.find())) await this.#device.remove();

    this.#queue = new ControlQueue(config, {
      publicLocal: (local) => this.#publicLocal(local),
      packet: (packet) => this.#context.listener.packet(packet),
      dataPath: () => this.#dataPath(),
    });
    this.#undo.push('queue', () => this.#queue?.close());
    this.#undo.push('nftables rules', () => this.#guard.remove());
    if (adoption) {
      if (adoption.alt) this.#alt.adopt(adoption.madeAlt);
      this.#path = adoption.path;
      this.adopted.set(DEFAULT_PEER, adoption.path);
      this.#save(adoption);
    }
    this.#guard.install(this.#admission());
    const made = await ensureListener(this.#fou, config.outer.localPort, () =>
      this.#save({ madeListener: true }),
    );
    if (!made && !this.#record.madeListener) {
      log('warn', 'the FOU port was there already; it is used and will be left', {
        port: config.outer.localPort,
      });
    }
    this.#undo.push('FOU port', async () => {
      if (this.#record.madeListener) await removeListener(this.#fou, config.outer.localPort);
    });
    this.#undo.push('alternative address', () => this.#alt.remove());
    this.#undo.push('tunnel device', () => this.#device.remove());
    if (this.#path) await this.#device.point(this.#path, this.#local(this.#path));
    this.#raw = openRawUdp();
    this.#watch = watchRoutes((event) => this.#onRouteEvent(event));
  }

  /**
   * The record of an earlier run whose device still stands as that run made it, with this config's
   * port, table and alternative address: its peer can go on without a break.
   */
  async #adoptable(
    left: FouRecord | undefined,
  ): Promise<(FouRecord & { readonly path: Path }) | undefined> {
    const { config } = this.#context;
    if (left?.path === undefined || left.port !== config.outer.localPort) return undefined;
    if (left.table !== config.nft.table) return undefined;
    if (left.alt !== undefined && left.alt !== this.#alt.address) return undefined;
    const link = await this.#device.find();
    const stands =
      link?.ipip?.remote === left.path.remote.ip &&
      link.ipip.local === (left.alt ?? left.path.local.ip);
    return stands ? { ...left, path: left.path } : undefined;
  }

  async admit(peer: PeerId, { path }: PeerProperties): Promise<void> {
    assertPeer(peer);
    await this.#serial(() => this.#admit(path));
  }

  async #admit(path: Path): Promise<void> {
    const { config } = this.#context;
    const before = this.#path;
    const altBefore = this.#alt.inUse;
    try {
      const taken = () => this.#device.addressesTaken(path.local.ip, path.remote.ip);
      if (config.outer.forceLocalIpAlt || altBefore || (await taken())) await this.#useAlt();
      this.#save({ path });
      try {
        await this.#point(path);
      } catch (error) {
        // Another tunnel took the same outer addresses since we looked.
        if (!(error instanceof KernelError) || error.errno !== 'EEXIST' || this.#alt.inUse) {
          throw error;
        }
        await this.#useAlt();
        await this.#point(path);
      }
      this.#path = path;
      this.#guard.admit(this.#admission());
    } catch (error) {
      await this.#restore(before, altBefore);
      throw error;
    }
  }

  async #point(path: Path): Promise<void> {
    this.#guard.expect(path.remote.ip, this.#local(path));
    await this.#device.point(path, this.#local(path));
  }

  /** Back to how it was before a failed admission; failures here are logged, the first error counts. */
  async #restore(before: Path | undefined, altBefore: boolean): Promise<void> {
    try {
      this.#path = before;
      if (before === undefined) await this.#device.remove();
      if (!altBefore) await this.#alt.remove();
      this.#save({
        path: before,
        alt: this.#alt.current,
        madeAlt: this.#alt.made,
      });
      if (before !== undefined) await this.#device.point(before, this.#local(before));
      this.#guard.admit(this.#admission());
    } catch (error) {
      this.#context.log('error', 'putting the tunnel back failed', { error: String(error) });
    }
  }

  async evict(peer: PeerId): Promise<void> {
    assertPeer(peer);
    await this.#serial(async () => {
      if (this.#path === undefined) return;
      this.#path = undefined;
      this.#guard.admit(undefined);
      await this.#device.remove();
      await this.#alt.remove();
      this.adopted.delete(peer);
      this.#save({ path: undefined, alt: undefined, madeAlt: false });
    });
  }

  async send({ path, payload, ttl }: OutgoingControl): Promise<void> {
    if (this.#raw === undefined) throw new IpipouError('sendAuth', 'the plane is closed');
    this.#raw.send({
      path,
      payload,
      ttl: ttl ?? this.#defaultTtl,
      device: this.#context.config.outer.device,
    });
  }

  async counters(peer: PeerId): Promise<PeerCounters> {
    assertPeer(peer);
    const now = await this.#device.counters();
    if (now === undefined && this.#path !== undefined) this.#repairDevice('tunnel device');
    const listener = await findListener(this.#fou, this.#context.config.outer.localPort);
    if (listener === undefined) this.#repairListener();
    return this.#ledger.total(now);
  }

  async describe(): Promise<PlaneDescription> {
    const { config } = this.#context;
    const refused = this.#guard.refusedPackets();
    return {
      device: config.inner.device,
      mtu: await this.#mtu(),
      refused: refused === undefined ? {} : { guard: refused },
    };
  }

  async describePeer(peer: PeerId): Promise<PeerDescription> {
    return {
      ...(await this.counters(peer)),
      device: this.#context.config.inner.device,
      mtu: await this.#mtu(),
      localAlt: this.#alt.current,
      refused: {},
    };
  }

  async #mtu(): Promise<number> {
    const { config } = this.#context;
    const remote = this.#path?.remote.ip ?? config.inner.ip;
    return (await this.#device.mtu()) ?? deviceMtu(this.#route, remote, config);
  }

  async configure(peers: readonly PlanePeer[]): Promise<void> {
    for (const { id } of peers) assertPeer(id);
  }

  async remove(peers: readonly PeerId[]): Promise<void> {
    for (const peer of peers) await this.evict(peer);
  }

  async limitMtu(peer: PeerId): Promise<void> {
    assertPeer(peer);
  }

  async refresh(): Promise<void> {
    await this.#serial(async () => {
      if (this.#path) await this.#device.point(this.#path, this.#local(this.#path));
    });
  }

  async close(mode: 'remove' | 'leave'): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#watch?.close();
    await this.#tail.catch(() => undefined);
    try {
      if (mode === 'remove') {
        await this.#undo.release();
        await deleteConntrack(
          ({ original, reply }) =>
            original.destinationPort === this.#record.port ||
            reply.destinationPort === this.#record.port,
        );
        this.#context.journal.save(null);
      } else {
        this.#undo.disarm();
        this.#queue?.close();
      }
    } finally {
      this.#guard.close();
      this.#raw?.close();
      this.#fou.close();
      this.#route.close();
    }
  }

  async #useAlt(): Promise<void> {
    await this.#alt.use((madeAlt) => this.#save({ alt: this.#alt.address, madeAlt }));
  }

  /** The local address that the device and the guard use for a path. */
  #local(path: Path): Ipv4 {
    return this.#alt.current ?? path.local.ip;
  }

  #admission() {
    return this.#path && { path: this.#path, alt: this.#alt.current };
  }

  #publicLocal(local: Ipv4): Ipv4 {
    return this.#path && this.#alt.inUse && local === this.#alt.address
      ? this.#path.local.ip
      : local;
  }

  #dataPath(): Path | undefined {
    const path = this.#path;
    return path && { remote: path.remote, local: { ...path.local, ip: this.#local(path) } };
  }

  #save(change: Partial<FouRecord>): void {
    this.#record = { ...this.#record, ...change };
    this.#context.journal.save(this.#record);
  }

  #serial<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#tail.then(work);
    this.#tail = result.catch(() => undefined);
    return result;
  }

  #onRouteEvent(event: RouteEvent): void {
    const index = this.#device.index;
    if (index === undefined || this.#path === undefined) return;
    if (event.kind === 'overrun') this.#repairDevice('tunnel device');
    if (event.kind === 'link' && event.index === index) {
      if (event.change === 'delete' || !event.up) this.#repairDevice('tunnel device');
    }
    if (event.kind === 'address' && event.change === 'delete') {
      if (event.index === index) this.#repairDevice('address of the tunnel device');
      else if (this.#alt.inUse && event.ip === this.#alt.address) {
        this.#repairDevice('alternative address');
      }
    }
  }

  /** Puts device, addresses and state back as they should be; nothing to do when they are. */
  #repairDevice(what: string): void {
    if (this.#closed) return;
    void this.#serial(async () => {
      const path = this.#path;
      if (path === undefined || this.#closed) return;
      const link = await this.#device.find();
      const whole = link?.up === true && (await this.#device.hasAddress());
      if (whole && (!this.#alt.inUse || (await this.#alt.present()))) return;
      if (this.#alt.inUse) await this.#useAlt();
      await this.#device.point(path, this.#local(path));
      this.#context.listener.disturbed(what, true);
    }).catch((error: unknown) => {
      this.#context.log('error', `${what} could not be put back`, { error: String(error) });
      this.#context.listener.disturbed(what, false);
    });
  }

  #repairListener(): void {
    void this.#serial(async () => {
      if (this.#closed) return;
      await ensureListener(this.#fou, this.#context.config.outer.localPort, () =>
        this.#save({ madeListener: true }),
      );
      this.#context.listener.disturbed('FOU port', true);
    }).catch((error: unknown) => {
      this.#context.log('error', 'the FOU port could not be put back', { error: String(error) });
      this.#context.listener.disturbed('FOU port', false);
    });
  }
}

function assertPeer(peer: PeerId): void {
  if (peer !== DEFAULT_PEER) throw new RangeError(`the fou plane has one peer, not ${peer}`);
}
