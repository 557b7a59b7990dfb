import {
  elementsOf,
  keyOf,
  type GuardElement,
  type GuardPeer,
  type PeerSet,
} from './guard-peer.ts';
import { declareObjects, guardPrefix, rulesOf, type GuardSpec } from './guard-rules.ts';

/*
 * Scripts for nft that make, change and remove the guard of a tunnel; each is one transaction. What
 * the guard is for: guard-rules.ts.
 */

/** A set or map whose elements are the peers'; those of others are the packets' own. */
type PeerSetKind = { readonly set: PeerSet; readonly kind: 'set' | 'map' };

/** All of them, in the order in which they are changed. */
export function peerSets({
  prefixLengths,
}: Pick<GuardSpec, 'prefixLengths'>): readonly PeerSetKind[] {
  return [
    { set: 'admitted', kind: 'set' },
    { set: 'pairs', kind: 'set' },
    { set: 'inwards', kind: 'map' },
    { set: 'outwards', kind: 'map' },
    { set: 'devices', kind: 'set' },
    { set: 'strays', kind: 'set' },
    { set: 'everywhere', kind: 'set' },
    { set: 'hints', kind: 'set' },
    ...prefixLengths.flatMap((length): readonly PeerSetKind[] => [
      { set: `inner${length}`, kind: 'set' },
      { set: `claimed${length}`, kind: 'set' },
    ]),
  ];
}

/**
 * What sets hold in the kernel, as scripts name it; a set that is not told of may hold anything. Reading
 * it: `elementTexts` of listing.ts.
 */
export type ElementsThere = ReadonlyMap<PeerSet, ReadonlySet<string>>;

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
  const { table } = spec;
  const prefix = guardPrefix(spec.port);
  const rules = rulesOf(spec);
  const wanted = [...peers].flatMap(elementsOf);
  const present = elementsIn(there);
  return script(
    ...declareObjects(spec),
    ...rules.map(({ chain }) => `flush chain ip ${table} ${chain}`),
    ...peerSets(spec)
      .filter(({ set }) => !there.has(set))
      .map(({ set, kind }) => `flush ${kind} ip ${table} ${prefix}${set}`),
    ...elementCommands(spec, 'delete', without(present, wanted)),
    ...rules.flatMap(({ chain, list }) =>
      list.map((rule) => `add rule ip ${table} ${chain} ${rule}`),
    ),
    ...elementCommands(spec, 'add', without(wanted, present)),
  );
}

function elementsIn(there: ElementsThere): readonly GuardElement[] {
  return [...there].flatMap(([set, texts]) => [...texts].map((text) => ({ set, text })));
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
  const removed: GuardElement[] = [];
  const added: GuardElement[] = [];
  for (const { before, after } of changes) {
    const old = before ? elementsOf(before) : [];
    const wanted = after ? elementsOf(after) : [];
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
  return peerSets(spec).flatMap(({ set }) => {
    const texts = elements.filter((element) => element.set === set).map(({ text }) => text);
    const list = texts.join(', ');
    return texts.length === 0
      ? []
      : [`${verb} element ip ${spec.table} ${prefix}${set} { ${list} }`];
  });
}

/** One object of a table, as nft lists it. */
export type GuardObject = { readonly kind: string; readonly name: string };

/** One transaction that removes every object of this tunnel among those that are there; the table stays. */
export function removeGuard(
  { table, port }: Pick<GuardSpec, 'table' | 'port'>,
  there: readonly GuardObject[],
): string {
  const own = there.filter(({ name }) => name.startsWith(guardPrefix(port)));
  const chains = own.filter(({ kind }) => kind === 'chain');
  const others = own.filter(({ kind }) => ['set', 'map', 'counter'].includes(kind));
  // Rules go first: they use the rest.
  return script(
    ...chains.map(({ name }) => `flush chain ip ${table} ${name}`),
    ...chains.map(({ name }) => `delete chain ip ${table} ${name}`),
    ...others.map(({ kind, name }) => `delete ${kind} ip ${table} ${name}`),
  );
}

function script(...commands: readonly string[]): string {
  return commands.join('\n');
}
