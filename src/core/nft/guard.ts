import type { Family } from '../addr.ts';
import {
  elementsOf,
  keyOf,
  setKey,
  type GuardElement,
  type GuardPeer,
  type PeerSet,
  type SetKey,
} from './guard-peer.ts';
import { declareObjects, rulesOf } from './guard-rules.ts';
import { guardPrefix, tablesOf, WORD, type GuardSpec } from './guard-spec.ts';

/*
 * Scripts for nft that make, change and remove the guard of a tunnel; each is one transaction. What
 * the guard is for: guard-rules.ts.
 */

/** A set or map whose elements are the peers'; those of others are the packets' own. */
export type PeerSetKind = {
  readonly family: Family;
  readonly set: PeerSet;
  readonly kind: 'set' | 'map';
};

/** All of them, in the order in which they are changed. */
export function peerSets(
  spec: Pick<GuardSpec, 'outside' | 'inside' | 'prefixLengths'>,
): readonly PeerSetKind[] {
  return tablesOf(spec).flatMap((family) => [
    { family, set: 'admitted', kind: 'set' },
    { family, set: 'pairs', kind: 'set' },
    { family, set: 'inwards', kind: 'map' },
    { family, set: 'outwards', kind: 'map' },
    { family, set: 'devices', kind: 'set' },
    { family, set: 'strays', kind: 'set' },
    { family, set: 'everywhere', kind: 'set' },
    { family, set: 'hints', kind: 'set' },
    ...spec.prefixLengths[family].flatMap((length): readonly PeerSetKind[] => [
      { family, set: `inner${length}`, kind: 'set' },
      { family, set: `claimed${length}`, kind: 'set' },
    ]),
  ]);
}

/**
 * What sets hold in the kernel, as scripts name it; a set that is not told of may hold anything. Reading
 * it: `elementTexts` of listing.ts.
 */
export type ElementsThere = ReadonlyMap<SetKey, ReadonlySet<string>>;

/**
 * One transaction that makes the guard anew, whatever is there: objects are added if missing, the
 * chains of this tunnel are emptied and filled, the sets given what they lack and relieved of what is
 * nobody's. There is no moment without a guard.
 *
 * What is wanted and there already is not touched: taking it out and putting it in again would lose
 * packets. A commit first voids the old elements, then makes the new ones visible one by one; between,
 * packets find nothing. On 6.1 that lost every peer's data for some milliseconds, emulated; 6.18 does
 * not. Rules have no such gap.
 *
 * It fails as a whole when a set is not as `there` says.
 */
export function installGuard(
  spec: GuardSpec,
  peers: Iterable<GuardPeer>,
  there: ElementsThere = new Map(),
): string {
  const tables = tablesOf(spec);
  const prefix = guardPrefix(spec.port);
  const rules = tables.flatMap((family) =>
    rulesOf(spec, family).map(({ chain, list }) => ({
      chain: `${WORD[family]} ${spec.table} ${chain}`,
      list,
    })),
  );
  const wanted = [...peers].flatMap((peer) => elementsOf(peer, tables));
  const present = elementsIn(spec, there);
  return script(
    ...tables.flatMap((family) => declareObjects(spec, family)),
    ...rules.map(({ chain }) => `flush chain ${chain}`),
    ...peerSets(spec)
      .filter((each) => !there.has(setKey(each)))
      .map(
        ({ family, set, kind }) => `flush ${kind} ${WORD[family]} ${spec.table} ${prefix}${set}`,
      ),
    ...elementCommands(spec, 'delete', without(present, wanted)),
    ...rules.flatMap(({ chain, list }) => list.map((rule) => `add rule ${chain} ${rule}`)),
    ...elementCommands(spec, 'add', without(wanted, present)),
  );
}

function elementsIn(spec: GuardSpec, there: ElementsThere): readonly GuardElement[] {
  return peerSets(spec).flatMap(({ family, set }) =>
    [...(there.get(setKey({ family, set })) ?? [])].map((text) => ({ family, set, text })),
  );
}

/** What becomes of one peer; undefined = the guard does not know it. */
export type PeerChange = {
  readonly before: GuardPeer | undefined;
  readonly after: GuardPeer | undefined;
};

/**
 * One transaction that changes peers: only elements that differ are removed and added. It fails as a
 * whole when the kernel's rules are not as `before` says. Empty when nothing differs. The prefixes of
 * all have lengths that `spec` names.
 */
export function changePeers(spec: GuardSpec, changes: Iterable<PeerChange>): string {
  const tables = tablesOf(spec);
  const removed: GuardElement[] = [];
  const added: GuardElement[] = [];
  for (const { before, after } of changes) {
    const old = before ? elementsOf(before, tables) : [];
    const wanted = after ? elementsOf(after, tables) : [];
    removed.push(...without(old, wanted));
    added.push(...without(wanted, old));
  }
  // A prefix that one peer gives to another is claimed all the while.
  return script(
    ...elementCommands(spec, 'delete', without(removed, added)),
    ...elementCommands(spec, 'add', without(added, removed)),
  );
}

function without(
  elements: readonly GuardElement[],
  others: readonly GuardElement[],
): readonly GuardElement[] {
  const known = new Set(others.map(keyOf));
  return elements.filter((element) => !known.has(keyOf(element)));
}

/** One command a set: nft takes thousands of elements in one. */
function elementCommands(
  spec: GuardSpec,
  verb: 'add' | 'delete',
  elements: readonly GuardElement[],
): readonly string[] {
  const prefix = guardPrefix(spec.port);
  return peerSets(spec).flatMap(({ family, set }) => {
    const texts = elements
      .filter((element) => element.set === set && element.family === family)
      .map(({ text }) => text);
    const list = texts.join(', ');
    return texts.length === 0
      ? []
      : [`${verb} element ${WORD[family]} ${spec.table} ${prefix}${set} { ${list} }`];
  });
}

/** One object of a table, as nft lists it. */
export type GuardObject = { readonly kind: string; readonly name: string };

/** One transaction that removes every object of this tunnel among those that are there of a family; the table stays. */
export function removeGuard(
  { table, port }: Pick<GuardSpec, 'table' | 'port'>,
  family: Family,
  there: readonly GuardObject[],
): string {
  const home = `${WORD[family]} ${table}`;
  const own = there.filter(({ name }) => name.startsWith(guardPrefix(port)));
  const chains = own.filter(({ kind }) => kind === 'chain');
  const others = own.filter(({ kind }) => ['set', 'map', 'counter'].includes(kind));
  // Rules go first: they use the rest.
  return script(
    ...chains.map(({ name }) => `flush chain ${home} ${name}`),
    ...chains.map(({ name }) => `delete chain ${home} ${name}`),
    ...others.map(({ kind, name }) => `delete ${kind} ${home} ${name}`),
  );
}

function script(...commands: readonly string[]): string {
  return commands.join('\n');
}
