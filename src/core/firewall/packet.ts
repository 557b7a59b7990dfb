/** A packet that a host's rules are asked about, and how far what they look at is known of it. */
import { parseInnerIp, prefixHolds, type Family, type Ip, type Prefix } from '../addr.ts';

export type Packet = {
  readonly family: Family;
  readonly protocol: 'udp' | 'tcp';
  /** Undefined: it may be anybody's. */
  readonly source: Ip | undefined;
  readonly destination: Ip | undefined;
  readonly sourcePort: number | undefined;
  readonly destinationPort: number | undefined;
  /** Devices that it comes in and goes out by, where it does. */
  readonly from: string | undefined;
  readonly to: string | undefined;
  /** As conntrack sees it: the first of its connection, or not. */
  readonly state: 'new' | 'established';
  /** Whether its destination was translated on this host (DNAT). */
  readonly translated: boolean;
  /** Whether it is for this host. */
  readonly forHost: boolean;
};

/**
 * Whether a packet meets a condition. `some`: that depends on who sends it, or how many do; `unknown`: on what
 * cannot be told here.
 */
export type Holds = 'yes' | 'no' | 'some' | 'unknown';

export function both(a: Holds, b: Holds): Holds {
  return all([a, b]);
}

export function all(conditions: readonly Holds[]): Holds {
  if (conditions.includes('no')) return 'no';
  if (conditions.includes('unknown')) return 'unknown';
  return conditions.includes('some') ? 'some' : 'yes';
}

export function any(conditions: readonly Holds[]): Holds {
  if (conditions.includes('yes')) return 'yes';
  if (conditions.includes('unknown')) return 'unknown';
  return conditions.includes('some') ? 'some' : 'no';
}

export function not(condition: Holds): Holds {
  if (condition === 'yes') return 'no';
  return condition === 'no' ? 'yes' : condition;
}

export function holdsIf(condition: boolean): Holds {
  return condition ? 'yes' : 'no';
}

/** Whether an address is in a prefix; `some` of one that may be any. */
export function inPrefix(address: Ip | undefined, prefix: Prefix<Ip>): Holds {
  if (prefix.length === 0) return 'yes';
  return address === undefined ? 'some' : holdsIf(prefixHolds(prefix, address));
}

/** `192.0.2.0/24` or an address. */
export function readPrefix(text: string): Prefix<Ip> | undefined {
  const [address = '', bits] = text.split('/');
  const ip = parseInnerIp(address);
  if (ip === undefined) return undefined;
  const most = ip.includes(':') ? 128 : 32;
  const length = bits === undefined ? most : Number(bits);
  return Number.isInteger(length) && length >= 0 && length <= most ? { ip, length } : undefined;
}

/** Whether a device's name is one that a pattern (a name, or its beginning and `wildcard`) means. */
export function namesDevice(pattern: string, device: string, wildcard: '*' | '+'): boolean {
  return pattern.endsWith(wildcard) ? device.startsWith(pattern.slice(0, -1)) : pattern === device;
}
