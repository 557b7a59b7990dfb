import { elementsOf, type GuardElement, type GuardPeer, type PeerSet } from './guard-peer.ts';
import {
  declareObjects,
  guardPrefix,
  objectNames,
  rulesOf,
  type GuardSpec,
} from './guard-rules.ts';

/*
 * Scripts for nft that make, change and remove the guard of a tunnel; each is one transaction. What
 * the guard is for: guard-rules.ts.
 */

/** Sets and maps whose elements are the peers'; those of `paths` and `sources` are the packets' own. */
const PEER_SETS: readonly { readonly set: PeerSet; readonly kind: 'set' | 'map' }[] = [
  { set: 'admitted', kind: 'set' },
  { set: 'pairs', kind: 'set' },
  { set: 'inwards', kind: 'map' },
  { set: 'outwards', kind: 'map' },
  { set: 'devices', kind: 'set' },
  { set: 'restricted', kind: 'set' },
  { set: 'inner', kind: 'set' },
];

/**
 * One transaction that makes the guard anew, whatever is there: objects are added if missing, the
 * chains and sets of this tunnel are emptied and filled. There is no moment without a guard.
 */
export function installGuard(spec: GuardSpec, peers: Iterable<GuardPeer>): string {
  const { table } = spec;
  const names = objectNames(spec.port);
  const rules = rulesOf(spec);
  return script(
    ...declareObjects(spec),
    ...rules.map(({ chain }) => `flush chain ip ${table} ${chain}`),
    ...PEER_SETS.map(({ set, kind }) => `flush ${kind} ip ${table} ${names[set]}`),
    ...rules.flatMap(({ chain, list }) =>
      list.map((rule) => `add rule ip ${table} ${chain} ${rule}`),
    ),
    ...elementCommands(spec, 'add', [...peers].flatMap(elementsOf)),
  );
}

/** What becomes of one peer; undefined = the guard does not know it. */
export type PeerChange = {
  readonly before: GuardPeer | undefined;
  readonly after: GuardPeer | undefined;
};

/**
 * One transaction that changes peers: only elements that differ are removed and added. It fails as a
 * whole when the kernel's rules are not as `before` says. Empty when nothing differs.
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
  return script(
    ...elementCommands(spec, 'delete', removed),
    ...elementCommands(spec, 'add', added),
  );
}

function without(
  elements: readonly GuardElement[],
  others: readonly GuardElement[],
): readonly GuardElement[] {
  return elements.filter((a) => !others.some((b) => a.set === b.set && a.text === b.text));
}

/** One command a set: nft takes thousands of elements in one. */
function elementCommands(
  spec: GuardSpec,
  verb: 'add' | 'delete',
  elements: readonly GuardElement[],
): readonly string[] {
  const names = objectNames(spec.port);
  return PEER_SETS.flatMap(({ set }) => {
    const texts = elements.filter((element) => element.set === set).map(({ text }) => text);
    const list = texts.join(', ');
    return texts.length === 0 ? [] : [`${verb} element ip ${spec.table} ${names[set]} { ${list} }`];
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
