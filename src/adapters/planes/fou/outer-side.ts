import type { TunnelConfig } from '../../../core/config/tunnel-config.ts';
import { KernelError } from '../../../core/errors.ts';
import type { IfIndex } from '../../../core/units.ts';
import type { RouteNetlink } from '../../netlink/route.ts';

/** Index of the outer device; undefined when the config names none; rejects when it does not exist. */
export async function outerDevice(
  route: RouteNetlink,
  { outer }: TunnelConfig,
): Promise<IfIndex | undefined> {
  if (outer.device === undefined) return undefined;
  const link = await route.linkByName(outer.device);
  if (link) return link.index;
  throw new KernelError(
    'link',
    { operation: 'RTM_GETLINK', errno: 'ENODEV', subject: `link ${outer.device}` },
    { hint: 'fou-dev must name a device of this host (see: ip link)' },
  );
}

/** Rejects with exit 'address' when the config gives a local address that this host has not. */
export async function requireLocalAddress(
  route: RouteNetlink,
  { outer: { localIps } }: TunnelConfig,
): Promise<void> {
  if (localIps.length === 0) return;
  const addresses = await route.addresses();
  const localIp = localIps.find((own) => !addresses.some(({ ip }) => ip === own));
  if (localIp === undefined) return;
  throw new KernelError(
    'address',
    { operation: 'RTM_GETADDR', errno: 'EADDRNOTAVAIL', subject: `fou-local-ip ${localIp}` },
    { hint: `it is no address of this host: add it, or leave fou-local-ip out` },
  );
}
