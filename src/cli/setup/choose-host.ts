import { networkInterfaces } from 'node:os';
import { dirname } from 'node:path';
import { freshBytes } from '../../adapters/crypto.ts';
import { isFreePort } from '../../adapters/udp/free-port.ts';
import {
  addToIp,
  decodeInnerIpv6,
  familyOf,
  formatPrefix,
  parseInnerIp,
  parseOuterIp,
  prefixHolds,
  prefixOf,
  type InnerIp,
  type OuterIp,
  type Prefix,
} from '../../core/addr.ts';
import { FIRST_INNER_IP, FIRST_LOCAL_PORT } from '../../core/config/limits.ts';
import { IpipouError } from '../../core/errors.ts';
import { isPublic } from '../../core/invite/public-address.ts';
import type { HostNetwork } from '../../ports/host-network.ts';
import { configsIn, type Neighbour } from './neighbours.ts';

/** Hosts far away, of each family: nothing is sent there, the kernel is only asked for the way. */
const FAR = ['1.1.1.1', '2606:4700:4700::1111'].flatMap((text) => parseOuterIp(text) ?? []);

export type Outside = {
  /** The device of the default route. */
  readonly device: string | undefined;
  /** The addresses that the default routes leave from. */
  readonly addresses: readonly OuterIp[];
};

/** How this host reaches others, out of one device if that is given. */
export async function findOutside(
  host: Pick<HostNetwork, 'routeTo' | 'firstAddress'>,
  device?: string,
): Promise<Outside> {
  const ways = await Promise.all(FAR.map((far) => host.routeTo(far, device)));
  const found = ways.filter((way) => way !== undefined);
  const first = device ?? found[0]?.device;
  const there = found.filter((way) => way.device === first);
  if (there.length > 0 || device === undefined) {
    return { device: first, addresses: there.map(({ source }) => source) };
  }
  const own = await host.firstAddress(device);
  return { device, addresses: own === undefined ? [] : [own] };
}

/** The address that others reach this host at; undefined where it has no public one. */
export function publicAddress({ addresses }: Outside): OuterIp | undefined {
  return addresses.find(isPublic);
}

/** Ports that are tried. */
const PORT_TRIES = 1000;

/** The first UDP port from the usual one that nobody has, nor any tunnel whose file stands beside `path`. */
export async function choosePort(path: string): Promise<number> {
  const configs = await configsIn(dirname(path));
  const taken = new Set<number>(configs.map(({ outer }) => outer.localPort));
  for (let port = FIRST_LOCAL_PORT; port < FIRST_LOCAL_PORT + PORT_TRIES; port += 1) {
    if (!taken.has(port) && (await isFreePort(port))) return port;
  }
  throw new IpipouError('generic', 'found no free UDP port', { hint: 'name one: --port' });
}

/** Bits of the networks that are chosen, and how many of IPv4 are looked at. */
const LENGTH = { ipv4: 24, ipv6: 64 } as const;
const NETWORK_TRIES = 256;

/**
 * A network inside, that nothing on this host is in: 172.28.0.0/24 or one after it, and, where the host has
 * IPv6 outside, a unique local one of IPv6 at random (RFC 4193).
 */
export async function chooseInside(
  path: string,
  { addresses }: Outside,
  host: Pick<HostNetwork, 'routeTo' | 'firstAddress'>,
): Promise<readonly Prefix[]> {
  const configs = await configsIn(dirname(path));
  const size = 2 ** (32 - LENGTH.ipv4);
  const all = Array.from({ length: NETWORK_TRIES }, (_, number) =>
    prefixOf(addToIp(FIRST_INNER_IP, number * size), LENGTH.ipv4),
  );
  // Where what nothing else is known of goes.
  const { device } = await findOutside(host);
  const network = await firstFree(all, (one) => isTaken(one, device, host, configs));
  if (network === undefined) {
    throw new IpipouError('generic', 'found no network for the inside of the tunnel', {
      hint: 'name one: --inner',
    });
  }
  const hasIpv6 = addresses.some((address) => familyOf(address) === 'ipv6');
  return hasIpv6 ? [network, uniqueLocal()] : [network];
}

async function firstFree(
  networks: readonly Prefix[],
  isTaken: (network: Prefix) => Promise<boolean>,
): Promise<Prefix | undefined> {
  for (const network of networks) if (!(await isTaken(network))) return network;
  return undefined;
}

function uniqueLocal(): Prefix {
  const bytes = new Uint8Array(16);
  bytes[0] = 0xfd;
  bytes.set(freshBytes(5), 1);
  return { ip: decodeInnerIpv6(bytes), length: LENGTH.ipv6 };
}

async function isTaken(
  network: Prefix,
  device: string | undefined,
  host: Pick<HostNetwork, 'routeTo'>,
  configs: readonly Neighbour[],
): Promise<boolean> {
  const last = addToIp(network.ip, 2 ** (32 - network.length) - 1);
  const own = Object.values(networkInterfaces())
    .flatMap((addresses = []) => addresses)
    .flatMap(({ cidr }) => readPrefix(cidr ?? '') ?? []);
  const tunnels = configs.flatMap(({ inner }) => inner.ips.map((ip) => prefixOf(ip, LENGTH.ipv4)));
  const near = [...own, ...tunnels].filter(({ ip }) => familyOf(ip) === 'ipv4');
  if (near.some((other) => prefixHolds(network, other.ip) || prefixHolds(other, network.ip))) {
    return true;
  }
  const ways = await Promise.all(
    [addToIp(network.ip, 1), last].map((ip) => host.routeTo(ip as string as OuterIp, undefined)),
  );
  return ways.some((way) => way !== undefined && way.device !== device);
}

function readPrefix(text: string): Prefix | undefined {
  const [address = '', length] = text.split('/');
  const ip = parseInnerIp(address);
  return ip && prefixOf(ip, Number(length));
}

/** The server's own addresses: the first of each network. */
export function firstOf(networks: readonly Prefix[]): readonly InnerIp[] {
  return networks.map(({ ip }) => addToIp(ip, 1));
}

export function formatNetworks(networks: readonly Prefix[]): string {
  return networks.map((network) => formatPrefix(network)).join(', ');
}
