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
