/**
 * The JSON that libnftables lists (libnftables-json(5)): `{"nftables": [{"metainfo": …},
 * {"table": …}, {"chain": …}, …]}`, one object of one property for each thing.
 */
import { refuse, succeed, type Result } from '../result.ts';

export type NftListed = {
  /** "table", "chain", "rule", "set", "counter", … */
  readonly kind: string;
  /** Its fields as listed, unchecked. */
  readonly fields: Readonly<Record<string, unknown>>;
};

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Everything listed but the metainfo, in order. */
export function parseNftListing(text: string): Result<readonly NftListed[]> {
  let root: unknown;
  try {
    root = JSON.parse(text);
  } catch {
    return refuse('not JSON');
  }
  const list = isRecord(root) ? root['nftables'] : undefined;
  if (!Array.isArray(list)) return refuse('no list called nftables');
  const listed: NftListed[] = [];
  for (const item of list as readonly unknown[]) {
    const [entry, ...others] = isRecord(item) ? Object.entries(item) : [];
    if (entry === undefined || others.length > 0) return refuse('an entry that is not one thing');
    const [kind, fields] = entry;
    if (kind === 'metainfo') continue;
    if (!isRecord(fields)) return refuse(`a ${kind} without fields`);
    listed.push({ kind, fields });
  }
  return succeed(listed);
}

/**
 * Packets by element, out of a set's `elem`: each is `{"elem": {"val": VALUE, "counter": {"packets":
 * N, …}}}`. Elements that are no text, or that count nothing, are left out.
 */
export function countedElements(elements: unknown): ReadonlyMap<string, bigint> {
  const counted = new Map<string, bigint>();
  for (const item of Array.isArray(elements) ? (elements as readonly unknown[]) : []) {
    const element = isRecord(item) ? item['elem'] : undefined;
    if (!isRecord(element) || !isRecord(element['counter'])) continue;
    const value = element['val'];
    const { packets } = element['counter'];
    if (typeof value === 'string' && typeof packets === 'number' && Number.isInteger(packets)) {
      counted.set(value, BigInt(packets));
    }
  }
  return counted;
}

/**
 * Elements of a set or a map that is listed, as scripts name them: "192.0.2.1 . 10000", or with what
 * a map gives for it, "192.0.2.1 : 198.51.100.1"; names of devices stand in quotes. Counters are left
 * out. Undefined where there is anything that cannot be named so: a range, a timeout, a comment, a number of
 * more than 53 bits.
 */
export function elementTexts({
  type,
  elem = [],
  map,
}: NftListed['fields']): ReadonlySet<string> | undefined {
  if (!Array.isArray(elem)) return undefined;
  const types: readonly unknown[] = Array.isArray(type) ? type : [type];
  const texts = new Set<string>();
  for (const item of elem as readonly unknown[]) {
    const text = map === undefined ? keyText(item, types) : pairText(item, types, map);
    if (text === undefined) return undefined;
    texts.add(text);
  }
  return texts;
}

function pairText(item: unknown, types: readonly unknown[], map: unknown): string | undefined {
  if (!Array.isArray(item) || item.length !== 2) return undefined;
  const [key, value] = item as readonly unknown[];
  const texts = [keyText(key, types), valueText(value, map)];
  return texts.includes(undefined) ? undefined : texts.join(' : ');
}

function keyText(item: unknown, types: readonly unknown[]): string | undefined {
  const bare = isRecord(item) && isRecord(item['elem']) ? withoutCounter(item['elem']) : item;
  const parts = isRecord(bare) && Array.isArray(bare['concat']) ? bare['concat'] : [bare];
  if (parts.length !== types.length) return undefined;
  const texts = parts.map((part, index) => valueText(part, types[index]));
  return texts.includes(undefined) ? undefined : texts.join(' . ');
}

/** The value of an element that has a counter at the most; undefined of another. */
function withoutCounter(element: NftListed['fields']): unknown {
  const plain = Object.keys(element).every((key) => key === 'val' || key === 'counter');
  return plain ? element['val'] : undefined;
}

function valueText(value: unknown, type: unknown): string | undefined {
  // JSON.parse rounds what is larger.
  if (typeof value === 'number') return Number.isSafeInteger(value) ? String(value) : undefined;
  if (typeof value === 'string') return type === 'ifname' ? `"${value}"` : value;
  const prefix = isRecord(value) ? value['prefix'] : undefined;
  if (!isRecord(prefix)) return undefined;
  const { addr, len } = prefix;
  return typeof addr === 'string' && typeof len === 'number' ? `${addr}/${len}` : undefined;
}
