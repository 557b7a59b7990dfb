import {
  parseOuterIp,
  parseInnerIp,
  innerIpv4FromNumber,
  type OuterIp,
  type InnerIp,
} from '../../src/core/addr.ts';

/** An outer address literal of a test. */
export function ip(text: string): OuterIp {
  const parsed = parseOuterIp(text);
  if (parsed === undefined) throw new RangeError(text);
  return parsed;
}

/** An inner address literal of a test. */
export function inner(text: string): InnerIp {
  const parsed = parseInnerIp(text);
  if (parsed === undefined) throw new RangeError(text);
  return parsed;
}

/** Inner addresses of tunnel N as the defaults give them. */
export function innerAddresses(number: number): {
  readonly server: InnerIp;
  readonly client: InnerIp;
} {
  const base = 0xac1c0000 + 2 * number;
  return { server: innerIpv4FromNumber(base), client: innerIpv4FromNumber(base + 1) };
}
