import type { OuterIp, Path, Prefix } from '../addr.ts';

/** An admitted peer: its path in public addresses, and the alternative local address if it has one. */
export type Admission = { readonly path: Path; readonly alt: OuterIp | undefined };

/** Outer addresses of an ipip device. */
export type OuterPair = { readonly remote: OuterIp; readonly local: OuterIp };

/**
 * What the guard knows of one peer. No two peers of a tunnel have a device, an outer pair, a path or an
 * inner prefix in common, so no two share an element.
 */
export type GuardPeer = {
  /** Name of its ipip device, whether that is there or not. */
  readonly device: string;
  /** Whose inner addresses are its own, but for those within that are another's by a longer prefix. */
  readonly innerSources: readonly Prefix[];
  /** The hint of its public key (HINT_LENGTH bytes); undefined where it has none. */
  readonly hint: Uint8Array | undefined;
  /** Where its data is let in; undefined = nowhere. */
  readonly admission: Admission | undefined;
  /** Pairs along which its device may point besides, now or in a moment: bare IPIP is refused there too. */
  readonly besides: readonly OuterPair[];
};

/** A length of prefixes that somebody has, 1 to 32; the prefix of length 0 is `everywhere`. */
export type PrefixLength = number;

/** Which set or map of the tunnel holds an element: its name without the tunnel's prefix. */
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

export type GuardElement = { readonly set: PeerSet; readonly text: string };

/** Everything that the ruleset says of one peer. */
export function elementsOf(peer: GuardPeer): readonly GuardElement[] {
  const { device, hint, admission, besides } = peer;
  const name = `"${device}"`;
  const pairs = [...(admission ? [pairOf(admission)] : []), ...besides];
  const elements: readonly GuardElement[] = [
    { set: 'devices', text: name },
    { set: 'strays', text: name },
    ...peer.innerSources.flatMap((prefix) => innerElements(prefix, name)),
    ...(hint ? [{ set: 'hints', text: `0x${formatHex(hint)}` } as const] : []),
    ...(admission ? admissionElements(admission) : []),
    ...pairs.map(({ remote, local }): GuardElement => ({
      set: 'pairs',
      text: `${remote} . ${local}`,
    })),
  ];
  return [...new Map(elements.map((element) => [keyOf(element), element])).values()];
}

/** Names an element among all of a tunnel. */
export function keyOf({ set, text }: GuardElement): string {
  return `${set} ${text}`;
}

/** The lengths of the prefixes of these peers, the longest first, without that of everything. */
export function prefixLengthsOf(peers: Iterable<GuardPeer>): readonly PrefixLength[] {
  const lengths = new Set<PrefixLength>();
  for (const { innerSources } of peers) for (const { length } of innerSources) lengths.add(length);
  lengths.delete(0);
  return [...lengths].toSorted((a, b) => b - a);
}

/** The outer addresses that the device of an admitted peer has. */
export function pairOf({ path, alt }: Admission): OuterPair {
  return { remote: path.remote.ip, local: alt ?? path.local.ip };
}

function innerElements({ ip, length }: Prefix, name: string): readonly GuardElement[] {
  if (length === 0) return [{ set: 'everywhere', text: name }];
  return [
    { set: `inner${length}`, text: `${name} . ${ip}` },
    { set: `claimed${length}`, text: ip },
  ];
}

function admissionElements({ path, alt }: Admission): readonly GuardElement[] {
  const { local, remote } = path;
  const elements: GuardElement[] = [
    { set: 'admitted', text: `${remote.ip} . ${remote.port} . ${alt ?? local.ip}` },
  ];
  if (alt === undefined) return elements;
  return [
    ...elements,
    { set: 'inwards', text: `${remote.ip} . ${remote.port} . ${local.ip} : ${alt}` },
    { set: 'outwards', text: `${alt} . ${remote.ip} . ${remote.port} : ${local.ip}` },
  ];
}

function formatHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
