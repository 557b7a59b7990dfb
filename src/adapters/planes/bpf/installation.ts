import type { Path } from '../../../core/addr.ts';
import type { UndoStack } from '../../../core/undo-stack.ts';
import type { IfIndex } from '../../../core/units.ts';
import { IpipouError } from '../../../core/errors.ts';
import type { PlaneContext, PlanePeer } from '../../../ports/data-plane.ts';
import type { RouteNetlink } from '../../netlink/route.ts';
import { openTrafficControl, type TrafficControl } from '../../netlink/tc.ts';
import { findAdoptable, type Adoptable } from './adoption.ts';
import { Attachments, type AttachFailure } from './attachments.ts';
import type { ControlSockets } from './control-socket.ts';
import { preparePair, withChecksums } from './devices.ts';
import type { Fixed } from './fixed.ts';
import { recognize, type Inheritance } from './inheritance.ts';
import { PeerMaps } from './peer-maps.ts';
import { asTold, type Peer } from './peer-table.ts';
import type { AttachedRecord, BpfRecord } from './record.ts';
import { TunnelPair, type Ends, type Sizes } from './tunnel-pair.ts';

type Stands = { maps: PeerMaps; ends: Ends };

/**
 * What stands of a tunnel in the kernel: the pair of devices, programs with their maps, and the hooks
 * that they hang on. The one owner of all three: maps are replaced by larger ones, devices come and go.
 *
 * Larger maps take the place of smaller ones only when all that can be is done: they know everybody
 * before the first program hangs, the pair comes first and is put back when it fails, and a device that
 * takes no program carries nothing until it does.
 */
export class Installation {
  readonly #context: PlaneContext;
  readonly #route: RouteNetlink;
  readonly #fixed: Fixed;
  readonly #socket: ControlSockets;
  readonly #tc: TrafficControl;
  readonly #pair: TunnelPair;
  readonly #attachments: Attachments;
  #stands: Stands | undefined;
  /** Whether the tunnel device fills checksums in. */
  #filled = false;

  constructor(
    context: PlaneContext,
    route: RouteNetlink,
    { fixed, socket }: { readonly fixed: Fixed; readonly socket: ControlSockets },
  ) {
    this.#context = context;
    this.#route = route;
    this.#fixed = fixed;
    this.#socket = socket;
    this.#tc = openTrafficControl();
    this.#pair = new TunnelPair(route, context.config);
    this.#attachments = new Attachments(
      route,
      this.#tc,
      { config: context.config, families: fixed.outside },
      (attached) => this.#record(attached),
    );
  }

  get maps(): PeerMaps {
    return this.#standing().maps;
  }

  get ends(): Ends {
    return this.#standing().ends;
  }

  /** The peer that is admitted on a path; nobody before there are maps. */
  admittedAt(path: Path): Peer | undefined {
    return this.#stands?.maps.admittedAt(path);
  }

  /** Name of the tunnel device. */
  get device(): string {
    return this.#pair.name;
  }

  /** Outer devices that a program hangs on. */
  get outer(): readonly AttachedRecord[] {
    return this.#attachments.outer;
  }

  /** Whether this is an end of our pair. */
  isOurs(index: IfIndex | undefined): boolean {
    const { near, far } = this.ends;
    return index === near.index || index === far.index;
  }

  isAttached(index: IfIndex): boolean {
    return this.#attachments.has(index);
  }

  /** What an earlier run has left going; what cannot go on is removed. Rejects for a `fou-dev` that is not there. */
  async find(): Promise<Adoptable | undefined> {
    await this.#attachments.requireDevice();
    return findAdoptable({
      ...{ context: this.#context, route: this.#route, tc: this.#tc },
      ...{ pair: this.#pair, attachments: this.#attachments },
    });
  }

  /** Makes devices and programs, and takes over who was admitted; where. `undo` undoes it. */
  async make(
    peers: readonly PlanePeer[],
    adopted: Adoptable | undefined,
    undo: UndoStack,
  ): Promise<Inheritance['paths']> {
    this.#record(this.#attachments.outer);
    const tags = adopted?.entries.tags ?? (this.#asksForTags() ? 'room' : 'none');
    const wanted = await this.#attachments.wanted();
    const maps = PeerMaps.make(this.#fixed, peers, tags);
    // The kernel reads the programs meanwhile.
    const ready = maps.programs.ready(wanted);
    let ends: Ends;
    try {
      ends = adopted?.ends ?? (await this.#pair.make());
    } catch (error) {
      await ready;
      maps[Symbol.dispose]();
      throw error;
    }
    undo.push('tunnel device', () => this.#pair.remove());
    await ready;
    this.#stands = { maps, ends };
    undo.push('programs', () => this.release());
    this.#prepare();
    if (adopted?.entries.tags) this.fillChecksums();
    maps.setEnds(ends);
    const inheritance = adopted && (await recognize(adopted.entries, maps, this.#fixed));
    if (inheritance) await maps.inherit(inheritance);
    return inheritance?.paths ?? new Map();
  }

  /** Hangs the programs on every hook, in the places of older ones. Rejects when no outer device takes one. */
  async hang(undo: UndoStack): Promise<void> {
    const { maps, ends } = this.#standing();
    undo.push('tc filters', () => this.#attachments.detachOuter());
    this.#attachments.attachPair(maps.programs, ends);
    const [failure] = await this.#hangOutside(maps);
    if (failure && this.outer.length === 0) throw failure.error;
  }

  /** Programs with more room inherit everything and take the places of these. Rejects with all as it was. */
  async enlarge(more: readonly PlanePeer[], tags: 'for tags' | 'for peers'): Promise<void> {
    const stands = this.#standing();
    const old = stands.maps;
    // Nobody's counter or window may be in two maps, so the room for keys grows while there are none.
    const keys = old.programs.tags;
    const sharedTags = keys.isEmpty ? 'room' : keys.shared;
    const wanted = tags === 'for tags' || keys.haveRoom ? sharedTags : 'none';
    const all = new Map([...old.peers.all()].map((peer) => [peer.id, asTold(peer)]));
    for (const peer of more) all.set(peer.id, peer);
    const larger = PeerMaps.make(this.#fixed, [...all.values()], wanted);
    try {
      larger.setEnds(stands.ends);
      await larger.programs.loadAsMuchAs(old.programs);
      await larger.succeed(old);
      this.#attachments.attachPair(larger.programs, stands.ends);
      await this.#hangOutside(larger);
    } catch (error) {
      this.#putBack(old, stands.ends);
      await this.#hangOutside(old).catch(() => undefined);
      larger[Symbol.dispose]();
      throw error;
    }
    stands.maps = larger;
    old[Symbol.dispose]();
    this.#context.log('info', 'maps enlarged', { peers: larger.programs.maxPeers });
  }

  /** From now on the tunnel device sends packets with all checksums in them: what is tagged must be as it arrives. */
  fillChecksums(): void {
    if (this.#filled) return;
    withChecksums(this.#pair.name);
    this.#filled = true;
  }

  /** By the config of the start; peers that come later, or ask themselves, have the programs loaded anew. */
  #asksForTags(): boolean {
    return this.#context.config.peers.some(({ auth }) => auth.integrity !== 'none');
  }

  #prepare(): void {
    preparePair(this.#pair.name, this.#pair.farName);
    if (this.#filled) withChecksums(this.#pair.name);
  }

  #putBack(maps: PeerMaps, ends: Ends): void {
    try {
      this.#attachments.attachPair(maps.programs, ends);
    } catch (error) {
      // The watch finds what is missing and hangs it again.
      this.#context.log('error', 'programs could not be put back', { error: String(error) });
    }
  }

  /** Hangs programs before the socket and on every outer device that takes one. */
  async #hangOutside({ programs }: PeerMaps): Promise<readonly AttachFailure[]> {
    this.#socket.filter(programs.descriptor('ipipou_socket'));
    const failures = await this.#attachments.attachOuter(programs, 'all');
    this.#tell(failures);
    return failures;
  }

  /** Brings the programs to outer devices that have come, and forgets those that have gone. */
  async followDevices(): Promise<void> {
    this.#tell(await this.#attachments.attachOuter(this.maps.programs, 'missing'));
  }

  #tell(failures: readonly AttachFailure[]): void {
    for (const { device, error } of failures) {
      const fields = { device, error: error.message };
      this.#context.log('error', 'an outer device takes no program; it carries nothing', fields);
      this.#context.listener.disturbed(`tc filter of ${device}`, false);
    }
  }

  /** Puts devices and filters back, the pair with `remake` where it is gone; what was amiss, in words. */
  async restore(
    remake: (former: Ends, make: () => Promise<void>) => Promise<void>,
  ): Promise<string[]> {
    const stands = this.#standing();
    const repaired: string[] = [];
    const ends = await this.#pair.find();
    if (ends?.near.index !== stands.ends.near.index) {
      await remake(stands.ends, () => this.#makeAgain(stands));
      repaired.push('tunnel device');
    } else {
      if (!ends.near.up || !ends.far.up) repaired.push('tunnel device');
      else if (!(await this.#pair.whole(ends))) repaired.push('address of the tunnel device');
      stands.ends = ends;
    }
    repaired.push(...this.#attachments.repairPair(stands.maps.programs, stands.ends));
    const lost = this.#attachments.lost();
    await this.followDevices();
    const again = lost.filter((name) => !this.#attachments.lost().includes(name));
    repaired.push(...again.map((name) => `tc filter of ${name}`));
    return repaired;
  }

  async #makeAgain(stands: Stands): Promise<void> {
    stands.ends = await this.#pair.make();
    this.#prepare();
    stands.maps.setEnds(stands.ends);
    this.#attachments.attachPair(stands.maps.programs, stands.ends);
  }

  /** Gives the device its MTU, and whatever else it lacks. */
  async dress(sizes: Sizes): Promise<void> {
    const stands = this.#standing();
    stands.ends = await this.#pair.dress(stands.ends, sizes);
  }

  /** Lets go of user space's part of programs and maps. */
  release(): void {
    this.#stands?.maps[Symbol.dispose]();
  }

  close(): void {
    this.#tc.close();
  }

  #standing(): Stands {
    if (this.#stands) return this.#stands;
    throw new IpipouError('createTunnel', 'the plane is not open');
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
}
