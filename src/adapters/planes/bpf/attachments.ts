import { familyOf, type Family } from '../../../core/addr.ts';
import type { TunnelConfig } from '../../../core/config/tunnel-config.ts';
import { asError, KernelError } from '../../../core/errors.ts';
import { IFF_LOOPBACK } from '../../../core/netlink/link.ts';
import type { IfIndex } from '../../../core/units.ts';
import type { Address, Link, RouteNetlink } from '../../netlink/route.ts';
import type { TrafficControl } from '../../netlink/tc.ts';
import type { ProgramName } from './abi.ts';
import { attachedProgram, detachFilter, type Hook } from './bpf-calls.ts';
import { decapProgram } from './devices.ts';
import type { Programs } from './programs.ts';
import type { AttachedRecord } from './record.ts';
import type { Ends } from './tunnel-pair.ts';

/** Beginning of the names of our programs, which the kernel shows with their filters. */
const OURS = 'ipipou_';

/** A device that takes no program, and why. */
export type AttachFailure = { readonly device: string; readonly error: Error };

/**
 * The hooks that our programs hang on: both ends of the tunnel device, and the ingress of every outer
 * device. Several tunnels share a device: the local port is the handle that tells their filters apart.
 * Other people's filters are left alone; so is a clsact qdisc that we did not make or somebody else
 * still uses.
 */
export class Attachments {
  readonly #route: RouteNetlink;
  readonly #tc: TrafficControl;
  readonly #config: TunnelConfig;
  readonly #families: readonly Family[];
  readonly #write: (attached: readonly AttachedRecord[]) => void;
  /** Outer devices by index; as many as the namespace has with an address. */
  readonly #outer = new Map<IfIndex, AttachedRecord>();
  /** Devices that take no program of ours. */
  readonly #failing = new Set<IfIndex>();
  #written = '[]';

  constructor(
    route: RouteNetlink,
    tc: TrafficControl,
    { config, families }: { readonly config: TunnelConfig; readonly families: readonly Family[] },
    write: (attached: readonly AttachedRecord[]) => void,
  ) {
    this.#route = route;
    this.#tc = tc;
    this.#config = config;
    this.#families = families;
    this.#write = write;
  }

  has(index: IfIndex): boolean {
    return this.#outer.has(index);
  }

  get outer(): readonly AttachedRecord[] {
    return [...this.#outer.values()];
  }

  /** Takes over what an earlier run has attached, as far as it is still there. */
  async adopt(attached: readonly AttachedRecord[]): Promise<void> {
    for (const record of attached) {
      const link = await this.#route.linkByIndex(record.index);
      if (link?.name === record.name) this.#outer.set(record.index, record);
    }
  }

  /** Nothing is attached any more. */
  forget(): void {
    this.#outer.clear();
  }

  /** Rejects with exit `link` when `fou-dev` names no device of this host. */
  async requireDevice(): Promise<void> {
    const { device } = this.#config.outer;
    if (device === undefined || (await this.#outerLinks()).length > 0) return;
    throw new KernelError(
      'link',
      { operation: 'RTM_GETLINK', errno: 'ENODEV', subject: `link ${device}` },
      { hint: 'fou-dev must name a device of this host (see: ip link)' },
    );
  }

  /** Programs that are to hang somewhere, by the outer devices that are there now. */
  async wanted(): Promise<readonly ProgramName[]> {
    const links = await this.#outerLinks();
    const decap = links.flatMap(({ name }) => {
      try {
        return decapProgram(name);
      } catch {
        return []; // gone meanwhile
      }
    });
    return ['ipipou_encap', 'ipipou_socket', ...decap];
  }

  /** Where a running tunnel's programs can be found. */
  hooks({ near }: Ends): readonly Hook[] {
    return [this.#hook(near.index, 'egress'), ...this.outer.map(({ index }) => this.#in(index))];
  }

  /** Hangs the programs on both ends, in the place of an earlier run's. */
  attachPair(programs: Programs, { near, far }: Ends): void {
    programs.attach(this.#hook(near.index, 'egress'), 'ipipou_encap');
    programs.attach(this.#hook(far.index, 'ingress'), 'ipipou_encap');
  }

  /**
   * Brings the programs to the outer devices that are there now, to `all` of them or where they are
   * `missing`, and forgets devices that are gone. One that takes no program is passed over, and is left
   * without an older one: that would go by maps which are not changed any more. Returns those that have
   * begun to fail.
   */
  async attachOuter(
    programs: Programs,
    which: 'all' | 'missing',
  ): Promise<readonly AttachFailure[]> {
    const links = await this.#outerLinks();
    const failures: AttachFailure[] = [];
    for (const link of links) {
      const there = this.has(link.index) && attachedProgram(this.#in(link.index)) !== undefined;
      if (which === 'missing' && there) continue;
      const error = await this.#tryToAttach(programs, link);
      if (error && !this.#failing.has(link.index)) failures.push({ device: link.name, error });
      if (error) this.#failing.add(link.index);
      else this.#failing.delete(link.index);
    }
    const there = new Set(links.map(({ index }) => index));
    for (const { index } of this.outer) if (!there.has(index)) await this.#release(index);
    for (const index of this.#failing) if (!there.has(index)) this.#failing.delete(index);
    this.#save();
    return failures;
  }

  /** Attaches what is missing at the pair, nothing else; what that was, in words. */
  repairPair(programs: Programs, ends: Ends): readonly string[] {
    const { near, far } = ends;
    const repaired: string[] = [];
    for (const [link, direction] of [
      [near, 'egress'],
      [far, 'ingress'],
    ] as const) {
      const hook = this.#hook(link.index, direction);
      if (attachedProgram(hook) !== undefined) continue;
      programs.attach(hook, 'ipipou_encap');
      repaired.push(`tc filter of ${link.name}`);
    }
    return repaired;
  }

  /** Names of outer devices whose filter of ours has been taken away. */
  lost(): readonly string[] {
    const lost = this.outer.filter(({ index }) => attachedProgram(this.#in(index)) === undefined);
    return lost.map(({ name }) => name);
  }

  /** The record may be long, so it is written only when it says something else. */
  #save(): void {
    const text = JSON.stringify(this.outer);
    if (text === this.#written) return;
    this.#write(this.outer);
    this.#written = text;
  }

  /** Takes our filters from every outer device; those of the pair go with the pair. */
  async detachOuter(): Promise<void> {
    for (const { index } of this.outer) await this.#release(index);
    this.#save();
  }

  /** Why not; undefined also for a device that is gone. */
  async #tryToAttach(programs: Programs, link: Link): Promise<Error | undefined> {
    try {
      await this.#attach(programs, link, decapProgram(link.name));
      return undefined;
    } catch (error) {
      await this.#release(link.index).catch(() => undefined);
      const there = await this.#route.linkByIndex(link.index);
      return there && asError(error);
    }
  }

  async #attach(programs: Programs, link: Link, program: ProgramName): Promise<void> {
    const known = this.#outer.get(link.index);
    if (known && attachedProgram(this.#in(link.index)) !== undefined) {
      programs.attach(this.#in(link.index), program);
      return;
    }
    const qdisc = await this.#tc.hooks(link.index);
    const madeQdisc = qdisc === undefined || (known?.madeQdisc ?? false);
    this.#outer.set(link.index, { index: link.index, name: link.name, madeQdisc });
    this.#save();
    programs.attach(this.#in(link.index), program);
  }

  async #release(index: IfIndex): Promise<void> {
    const record = this.#outer.get(index);
    this.#outer.delete(index);
    if (record) await releaseDevice(this.#tc, record, this.#config.outer.localPort);
  }

  /**
   * `fou-dev`, else every device with an address of a family that is outside, but for the loopback and tunnel
   * devices of ours: what comes out of those has been decapsulated. A link-local address does not count: every
   * port of every bridge has one.
   */
  async #outerLinks(): Promise<readonly Link[]> {
    const { device } = this.#config.outer;
    if (device !== undefined) {
      const link = await this.#route.linkByName(device);
      return link ? [link] : [];
    }
    const [links, addresses] = await Promise.all([this.#route.links(), this.#route.addresses()]);
    const counted = addresses.filter((address) => this.#counts(address));
    const addressed = new Set(counted.map(({ index }) => index));
    const candidates = links.filter(
      ({ index, flags }) => addressed.has(index) && (flags & IFF_LOOPBACK) === 0,
    );
    const tunnels = await Promise.all(candidates.map((link) => this.#isTunnel(link)));
    return candidates.filter((_, at) => !tunnels[at]);
  }

  #counts({ ip, scope }: Address): boolean {
    const family = familyOf(ip);
    return this.#families.includes(family) && (family === 'ipv4' || scope !== 'link');
  }

  async #isTunnel({ index, kind }: Link): Promise<boolean> {
    if (kind !== 'veth') return false;
    const filters = await this.#tc.filters(index, 'egress');
    return filters.some(({ bpf }) => bpf?.name.startsWith(`${OURS}encap`));
  }

  #hook(device: IfIndex, direction: Hook['direction']): Hook {
    return { device, direction, handle: this.#config.outer.localPort };
  }

  #in(device: IfIndex): Hook {
    return this.#hook(device, 'ingress');
  }
}

/** Takes the filter of a tunnel from one device, and the qdisc if that is ours and nobody's else. */
export async function releaseDevice(
  tc: TrafficControl,
  { index, madeQdisc }: AttachedRecord,
  port: number,
): Promise<void> {
  const there = await tc.filters(index, 'ingress');
  if (there.some(({ handle, bpf }) => handle === port && bpf?.name.startsWith(OURS))) {
    detachFilter({ device: index, direction: 'ingress', handle: port });
  }
  if (!madeQdisc || (await tc.hooks(index)) !== 'clsact') return;
  const left = [...(await tc.filters(index, 'ingress')), ...(await tc.filters(index, 'egress'))];
  if (left.length === 0) await tc.removeClsact(index);
}
