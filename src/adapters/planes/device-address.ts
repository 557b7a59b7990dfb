import { familyOf, ofFamily, type Family, type InnerIp } from '../../core/addr.ts';
import { defaultPeer } from '../../core/config/peers.ts';
import type { TunnelConfig } from '../../core/config/tunnel-config.ts';
import { refile } from '../../core/errors.ts';
import type { IfIndex } from '../../core/units.ts';
import type { Address, RouteNetlink } from '../netlink/route.ts';

/** The address of a tunnel device; `peer` is its other end, undefined where it stands alone. */
export type DeviceAddress = { readonly ip: InnerIp; readonly peer: InnerIp | undefined };

/** The tunnel's addresses for its device: the default peer is the other end, as on a device with one peer; others have routes. */
export function tunnelAddresses(config: TunnelConfig): readonly DeviceAddress[] {
  const others = defaultPeer(config)?.innerIps ?? [];
  return config.inner.ips.map((ip) => ({ ip, peer: ofFamily(others, familyOf(ip)) }));
}

/** That of one family. Throws where the tunnel has none. */
export function tunnelAddress(config: TunnelConfig, family: Family): DeviceAddress {
  const address = tunnelAddresses(config).find(({ ip }) => familyOf(ip) === family);
  if (address === undefined) throw new RangeError(`no inner address of ${family}`);
  return address;
}

export function isAddress(there: Address, { ip, peer }: DeviceAddress): boolean {
  return there.ip === ip && there.peer === peer;
}

export async function hasAddress(
  route: RouteNetlink,
  index: IfIndex,
  address: DeviceAddress,
): Promise<boolean> {
  const addresses = await route.addresses({ index });
  return addresses.some((there) => isAddress(there, address));
}

/** Rejects with exit 'address'. */
export async function addAddress(
  route: RouteNetlink,
  index: IfIndex,
  { ip, peer }: DeviceAddress,
): Promise<void> {
  await refile(
    'address',
    route.addAddress({ index, ip, peer, prefix: 32 }),
    'tunl-ip and tunl-peer-ip must be free on this host',
  );
}
