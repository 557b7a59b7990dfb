import { familyOf, ofFamily, type InnerIp } from '../../core/addr.ts';
import { defaultPeer } from '../../core/config/peers.ts';
import type { TunnelConfig } from '../../core/config/tunnel-config.ts';
import { KernelError, refile, withExit } from '../../core/errors.ts';
import type { IfIndex } from '../../core/units.ts';
import type { Address, RouteNetlink } from '../netlink/route.ts';

/** The address of a tunnel device; `peer` is its other end, undefined where it stands alone. */
export type DeviceAddress = { readonly ip: InnerIp; readonly peer: InnerIp | undefined };

/**
 * The tunnel's addresses for its device. Of IPv4 the default peer is the other end, as on a device with one peer; others
 * have routes. Those of IPv6 stand alone: the route that the kernel makes to another end is preferred to ours and
 * has no MTU.
 */
export function tunnelAddresses(config: TunnelConfig): readonly DeviceAddress[] {
  const other = ofFamily(defaultPeer(config)?.innerIps ?? [], 'ipv4');
  return config.inner.ips.map((ip) => ({ ip, peer: familyOf(ip) === 'ipv4' ? other : undefined }));
}

export function isAddress(there: Address, { ip, peer }: DeviceAddress): boolean {
  return there.ip === ip && there.peer === peer;
}

export async function hasAddress(
  route: RouteNetlink,
  index: IfIndex,
  address: DeviceAddress,
): Promise<boolean> {
  return (await missingAddresses(route, index, [address])).length === 0;
}

/** Those that a device has not. */
export async function missingAddresses(
  route: RouteNetlink,
  index: IfIndex,
  addresses: readonly DeviceAddress[],
): Promise<readonly DeviceAddress[]> {
  const families = new Set(addresses.map(({ ip }) => familyOf(ip)));
  const [only] = families.size === 1 ? families : [];
  const there = await route.addresses({ index, family: only });
  return addresses.filter((address) => !there.some((one) => isAddress(one, address)));
}

/** Rejects with exit 'address'. */
export async function addAddress(
  route: RouteNetlink,
  index: IfIndex,
  { ip, peer }: DeviceAddress,
): Promise<void> {
  if (familyOf(ip) === 'ipv4') {
    await refile('address', route.addAddress({ index, ip, peer, prefix: 32 }), FREE);
    return;
  }
  const spec = { index, ip, peer, prefix: 128, noDad: true, noPrefixRoute: true };
  await route.addAddress(spec).catch((error: unknown) => {
    const errno = error instanceof KernelError ? error.errno : '';
    throw withExit(error, 'address', NO_IPV6.has(errno) ? WITHOUT_IPV6 : FREE);
  });
}

const FREE = 'tunl-ip and tunl-peer-ip must be free on this host';

/** Of a device where IPv6 is off, and of a kernel that has none. */
const NO_IPV6 = new Set(['EACCES', 'EPERM', 'EOPNOTSUPP']);
const WITHOUT_IPV6 =
  'IPv6 is off on this host (see: sysctl net.ipv6.conf.all.disable_ipv6): switch it on, or leave the IPv6 address out of tunl-ip';
