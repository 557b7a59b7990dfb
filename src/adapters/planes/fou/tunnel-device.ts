import type { OuterIp, InnerIp, Path } from '../../../core/addr.ts';
import type { TunnelConfig } from '../../../core/config/tunnel-config.ts';
import { KernelError, refile } from '../../../core/errors.ts';
import type { IfIndex, Port } from '../../../core/units.ts';
import { setTransmitChecksumOffload } from '../../checksum-offload.ts';
import type { IpTunnelSpec, Link, RouteNetlink } from '../../netlink/route.ts';
import {
  addAddress,
  hasAddress,
  isAddress,
  tunnelAddress,
  type DeviceAddress,
} from '../device-address.ts';
import { deviceMtu } from '../inner-mtu.ts';
import type { DeviceCounters } from './counter-ledger.ts';
import { outerDevice } from './outer-side.ts';

/** What all devices of a tunnel have in common. */
export type DeviceEnvironment = {
  readonly route: RouteNetlink;
  readonly config: TunnelConfig;
  readonly defaultTtl: number;
};

/** Where a device points, and how it is dressed. */
export type Pointing = {
  readonly path: Path;
  /** Outer source: the path's local address, or the alternative one where one is in use. */
  readonly local: OuterIp;
  /** The other end of the device's address; undefined = the address stands alone. */
  readonly peerIp: InnerIp | undefined;
  /** Largest MTU (bytes), where it is less than what the route allows. */
  readonly mtuLimit: number | undefined;
};

/**
 * The ipip device of one peer: made when the peer is first admitted, re-pointed live when it roams,
 * removed when it is evicted. While the peer is not admitted there is no device: a device without a
 * remote would take packets from anybody.
 */
export class TunnelDevice {
  readonly name: string;
  readonly #environment: DeviceEnvironment;
  #index: IfIndex | undefined;

  constructor(name: string, environment: DeviceEnvironment) {
    this.name = name;
    this.#environment = environment;
  }

  /** Kernel index while the device is there, as far as we know. */
  get index(): IfIndex | undefined {
    return this.#index;
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
   * Makes the device point so, with its address, MTU and state as they should be. Changes only what
   * differs. Rejects with exit 'createTunnel' or 'updateTunnel', 'address' or 'link'.
   */
  async point(pointing: Pointing): Promise<IfIndex> {
    const { route, config } = this.#environment;
    const found = await this.find();
    const spec = this.#spec(pointing, await outerDevice(route, config));
    let changed = true;
    if (found === undefined) {
      this.#index = await refile('createTunnel', route.addIpTunnel(spec));
    } else {
      this.#index = found.index;
      changed = differs(found, spec);
      if (changed) await refile('updateTunnel', route.changeIpTunnel(found.index, spec));
    }
    this.#chooseOffload(pointing);
    // A change of the tunnel can change the MTU as well.
    await this.#dress(pointing, this.#index, changed ? undefined : found);
    return this.#index;
  }

  /**
   * Whether a look at the device shows it as `point` would make it, but for its address: where `outer`
   * is the outer device and the route allows an MTU of `allowed`.
   */
  isPointed(
    link: Link | undefined,
    pointing: Pointing,
    { outer, allowed }: { readonly outer: IfIndex | undefined; readonly allowed: number },
  ): boolean {
    if (link?.index !== this.#index || link?.up !== true) return false;
    const spec = this.#spec(pointing, outer);
    return !differs(link, spec) && link.mtu === mtuOf(pointing, allowed);
  }

  /** Whether the device has its address. */
  async hasAddress(peerIp: InnerIp | undefined): Promise<boolean> {
    const { route } = this.#environment;
    const index = this.#index;
    return index !== undefined && hasAddress(route, index, this.#ownAddress(peerIp));
  }

  /** Removes the device; quiet when it is gone or never was. */
  async remove(): Promise<void> {
    const { route, config } = this.#environment;
    const link = await route.linkByName(this.name);
    this.#index = undefined;
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
    if (!this.#environment.config.outer.udpChecksum) return;
    setTransmitChecksumOffload(this.name, local === path.local.ip);
  }

  async #dress(pointing: Pointing, index: IfIndex, found: Link | undefined): Promise<void> {
    const { route, config } = this.#environment;
    await this.#address(pointing.peerIp, index);
    const mtu = mtuOf(pointing, await deviceMtu(route, pointing.path.remote.ip, config));
    if (!found?.up || found.mtu !== mtu) {
      await refile('link', route.setLink(index, { up: true, mtu }));
    }
  }

  /** Gives the device its address, and takes away what it had of it with another peer. */
  async #address(peerIp: InnerIp | undefined, index: IfIndex): Promise<void> {
    const { route } = this.#environment;
    const own = this.#ownAddress(peerIp);
    const before = await route.addresses({ index });
    if (!before.some((there) => isAddress(there, own))) await addAddress(route, index, own);
    for (const { ip, peer, prefix } of before) {
      if (ip !== own.ip || peer === peerIp) continue;
      await refile('address', route.removeAddress({ index, ip, peer, prefix }));
    }
  }

  #ownAddress(peer: InnerIp | undefined): DeviceAddress {
    return { ip: tunnelAddress(this.#environment.config, 'ipv4').ip, peer };
  }

  #spec({ path, local }: Pointing, outer: IfIndex | undefined): IpTunnelSpec {
    const { config, defaultTtl } = this.#environment;
    return {
      name: this.name,
      kind: 'ipip',
      link: outer,
      local,
      remote: path.remote.ip,
      ttl: defaultTtl,
      pmtuDiscovery: true,
      encap: {
        checksum: config.outer.udpChecksum ?? false,
        sourcePort: path.local.port,
        destinationPort: path.remote.port,
      },
    };
  }
}

/** Whether a link is an ipip device that encapsulates in FOU from this tunnel's port. */
export function isTunnelOfPort(link: Link, port: Port): boolean {
  return link.kind === 'ipip' && link.tunnel?.encap?.sourcePort === port;
}

/** What the kernel has counted on a device. */
export function countersOf(link: Link | undefined): DeviceCounters | undefined {
  return link?.stats && { ...link.stats, index: link.index };
}

function mtuOf({ mtuLimit }: Pointing, allowed: number): number {
  return Math.min(allowed, mtuLimit ?? allowed);
}

function differs(link: Link, spec: IpTunnelSpec): boolean {
  const now = link.tunnel;
  return (
    now === undefined ||
    now.local !== spec.local ||
    now.remote !== spec.remote ||
    (now.link ?? undefined) !== spec.link ||
    now.ttl !== spec.ttl ||
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
