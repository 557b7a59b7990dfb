import {
  formatPrefix,
  ipv4ToNumber,
  prefixHolds,
  type Ipv4,
  type Path,
  type Prefix,
} from '../addr.ts';

/** An admitted peer: its path in public addresses, and the alternative local address if it has one. */
export type Admission = { readonly path: Path; readonly alt: Ipv4 | undefined };

/** Outer addresses of an ipip device. */
export type OuterPair = { readonly remote: Ipv4; readonly local: Ipv4 };

/**
 * What the guard knows of one peer. No two peers of a tunnel have a device, an outer pair or a path
 * in common, so no two share an element.
 */
export type GuardPeer = {
  /** Name of its ipip device, whether that is there or not. */
  readonly device: string;
  /** Whose inner addresses are its own; `any` = it is not looked at. */
  readonly innerSources: readonly Prefix[] | 'any';
  readonly admission: Admission | undefined;
  /** A pair that its device is about to be pointed along, so that bare IPIP is refused there already. */
  readonly expected: OuterPair | undefined;
};

/** Which set or map of the tunnel holds an element; the names are those of objectNames(). */
export type PeerSet =
  'admitted' | 'pairs' | 'inwards' | 'outwards' | 'devices' | 'restricted' | 'inner';

export type GuardElement = { readonly set: PeerSet; readonly text: string };

/** Everything that the ruleset says of one peer. */
export function elementsOf(peer: GuardPeer): readonly GuardElement[] {
  const { device, admission, expected } = peer;
  const name = `"${device}"`;
  const elements: GuardElement[] = [{ set: 'devices', text: name }, ...innerElements(peer, name)];
  if (admission) elements.push(...admissionElements(admission));
  if (expected && !(admission && samePair(expected, pairOf(admission)))) {
    elements.push({ set: 'pairs', text: `${expected.remote} . ${expected.local}` });
  }
  return elements;
}

/** The outer addresses that the device of an admitted peer has. */
export function pairOf({ path, alt }: Admission): OuterPair {
  return { remote: path.remote.ip, local: alt ?? path.local.ip };
}

function innerElements({ innerSources }: GuardPeer, name: string): readonly GuardElement[] {
  if (innerSources === 'any' || innerSources.some(({ length }) => length === 0)) return [];
  const outermost = outermostPrefixes(innerSources);
  return [
    { set: 'restricted', text: name },
    ...outermost.map((prefix): GuardElement => {
      const text = prefix.length === 32 ? prefix.ip : formatPrefix(prefix);
      return { set: 'inner', text: `${name} . ${text}` };
    }),
  ];
}

function admissionElements({ path, alt }: Admission): readonly GuardElement[] {
  const { local, remote } = path;
  const elements: GuardElement[] = [
    { set: 'admitted', text: `${remote.ip} . ${remote.port} . ${alt ?? local.ip}` },
    { set: 'pairs', text: `${remote.ip} . ${alt ?? local.ip}` },
  ];
  if (alt === undefined) return elements;
  return [
    ...elements,
    { set: 'inwards', text: `${remote.ip} . ${remote.port} . ${local.ip} : ${alt}` },
    { set: 'outwards', text: `${alt} . ${remote.ip} . ${remote.port} : ${local.ip}` },
  ];
}

function samePair(a: OuterPair, b: OuterPair): boolean {
  return a.remote === b.remote && a.local === b.local;
}

/** Without those that lie within another: a set of intervals takes no overlaps. */
function outermostPrefixes(prefixes: readonly Prefix[]): readonly Prefix[] {
  const byPlace = prefixes.toSorted(
    (a, b) => ipv4ToNumber(a.ip) - ipv4ToNumber(b.ip) || a.length - b.length,
  );
  const kept: Prefix[] = [];
  for (const prefix of byPlace) {
    const last = kept.at(-1);
    if (last === undefined || !prefixHolds(last, prefix.ip)) kept.push(prefix);
  }
  return kept;
}
