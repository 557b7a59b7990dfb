import type { Ipv4, Path } from '../../../core/addr.ts';
import { defaultPeer } from '../../../core/config/peers.ts';
import type { TunnelConfig } from '../../../core/config/tunnel-config.ts';
import { KernelError, withExit } from '../../../core/errors.ts';
import type { ExitName } from '../../../core/exit-codes.ts';
import type { IfIndex, Port } from '../../../core/units.ts';
import { setTransmitChecksumOffload } from '../../checksum-offload.ts';
import type { IpipSpec, Link, RouteNetlink } from '../../netlink/route.ts';
import type { DeviceCounters } from './counter-ledger.ts';
import { deviceMtu } from '../inner-mtu.ts';

/**
 * The ipip device of one tunnel: made when a peer is first admitted, re-pointed live when the peer
 * roams, removed when it is evicted. While there is no peer there is no device: a device without a
 * remote would take packets from anybody.
 */
export class TunnelDevice {
  readonly #route: RouteNetlink;
  readonly #config: TunnelConfig;
  readonly #defaultTtl: number;
  #index: IfIndex | undefined;

  constructor(route: RouteNetlink, config: TunnelConfig, defaultTtl: number) {
    this.#route = route;
    this.#config = config;
    this.#defaultTtl = defaultTtl;
  }

  /** Kernel index while the device is there, as far as we know. */
  get index(): IfIndex | undefined {
    return this.#index;
  }

  /** The device, when one of its name exists; throws when that is not one of our kind. */
  async find(): Promise<Link | undefined> {
    const link = await this.#route.linkByName(this.#config.inner.device);
    if (link === undefined) return undefined;
    if (!isTunnelOfPort(link, this.#config.outer.localPort)) {
      throw new KernelError(
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
    return link;
  }

  /** Index of the outer device; undefined when the config names none; rejects when it does not exist. */
  async outerDevice(): Promise<IfIndex | undefined> {
    const name = this.#config.outer.device;
    if (name === undefined) return undefined;
    const link = await this.#route.linkByName(name);
    if (link === undefined) throw missingDevice(name);
    return link.index;
  }

  /** Rejects with exit 'address' when the config gives a local address that this host has not. */
  async requireLocalAddress(): Promise<void> {
    const { localIp } = this.#config.outer;
    if (localIp === undefined) return;
    const addresses = await this.#route.addresses();
    if (addresses.some(({ ip }) => ip === localIp)) return;
    throw new KernelError(
      'address',
      { operation: 'RTM_GETADDR', errno: 'EADDRNOTAVAIL', subject: `fou-local-ip ${localIp}` },
      { hint: `it is no address of this host: add it, or leave fou-local-ip out` },
    );
  }

  /** Whether another ipip device has the same outer addresses: the kernel could not tell the two apart. */
  async addressesTaken(local: Ipv4, remote: Ipv4): Promise<boolean> {
    const links = await this.#route.links();
    return links.some(
      (link) =>
        link.name !== this.#config.inner.device &&
        link.ipip?.local === local &&
        link.ipip.remote === remote,
    );
  }

  /**
   * Makes the device point along `path` (from `local`, which is the alternative address where one
   * is in use), with its address, MTU and state as configured. Changes only what differs. Rejects
   * with exit 'createTunnel' or 'updateTunnel', 'address' or 'link'.
   */
  async point(path: Path, local: Ipv4): Promise<void> {
    const found = await this.find();
    const spec = await this.#spec(path, local);
    if (found === undefined) {
      this.#index = await refile('createTunnel', this.#route.addIpip(spec));
    } else {
      this.#index = found.index;
      if (differs(found, spec)) {
        await refile('updateTunnel', this.#route.changeIpip(found.index, spec));
      }
    }
    this.#chooseOffload(path, local);
    await this.#dress(path, this.#index, found);
  }

  /** Whether the device has its configured address and peer. */
  async hasAddress(): Promise<boolean> {
    if (this.#index === undefined) return false;
    const { ip } = this.#config.inner;
    const peerIp = defaultPeer(this.#config)?.innerIp ?? ip;
    const addresses = await this.#route.addresses({ index: this.#index });
    return addresses.some((address) => address.ip === ip && address.peer === peerIp);
  }

  /** Removes the device; quiet when it is gone or never was. */
  async remove(): Promise<void> {
    const link = await this.#route.linkByName(this.#config.inner.device);
    this.#index = undefined;
    if (link && isTunnelOfPort(link, this.#config.outer.localPort))
      await this.#route.removeLink(link.index);
  }

  /** The kernel's counters of the device; undefined when it is not there. */
  async counters(): Promise<DeviceCounters | undefined> {
    const link = await this.#route.linkByName(this.#config.inner.device);
    return link?.stats && { ...link.stats, index: link.index };
  }

  async mtu(): Promise<number | undefined> {
    return (await this.#route.linkByName(this.#config.inner.device))?.mtu;
  }

  /**
   * The guard rewrites the alternative address after encapsulation. nftables (6.1, nft_payload.c) then
   * takes any packet whose inner checksum is still to be filled in for one whose outer checksum is,
   * and spoils the outer one, which is complete: the far side drops every such packet, which is all of
   * TCP but the aggregated ones. So inner checksums are filled in before this device where both the
   * rewriting and outer checksums are in use.
   */
  #chooseOffload(path: Path, local: Ipv4): void {
    if (!this.#config.outer.udpChecksum) return;
    setTransmitChecksumOffload(this.#config.inner.device, local === path.local.ip);
  }

  async #dress(path: Path, index: IfIndex, found: Link | undefined): Promise<void> {
    const { ip } = this.#config.inner;
    const peerIp = defaultPeer(this.#config)?.innerIp ?? ip;
    if (!(await this.hasAddress())) {
      await refile(
        'address',
        this.#route.addAddress({ index, ip, peer: peerIp, prefix: 32 }),
        'tunl-ip and tunl-peer-ip must be free on this host',
      );
    }
    const mtu = await this.#mtu(path);
    if (!found?.up || found.mtu !== mtu) {
      await refile('link', this.#route.setLink(index, { up: true, mtu }));
    }
  }

  async #spec(path: Path, local: Ipv4): Promise<IpipSpec> {
    const { inner, outer } = this.#config;
    return {
      name: inner.device,
      link: await this.outerDevice(),
      local,
      remote: path.remote.ip,
      ttl: this.#defaultTtl,
      pmtuDiscovery: true,
      encap: {
        checksum: outer.udpChecksum ?? false,
        sourcePort: path.local.port,
        destinationPort: path.remote.port,
      },
    };
  }

  async #mtu(path: Path): Promise<number> {
    return deviceMtu(this.#route, path.remote.ip, this.#config);
  }
}

/** Whether a link is an ipip device that encapsulates in FOU from this tunnel's port. */
export function isTunnelOfPort(link: Link, port: Port): boolean {
  return link.kind === 'ipip' && link.ipip?.encap?.sourcePort === port;
}

function differs(link: Link, spec: IpipSpec): boolean {
  const now = link.ipip;
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

function missingDevice(device: string): KernelError {
  return new KernelError(
    'link',
    { operation: 'RTM_GETLINK', errno: 'ENODEV', subject: `link ${device}` },
    { hint: 'fou-dev must name a device of this host (see: ip link)' },
  );
}

async function refile<T>(exit: ExitName, promise: Promise<T>, hint?: string): Promise<T> {
  try {
    return await promise;
  } catch (error) {
    throw withExit(error, exit, hint);
  }
}
