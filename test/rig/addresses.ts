import { ipv4FromNumber, parseIpv4, type Ipv4 } from '../../src/core/addr.ts';

/** An address literal of a test. */
export function ip(text: string): Ipv4 {
  const parsed = parseIpv4(text);
  if (parsed === undefined) throw new RangeError(text);
  return parsed;
}

/** Inner addresses of tunnel N as the defaults give them. */
export function innerAddresses(number: number): { readonly server: Ipv4; readonly client: Ipv4 } {
  const base = 0xac1c0000 + 2 * number;
  return { server: ipv4FromNumber(base), client: ipv4FromNumber(base + 1) };
}
