import {
  bitsOf,
  familyOf,
  innerIpv4FromNumber,
  ipv4ToNumber,
  type InnerIp,
  type Ip,
  type Prefix,
} from './addr.ts';

/** Values by prefix, of both families. Bounded by whoever fills it. */
export class PrefixMap<Value> {
  /**
   * By the prefix's length, then by its address: of IPv4 as a signed number, which costs a map the least.
   * Lengths that never occurred have no map: most changes of routes are of one prefix.
   */
  readonly #ipv4: (Map<number, Value> | undefined)[] = [];
  readonly #ipv6: (Map<string, Value> | undefined)[] = [];

  get(prefix: Prefix<Ip>): Value | undefined {
    checkLength(prefix);
    if (familyOf(prefix.ip) === 'ipv6') return this.#ipv6[prefix.length]?.get(prefix.ip);
    return this.#ipv4[prefix.length]?.get(ipv4Key(prefix));
  }

  has(prefix: Prefix<Ip>): boolean {
    checkLength(prefix);
    if (familyOf(prefix.ip) === 'ipv6') return this.#ipv6[prefix.length]?.has(prefix.ip) ?? false;
    return this.#ipv4[prefix.length]?.has(ipv4Key(prefix)) ?? false;
  }

  set(prefix: Prefix<Ip>, value: Value): void {
    checkLength(prefix);
    if (familyOf(prefix.ip) === 'ipv6')
      (this.#ipv6[prefix.length] ??= new Map()).set(prefix.ip, value);
    else (this.#ipv4[prefix.length] ??= new Map()).set(ipv4Key(prefix), value);
  }

  delete(prefix: Prefix<Ip>): void {
    checkLength(prefix);
    if (familyOf(prefix.ip) === 'ipv6') this.#ipv6[prefix.length]?.delete(prefix.ip);
    else this.#ipv4[prefix.length]?.delete(ipv4Key(prefix));
  }

  /** IPv4 first, the shortest prefixes of a family first. An entry that is reached may be deleted meanwhile. */
  *entries(): Generator<readonly [Prefix<Ip>, Value]> {
    for (const [length, values] of this.#ipv4.entries()) {
      for (const [key, value] of values ?? [])
        yield [{ ip: innerIpv4FromNumber(key), length }, value];
    }
    for (const [length, values] of this.#ipv6.entries()) {
      for (const [ip, value] of values ?? []) yield [{ ip: ip as InnerIp, length }, value]; // a key of an entry
    }
  }
}

function checkLength({ ip, length }: Prefix<Ip>): void {
  if (!(length >= 0 && length <= bitsOf(familyOf(ip))))
    throw new RangeError(`prefix length ${length}`);
}

function ipv4Key({ ip }: Prefix<Ip>): number {
  return ipv4ToNumber(ip) | 0;
}
