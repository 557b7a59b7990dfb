import type { NetworkInterfaceInfo } from 'node:os';
import type { Family } from '../core/addr.ts';
import { familyName } from '../core/config/families.ts';
import type { Fact } from './machine.ts';

/** As os.networkInterfaces() has them: devices that are up, by name. */
export type Interfaces = Readonly<Record<string, readonly NetworkInterfaceInfo[] | undefined>>;

const LINK_LOCAL = /^fe[89ab]/i;

/** In which families this machine has addresses that others can answer to. A tunnel needs one of them outside. */
export function outsideFact(interfaces: Interfaces, has: (family: Family) => boolean): Fact {
  const found = (['ipv4', 'ipv6'] as const).map((family) => {
    const name = familyName(family);
    const devices = Object.entries(interfaces).flatMap(([device, addresses = []]) =>
      addresses.some((address) => address.family === name && isUsable(address)) ? [device] : [],
    );
    const here = devices.length > 0;
    const lacks = has(family) ? `no ${name} address` : `no ${name} in this kernel`;
    return { here, detail: here ? `${name} on ${devices.join(', ')}` : lacks };
  });
  return {
    what: 'addresses',
    met: found.some(({ here }) => here),
    detail: found.map(({ detail }) => detail).join('; '),
  };
}

function isUsable({ address, internal }: NetworkInterfaceInfo): boolean {
  return !internal && !LINK_LOCAL.test(address);
}
