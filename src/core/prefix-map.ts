import { ipv4ToNumber, innerIpv4FromNumber, type Ip, type Prefix } from './addr.ts';

/** Values by prefix. Bounded by whoever fills it. */
export class PrefixMap<Value> {
  /**
   * By the prefix's length, then by its address as a signed number, which costs a map the least. Lengths
   * that never occurred have no map: most changes of routes are of one prefix.
   */
  readonly #byLength: (Map<number, Value> | undefined)[] = [];

  get(prefix: Prefix<Ip>): Value | undefined {
    return this.#of(prefix)?.get(keyOf(prefix));
  }

  has(prefix: Prefix<Ip>): boolean {
    return this.#of(prefix)?.has(keyOf(prefix)) ?? false;
  }

  set(prefix: Prefix<Ip>, value: Value): void {
    const values = this.#of(prefix) ?? new Map<number, Value>();
    this.#byLength[prefix.length] = values.set(keyOf(prefix), value);
  }

  delete(prefix: Prefix<Ip>): void {
    this.#of(prefix)?.delete(keyOf(prefix));
  }

  /** The shortest prefixes first. An entry that is reached may be deleted meanwhile. */
  *entries(): Generator<readonly [Prefix<Ip>, Value]> {
    for (const [length, values] of this.#byLength.entries()) {
      for (const [key, value] of values ?? [])
        yield [{ ip: innerIpv4FromNumber(key), length }, value];
    }
  }

  #of({ length }: Prefix<Ip>): Map<number, Value> | undefined {
    if (!(length >= 0 && length <= 32)) throw new RangeError(`prefix length ${length}`);
    return this.#byLength[length];
  }
}

function keyOf({ ip }: Prefix<Ip>): number {
  return ipv4ToNumber(ip) | 0;
}
