/** Chains and rules out of what libnftables lists of a whole ruleset (libnftables-json(5)). */
import type { NftListed } from '../nft/listing.ts';
import type { Base, Chain, Hook, Rule, Verdict } from './chains.ts';
import { isRecord, NftMatcher } from './nft-match.ts';
import { all, holdsIf, type Holds, type Packet } from './packet.ts';

/** Whether some of it is of iptables-nft, in modules of its own that nft does not tell about. */
export function hasForeignRules(listed: readonly NftListed[]): boolean {
  return listed.some(
    ({ kind, fields: { expr } }) =>
      kind === 'rule' && Array.isArray(expr) && expr.some((one) => isRecord(one) && 'xt' in one),
  );
}

/** Whether some of it is where iptables has its rules, which may be its own. */
export function isLikeIptables(listed: readonly NftListed[]): boolean {
  return listed.some(
    ({ kind, fields: { family, hook, name } }) =>
      kind === 'chain' &&
      (family === 'ip' || family === 'ip6') &&
      typeof hook === 'string' &&
      name === hook.toUpperCase(),
  );
}

export function readNftRuleset(listed: readonly NftListed[], printed: Printed): readonly Chain[] {
  const matcher = new NftMatcher(listed);
  const chains = listed.flatMap(({ kind, fields }): (Chain & { readonly rules: Rule[] })[] => {
    const family = familyOf(fields['family']);
    if (kind !== 'chain' || family === undefined) return [];
    const name = String(fields['name']);
    const table = String(fields['table']);
    const devices = printed.devices.get(keyOf({ family, table }, name)) ?? [];
    return [{ tool: 'nft', family, table, name, base: baseOf(fields, devices), rules: [] }];
  });
  const byName = new Map(chains.map((chain) => [keyOf(chain, chain.name), chain]));
  for (const { kind, fields } of listed) {
    const { family, table, chain, handle, expr } = fields;
    if (kind !== 'rule' || !Array.isArray(expr)) continue;
    const place = { family: String(family), table: String(table) };
    const number = typeof handle === 'number' ? handle : undefined;
    const text =
      printed.rules.get(keyOf(place, `${String(chain)} ${number}`)) ?? JSON.stringify(expr);
    const rules = new RuleReader(matcher, place, text, number).read(expr);
    byName.get(keyOf(place, String(chain)))?.rules.push(...rules);
  }
  return chains;
}

const keyOf = ({ family, table }: { family: string; table: string }, name: string): string =>
  `${family} ${table} ${name}`;

function familyOf(value: unknown): Chain['family'] | undefined {
  return value === 'ip' || value === 'ip6' || value === 'inet' || value === 'netdev'
    ? value
    : undefined;
}

const HOOKS: readonly Hook[] = [
  'ingress',
  'prerouting',
  'input',
  'forward',
  'output',
  'postrouting',
];

function baseOf(
  { hook: name, prio, policy }: NftListed['fields'],
  devices: readonly string[],
): Base | undefined {
  const hook = HOOKS.find((one) => one === name);
  if (hook === undefined) return undefined;
  const priority = typeof prio === 'number' ? prio : 0;
  return { hook, priority, policy: policy === 'drop' ? 'drop' : 'accept', devices };
}

/** One rule, which with a verdict map is several. */
class RuleReader {
  readonly #matcher: NftMatcher;
  readonly #place: { readonly family: string; readonly table: string };
  readonly #text: string;
  readonly #handle: number | undefined;
  readonly #conditions: ((packet: Packet) => Holds)[] = [];
  readonly #rules: Rule[] = [];

  constructor(
    matcher: NftMatcher,
    place: { readonly family: string; readonly table: string },
    text: string,
    handle: number | undefined,
  ) {
    this.#matcher = matcher;
    this.#place = place;
    this.#text = text;
    this.#handle = handle;
  }

  read(statements: readonly unknown[]): readonly Rule[] {
    for (const statement of statements) {
      if (!isRecord(statement)) continue;
      const [name = '', value] = Object.entries(statement)[0] ?? [];
      if (name === 'match') this.#conditions.push(this.#matcher.condition(value, this.#place));
      else if (name === 'vmap') this.#map(value);
      else if (CHANCE.has(name)) this.#conditions.push(() => 'some');
      else if (name === 'xt') this.#foreign(value);
      else if ((name === 'set' || name === 'meter') && JSON.stringify(value).includes('"limit"')) {
        this.#conditions.push(() => 'some');
      } else {
        const verdict = verdictOf(statement);
        if (verdict) this.#add(verdict, []);
      }
    }
    return this.#rules;
  }

  #add(verdict: Verdict, more: readonly ((packet: Packet) => Holds)[]): void {
    const conditions = [...this.#conditions, ...more];
    this.#rules.push({
      text: this.#text,
      handle: this.#handle,
      verdict,
      holds: (packet) => all(conditions.map((condition) => condition(packet))),
    });
  }

  #map(value: unknown): void {
    for (const { condition, result } of this.#matcher.entries(value, this.#place)) {
      const verdict = isRecord(result) ? verdictOf(result) : undefined;
      if (verdict) this.#add(verdict, [condition]);
    }
  }

  /** A match or a target of iptables: comments say nothing, of others it is not known what they say. */
  #foreign(value: unknown): void {
    const { type, name } = isRecord(value) ? value : {};
    if (type === 'match' && name === 'comment') return;
    this.#conditions.push(() => 'unknown');
    if (type === 'target' && name === 'REJECT')
      this.#add({ kind: 'reject' }, [() => holdsIf(true)]);
  }
}

/** Statements that hold for some packets, by how many there are. */
const CHANCE = new Set(['limit', 'quota', 'ct count', 'last']);

function verdictOf(statement: Readonly<Record<string, unknown>>): Verdict | undefined {
  const [name = '', value] = Object.entries(statement)[0] ?? [];
  switch (name) {
    case 'accept':
    case 'queue':
    case 'masquerade':
    case 'snat':
      return { kind: 'accept' };
    case 'drop':
    case 'reject':
    case 'return':
      return { kind: name };
    case 'dnat':
    case 'redirect':
    case 'tproxy':
      return { kind: 'divert' };
    case 'jump':
    case 'goto': {
      const target = isRecord(value) ? value['target'] : undefined;
      return typeof target === 'string' ? { kind: name, chain: target } : undefined;
    }
    default:
      return undefined;
  }
}

/** What a listing as text says that the one as JSON does not. */
export type Printed = {
  /** Rules, by family, table, chain and handle. */
  readonly rules: ReadonlyMap<string, string>;
  /** Devices of chains that packets meet at a device, by family, table and chain (JSON has none before 1.0.9). */
  readonly devices: ReadonlyMap<string, readonly string[]>;
};

/** Of a ruleset that is listed as text with handles. */
export function readPrinted(listing: string): Printed {
  const rules = new Map<string, string>();
  const devices = new Map<string, readonly string[]>();
  let place = { family: '', table: '' };
  let chain: string | undefined;
  for (const line of listing.split('\n')) {
    const [, family = '', table = ''] = /^table (\S+) (\S+) \{/.exec(line) ?? [];
    if (family !== '') place = { family, table };
    if (/^\t\S/.test(line)) chain = /^\tchain (\S+) \{/.exec(line)?.[1];
    if (chain === undefined) continue;
    const [, at] = /^\t\ttype \S+ hook \S+ devices?(.*) priority /.exec(line) ?? [];
    if (at !== undefined) {
      devices.set(
        keyOf(place, chain),
        Array.from(at.matchAll(/[^\s"{},=]+/g), ([name]) => name),
      );
    }
    const [, text = '', handle] = /^\t\t(.*?) # handle (\d+)$/.exec(line) ?? [];
    if (handle !== undefined) {
      rules.set(keyOf(place, `${chain} ${handle}`), text.replaceAll(/\s+/g, ' '));
    }
  }
  return { rules, devices };
}
