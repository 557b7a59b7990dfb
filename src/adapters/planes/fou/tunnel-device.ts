import { familyOf, type Family, type OuterIp, type Path } from '../../../core/addr.ts';
import { carries } from '../../../core/config/families.ts';
import type { TunnelConfig } from '../../../core/config/tunnel-config.ts';
import { KernelError, refile } from '../../../core/errors.ts';
import type { IfIndex } from '../../../core/units.ts';
import { setTransmitChecksumOffload } from '../../checksum-offload.ts';
import type { IpTunnelSpec, Link, RouteNetlink } from '../../netlink/route.ts';
import { addAddress, isAddress, missingAddresses, type DeviceAddress } from '../device-address.ts';
import { withIpv6, withoutIpv6 } from '../device-ipv6.ts';
import { allowedMtu, sendsFragments } from '../inner-mtu.ts';
import type { DeviceCounters } from './counter-ledger.ts';
import { hasChecksum, isTunnelOfPort, kindOf } from './kinds.ts';
import { outerDevice } from './outer-side.ts';
import { roomOf, sameRoom, type Room } from './room.ts';

/** What all devices of a tunnel have in common. */
export type DeviceEnvironment = {
  readonly route: RouteNetlink;
  readonly config: TunnelConfig;
  /** TTL and hop limit of outer packets. */
  readonly defaultTtl: Readonly<Record<Family, number>>;
};

/** Where a device points, and how it is dressed. */
export type Pointing = {
  readonly path: Path;
  /** Outer source: the path's local address, or the alternative one where one is in use. */
  readonly local: OuterIp;
  /** The device's own addresses. */
  readonly addresses: readonly DeviceAddress[];
  /** Largest inner packet (bytes), where it is less than what the route allows. */
  readonly mtuLimit: number | undefined;
};

/**
 * The tunnel device of one peer: made when the peer is first admitted, re-pointed live when it roams,
 * removed when it is evicted. While the peer is not admitted there is no device: a device without a
 * remote would take packets from anybody. What kind it is depends on the family outside (kinds.ts), so a peer
 * that roams from one to the other gets another device of the same name, and loses what is sent meanwhile.
 */
export class TunnelDevice {
  readonly name: string;
  readonly #environment: DeviceEnvironment;
  #index: IfIndex | undefined;
  #room: Room | undefined;

  constructor(name: string, environment: DeviceEnvironment) {
    this.name = name;
    this.#environment = environment;
  }

  /** Kernel index while the device is there, as far as we know. */
  get index(): IfIndex | undefined {
    return this.#index;
  }

  /** What the path takes by which it was pointed last. */
  get room(): Room | undefined {
    return this.#room;
  }

  /** The device, when one of its name exists; throws when that is not one of our kind. */
  async find(): Promise<Link | undefined> {
    const { route, config } = this.#environment;
    const link = await route.linkByName(this.name);
    if (link === undefined) return undefined;
    if (!isTunnelOfPort(link, config.outer.localPort)) throw takenName(link);
    return link;
  }

  /**
   * Makes the device point so, with its addresses, MTU and state as they should be. Changes only what
   * differs. Rejects with exit 'createTunnel' or 'updateTunnel', 'address' or 'link'. Its routes are the
   * caller's; those of a device that was of another kind are gone with it.
   */
  async point(pointing: Pointing): Promise<IfIndex> {
    const { route, config } = this.#environment;
    const found = await this.find();
    const spec = this.#spec(pointing, await outerDevice(route, config));
    // All that can be asked before is: with another kind of device, nothing is carried from here on.
    const allowed = await allowedMtu(route, pointing.path.remote.ip, config);
    const kept = await this.#ofKind(spec, found);
    let changed = true;
    if (kept === undefined) {
      this.#index = await refile('createTunnel', route.addIpTunnel(spec));
    } else {
      this.#index = kept.index;
      changed = differs(kept, spec);
      if (changed) await refile('updateTunnel', route.changeIpTunnel(kept.index, spec));
    }
    this.#chooseOffload(pointing);
    this.#room = this.roomOf(pointing, allowed);
    // A change of the tunnel can change the MTU as well.
    await this.#dress(pointing, this.#index, changed ? undefined : kept);
    return this.#index;
  }

  /** What of the device can be changed to what is wanted: one of another kind is removed. */
  async #ofKind(spec: IpTunnelSpec, found: Link | undefined): Promise<Link | undefined> {
    if (found === undefined || found.tunnel?.kind === spec.kind) return found;
    this.#index = undefined;
    await refile('updateTunnel', this.#environment.route.removeLink(found.index));
    return undefined;
  }

  /** What the path takes, where the route allows an MTU of `allowed`. */
  roomOf({ mtuLimit }: Pointing, allowed: number): Room {
    const carriesIpv6 = carries(this.#environment.config.inner, 'ipv6');
    return roomOf(carriesIpv6, { allowed, limit: mtuLimit });
  }

  /**
   * Whether a look at the device shows it as `point` would make it, but for its addresses: where `outer`
   * is the outer device and the route allows an MTU of `allowed`.
   */
  isPointed(
    link: Link | undefined,
    pointing: Pointing,
    { outer, allowed }: { readonly outer: IfIndex | undefined; readonly allowed: number },
  ): boolean {
    if (link?.index !== this.#index || link?.up !== true) return false;
    const room = this.roomOf(pointing, allowed);
    const wanted = link.mtu === room.device && sameRoom(this.#room, room);
    return wanted && !differs(link, this.#spec(pointing, outer));
  }

  /** Whether the device has all of its addresses. */
  async hasAddresses({ addresses }: Pick<Pointing, 'addresses'>): Promise<boolean> {
    const { route } = this.#environment;
    const index = this.#index;
    return index !== undefined && (await missingAddresses(route, index, addresses)).length === 0;
  }

  /** Removes the device; quiet when it is gone or never was. */
  async remove(): Promise<void> {
    const { route, config } = this.#environment;
    const link = await route.linkByName(this.name);
    this.#index = undefined;
    this.#room = undefined;
    if (link && isTunnelOfPort(link, config.outer.localPort)) await route.removeLink(link.index);
  }

  /** The device as the kernel has it; undefined when it is not there. */
  async link(): Promise<Link | undefined> {
    return this.#environment.route.linkByName(this.name);
  }

  /**
   * The guard rewrites the alternative address after encapsulation. nftables (6.1, nft_payload.c) then
   * takes any packet whose inner checksum is still to be filled in for one whose outer checksum is,
   * and spoils the outer one, which is complete: the far side drops every such packet, which is all of
   * TCP but the aggregated ones. So inner checksums are filled in before this device where both the
   * rewriting and outer checksums are in use.
   */
  #chooseOffload({ path, local }: Pointing): void {
    if (!hasChecksum(this.#environment.config, path.remote.ip)) return;
    setTransmitChecksumOffload(this.name, local === path.local.ip);
  }

  /** `found`: the device as it was before, where it has not changed. */
  async #dress(pointing: Pointing, index: IfIndex, found: Link | undefined): Promise<void> {
    const { addresses } = pointing;
    await this.#address(index, onlyOf(addresses, 'ipv4'));
    await this.#bringUp(pointing, index, found);
    // A device that is down takes none of IPv6, and loses those that it had.
    await this.#address(index, onlyOf(addresses, 'ipv6'));
  }

  async #bringUp({ path }: Pointing, index: IfIndex, found: Link | undefined): Promise<void> {
    const { route, config } = this.#environment;
    const mtu = this.#room?.device;
    if (found?.up && found.mtu === mtu) return;
    if (carries(config.inner, 'ipv6')) await withIpv6(route, { index, name: this.name });
    else if (kindOf(config, path.remote.ip) !== 'ipip')
      await withoutIpv6(route, { index, name: this.name });
    await refile('link', route.setLink(index, { up: true, mtu }));
  }

  /** Gives the device its addresses, and takes away what it had of them with another peer. */
  async #address(index: IfIndex, own: readonly DeviceAddress[]): Promise<void> {
    const { route } = this.#environment;
    if (own.length === 0) return;
    const before = await route.addresses({ index });
    for (const address of own) {
      if (!before.some((there) => isAddress(there, address)))
        await addAddress(route, index, address);
      for (const { ip, peer, prefix } of before) {
        if (ip !== address.ip || peer === address.peer) continue;
        await refile('address', route.removeAddress({ index, ip, peer, prefix }));
      }
    }
  }

  #spec({ path, local }: Pointing, outer: IfIndex | undefined): IpTunnelSpec {
    const { config, defaultTtl } = this.#environment;
    const divisible = sendsFragments(path.remote.ip, config);
    return {
      name: this.name,
      kind: kindOf(config, path.remote.ip),
      link: outer,
      local,
      remote: path.remote.ip,
      // A device with a TTL of its own always has it: the guard sets the TTL instead.
      ttl: divisible ? 0 : defaultTtl[familyOf(path.remote.ip)],
      pmtuDiscovery: !divisible,
      encap: {
        checksum: hasChecksum(config, path.remote.ip),
        sourcePort: path.local.port,
        destinationPort: path.remote.port,
      },
    };
  }
}

function onlyOf(addresses: readonly DeviceAddress[], family: Family): readonly DeviceAddress[] {
  return addresses.filter(({ ip }) => familyOf(ip) === family);
}

/** What the kernel has counted on a device. */
export function countersOf(link: Link | undefined): DeviceCounters | undefined {
  return link?.stats && { ...link.stats, index: link.index };
}

function differs(link: Link, spec: IpTunnelSpec): boolean {
  const now = link.tunnel;
  return (
    now === undefined ||
    now.kind !== spec.kind ||
    now.local !== spec.local ||
    now.remote !== spec.remote ||
    (now.link ?? undefined) !== spec.link ||
    now.ttl !== spec.ttl ||
    now.pmtuDiscovery !== spec.pmtuDiscovery ||
    now.encap?.checksum !== spec.encap?.checksum ||
    now.encap?.sourcePort !== spec.encap?.sourcePort ||
    now.encap?.destinationPort !== spec.encap?.destinationPort
  );
}

/** Why a device of that name cannot be ours. */
export function takenName(link: Link): KernelError {
  return new KernelError(
    'link',
    {
      operation: 'RTM_NEWLINK',
      errno: 'EEXIST',
      words: `it is a device of kind ${link.kind ?? 'unknown'} that ipipou did not make`,
      subject: `link ${link.name}`,
    },
    { hint: 'choose another name with tunl-dev, or remove that device' },
  );
}
