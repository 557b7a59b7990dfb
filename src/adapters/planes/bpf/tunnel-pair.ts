import { familyOf } from '../../../core/addr.ts';
import { carries } from '../../../core/config/families.ts';
import type { TunnelConfig } from '../../../core/config/tunnel-config.ts';
import { KernelError, refile } from '../../../core/errors.ts';
import { IFF_MULTICAST, IFF_NOARP } from '../../../core/netlink/link.ts';
import { encodeVethData } from '../../../core/netlink/veth.ts';
import type { Link, RouteNetlink } from '../../netlink/route.ts';
import { addAddress, missingAddresses, tunnelAddresses } from '../device-address.ts';
import { withIpv6, withoutIpv6 } from '../device-ipv6.ts';

/** IFNAMSIZ of linux/if.h, less the zero at the end. */
const NAME_MAX = 15;

/** The two ends; `far.parent` is near and the other way round. */
export type Ends = { readonly near: Link; readonly far: Link };

/** Largest inner packet, and what goes around it, bytes. */
export type Sizes = { readonly mtu: number; readonly overhead: number };

/** Name of the end that nobody uses but the programs. */
export function farName(near: string): string {
  const plain = `${near}-far`;
  if (plain.length <= NAME_MAX) return plain;
  let hash = 0;
  for (const letter of near) hash = (hash * 31 + (letter.codePointAt(0) ?? 0)) % 36 ** 4;
  return `${near.slice(0, 6)}${hash.toString(36).padStart(4, '0')}-far`;
}

/**
 * The tunnel device: a pair of virtual Ethernet devices. The near end has the configured name and the
 * addresses. The far end is where decapsulated packets are put, so that the kernel aggregates them on
 * their way to the near end; it has no address and is of no use to anybody else.
 *
 * Where the tunnel carries IPv6 the near end has it, without what the kernel does there by itself: no address of
 * its own making, no looking for others with the same one, no heed of routers.
 */
export class TunnelPair {
  readonly #route: RouteNetlink;
  readonly #config: TunnelConfig;

  constructor(route: RouteNetlink, config: TunnelConfig) {
    this.#route = route;
    this.#config = config;
  }

  get name(): string {
    return this.#config.inner.device;
  }

  get farName(): string {
    return farName(this.name);
  }

  /** Both ends, where they stand as we make them; undefined where anything else has the name, or nothing. */
  async find(): Promise<Ends | undefined> {
    const [near, far] = await Promise.all([
      this.#route.linkByName(this.name),
      this.#route.linkByName(this.farName),
    ]);
    const paired = near?.kind === 'veth' && far?.kind === 'veth' && near.parent === far.index;
    return paired ? { near, far } : undefined;
  }

  /** Makes the pair, down and undressed. Rejects with exit `link` when a name is taken. */
  async make(): Promise<Ends> {
    for (const name of [this.name, this.farName]) {
      const taken = await this.#route.linkByName(name);
      if (taken) throw nameTaken(name, taken.kind);
    }
    const data = encodeVethData(this.farName);
    await this.#route.addLink({ name: this.name, kind: 'veth', data });
    const ends = await this.find();
    if (ends) return ends;
    throw new KernelError(
      'link',
      { operation: 'RTM_GETLINK', errno: 'ENODEV', subject: `link ${this.name}` },
      { hint: 'something removes or renames the device while it is being set up' },
    );
  }

  /**
   * Gives both ends what they need, changing only what differs; returns them as they are then. `overhead` is
   * what outer headers add at the most.
   */
  async dress({ near, far }: Ends, { mtu, overhead }: Sizes): Promise<Ends> {
    // From the near end to the far one packets may still have their outer headers (bpf/trains.h).
    const sizes = [
      [far, mtu + overhead],
      [near, mtu],
    ] as const;
    for (const [end, size] of sizes) {
      const plain = (end.flags & (IFF_NOARP | IFF_MULTICAST)) === IFF_NOARP;
      const dressed = end.up && end.mtu === size && plain;
      if (dressed) continue;
      if (!end.up) await this.#chooseIpv6(end, end === near);
      await refile(
        'link',
        this.#route.setLink(end.index, { up: true, arp: false, multicast: false, mtu: size }),
      );
    }
    const missing = await this.#missing(near);
    // Whoever took it away may have switched IPv6 off.
    if (missing.some(({ ip }) => familyOf(ip) === 'ipv6')) await withIpv6(this.#route, near);
    for (const address of missing) await addAddress(this.#route, near.index, address);
    return (await this.find()) ?? { near, far };
  }

  /** Whether both ends are up and the near one has its addresses. */
  async whole({ near, far }: Ends): Promise<boolean> {
    return near.up && far.up && (await this.#missing(near)).length === 0;
  }

  /** Removes both ends; quiet when they are gone. */
  async remove(): Promise<void> {
    const ends = await this.find();
    if (ends) await this.#route.removeLink(ends.near.index);
  }

  #missing({ index }: Link): ReturnType<typeof missingAddresses> {
    return missingAddresses(this.#route, index, tunnelAddresses(this.#config));
  }

  /** The far end has no use for IPv6, nor has the near one where none is inside. */
  async #chooseIpv6(end: Link, isNear: boolean): Promise<void> {
    const used = isNear && carries(this.#config.inner, 'ipv6');
    await (used ? withIpv6 : withoutIpv6)(this.#route, end);
  }
}

/** A device of that name is there and is not ours. */
export function nameTaken(name: string, kind: string | undefined): KernelError {
  const words = `it is a device of kind ${kind ?? 'unknown'} that this tunnel did not make`;
  return new KernelError(
    'link',
    { operation: 'RTM_NEWLINK', errno: 'EEXIST', words, subject: `link ${name}` },
    { hint: 'choose another name with tunl-dev, or remove that device' },
  );
}
