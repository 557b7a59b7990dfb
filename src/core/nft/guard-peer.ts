import { familyOf, type Family, type OuterIp, type Path, type Prefix } from '../addr.ts';

/** An admitted peer: its path in public addresses, and the alternative local address if it has one. */
export type Admission = { readonly path: Path; readonly alt: OuterIp | undefined };

/** Outer addresses of a tunnel device. */
export type OuterPair = { readonly remote: OuterIp; readonly local: OuterIp };

/**
 * What the guard knows of one peer. No two peers of a tunnel have a device, an outer pair, a path or an
 * inner prefix in common, so no two share an element.
 */
export type GuardPeer = {
  /** Name of its tunnel device, whether that is there or not. */
  readonly device: string;
  /** Whose inner addresses are its own, but for those within that are another's by a longer prefix. */
  readonly innerSources: readonly Prefix[];
  /** The hint of its public key (HINT_LENGTH bytes); undefined where it has none. */
  readonly hint: Uint8Array | undefined;
  /** Where its data is let in; undefined = nowhere. */
  readonly admission: Admission | undefined;
  /** Pairs along which its device may point besides, now or in a moment: what has no UDP is refused there too. */
  readonly besides: readonly OuterPair[];
};

/** A length of prefixes that somebody has, 1 to 32 or 128; the prefix of length 0 is `everywhere`. */
export type PrefixLength = number;

/** Lengths of a family's prefixes, the longest first. */
export type PrefixLengths = Readonly<Record<Family, readonly PrefixLength[]>>;

/** Which set or map of the tunnel holds an element, in the table of a family: its name without the tunnel's prefix. */
export type PeerSet =
  | 'admitted'
  | 'pairs'
  | 'inwards'
  | 'outwards'
  | 'devices'
  | 'strays'
  | 'everywhere'
  | 'hints'
  | `inner${PrefixLength}`
  | `claimed${PrefixLength}`;

export type GuardElement = {
  readonly family: Family;
  readonly set: PeerSet;
  readonly text: string;
};

/** Everything that the rulesets of these families say of one peer. */
export function elementsOf(peer: GuardPeer, families: readonly Family[]): readonly GuardElement[] {
  const elements = families.flatMap((family) => elementsIn(family, peer));
  return [...new Map(elements.map((element) => [keyOf(element), element])).values()];
}

function elementsIn(family: Family, peer: GuardPeer): readonly GuardElement[] {
  const { device, hint, admission, besides } = peer;
  const name = `"${device}"`;
  const element = (set: PeerSet, text: string): GuardElement => ({ family, set, text });
  const sources = peer.innerSources.filter(({ ip }) => familyOf(ip) === family);
  const here = admission && familyOf(admission.path.remote.ip) === family ? admission : undefined;
  const pairs = [...(here ? [pairOf(here)] : []), ...besides];
  return [
    element('devices', name),
    element('strays', name),
    ...sources.flatMap(({ ip, length }) =>
      length === 0
        ? [element('everywhere', name)]
        : [element(`inner${length}`, `${name} . ${ip}`), element(`claimed${length}`, ip)],
    ),
    ...(hint ? [element('hints', `0x${formatHex(hint)}`)] : []),
    ...(here ? admissionTexts(here).map(([set, text]) => element(set, text)) : []),
    ...pairs
      .filter(({ remote }) => familyOf(remote) === family)
      .map(({ remote, local }) => element('pairs', `${remote} . ${local}`)),
  ];
}

/** Names an element among all of a tunnel. */
export function keyOf({ family, set, text }: GuardElement): string {
  return `${setKey({ family, set })} ${text}`;
}

/** Names a set among all of a tunnel. */
export type SetKey = `${Family} ${PeerSet}`;

export function setKey({ family, set }: Pick<GuardElement, 'family' | 'set'>): SetKey {
  return `${family} ${set}`;
}

/** The lengths of the prefixes of these peers, without those of everything. */
export function prefixLengthsOf(peers: Iterable<GuardPeer>): PrefixLengths {
  const lengths = { ipv4: new Set<PrefixLength>(), ipv6: new Set<PrefixLength>() };
  for (const { innerSources } of peers)
    for (const { ip, length } of innerSources) if (length > 0) lengths[familyOf(ip)].add(length);
  const ordered = (family: Family) => [...lengths[family]].toSorted((a, b) => b - a);
  return { ipv4: ordered('ipv4'), ipv6: ordered('ipv6') };
}

/** The outer addresses that the device of an admitted peer has. */
export function pairOf({ path, alt }: Admission): OuterPair {
  return { remote: path.remote.ip, local: alt ?? path.local.ip };
}

function admissionTexts({ path, alt }: Admission): readonly (readonly [PeerSet, string])[] {
  const { local, remote } = path;
  const admitted = ['admitted', `${remote.ip} . ${remote.port} . ${alt ?? local.ip}`] as const;
  if (alt === undefined) return [admitted];
  return [
    admitted,
    ['inwards', `${remote.ip} . ${remote.port} . ${local.ip} : ${alt}`],
    ['outwards', `${alt} . ${remote.ip} . ${remote.port} : ${local.ip}`],
  ];
}

function formatHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
