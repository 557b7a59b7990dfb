import { writeFile } from 'node:fs/promises';
import type { Link, RouteNetlink } from '../netlink/route.ts';

type Device = Pick<Link, 'index' | 'name'>;

/**
 * Readies a device that carries IPv6, before it is up: no address but those that it is given, nothing taken from
 * what routers say, which would come from a peer, and IPv6 on where the host has it off by default. A kernel
 * without IPv6, and a container whose /proc/sys is read-only, change nothing: adding the address says what is missing.
 */
export async function withIpv6(route: RouteNetlink, device: Device): Promise<void> {
  await withoutAddresses(route, device);
  await set(device, 'accept_ra', '0');
  await set(device, 'accept_redirects', '0');
  await set(device, 'disable_ipv6', '0');
}

/** A device that has no use for IPv6: without it the kernel does not ask about addresses by itself. */
export async function withoutIpv6(route: RouteNetlink, device: Device): Promise<void> {
  await withoutAddresses(route, device);
  await set(device, 'disable_ipv6', '1');
}

async function withoutAddresses(route: RouteNetlink, { index }: Device): Promise<void> {
  await route.setLink(index, { ipv6Addresses: 'none' }).catch(() => undefined);
}

async function set({ name }: Device, option: string, value: '0' | '1'): Promise<void> {
  await writeFile(`/proc/sys/net/ipv6/conf/${name}/${option}`, value).catch(() => undefined);
}
