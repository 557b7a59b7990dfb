import { ipv4Add, type Ipv4 } from '../addr.ts';
import type { ConfigProblem } from '../errors.ts';
import type { Layer } from './merge.ts';
import type { Section, Setting } from './setting.ts';
import type { Filled, SlotName } from './slots.ts';
import { DEFAULT_PEER, type PeerId, type TimerConfig, type TunnelConfig } from './tunnel-config.ts';

/** What all sections of a tunnel have in common. Holds secrets. */
export type PeerBase = {
  readonly role: TunnelConfig['role'];
  /** `tunl-ip`; undefined where it is missing. */
  readonly tunnelIp: Ipv4 | undefined;
  /** What sections inherit from the options before them. */
  readonly inherited: Filled;
  /** Whether the default peer takes every address while it is the only peer: no `allowed-ips`. */
  readonly defaultTakesAny: boolean;
  /** One object for all peers that say nothing else. */
  readonly timers: TimerConfig;
};

/** The options of one peer, wherever they come from. */
export type PeerView = {
  readonly id: PeerId;
  readonly base: PeerBase;
  /** What they say by themselves. */
  readonly own: Filled;
  /** What they say over what they inherit. */
  readonly slots: Filled;
  readonly settings: readonly Setting[];
  readonly origins: ReadonlyMap<SlotName, Setting>;
  /** What is wrong with them one by one. */
  readonly problems: readonly ConfigProblem[];
  /** Where what is missing should be given. */
  readonly place: { readonly source: string; readonly line: number | undefined };
  /** Inside the tunnel; undefined where it has to be given and is not. */
  readonly innerIp: Ipv4 | undefined;
};

/** The slots that the table's `inherited` options fill. */
export const INHERITED_SLOTS = [
  'privateSeed',
  'secret',
  'maxTimeDiscrepancy',
  'packetTtl',
  'replyOnAuthOk',
  'authLifetime',
  'connectionIdle',
  'keepalive',
  'deadPeerTimeout',
] as const satisfies readonly SlotName[];

export function inheritedOf(slots: Filled): Filled {
  const entries = INHERITED_SLOTS.filter((name) => slots[name] !== undefined).map(
    (name) => [name, slots[name]] as const,
  );
  return Object.fromEntries(entries);
}

/** The peer of the options before the first section. */
export function viewDefault(
  layer: Layer & { readonly settings: readonly Setting[] },
  base: PeerBase,
  place: PeerView['place'],
): PeerView {
  const { slots, origins, problems, settings } = layer;
  const innerIp = slots.innerPeerIp ?? neighbour(base);
  return { id: DEFAULT_PEER, base, own: slots, slots, settings, origins, problems, place, innerIp };
}

export function viewSection(section: Section, layer: Layer, base: PeerBase): PeerView {
  return {
    id: section.id,
    base,
    own: layer.slots,
    slots: { ...base.inherited, ...layer.slots },
    settings: section.settings,
    origins: layer.origins,
    problems: layer.problems,
    place: section,
    // A server's sections are many: one address cannot be the default of all.
    innerIp: layer.slots.innerPeerIp ?? (base.role === 'client' ? neighbour(base) : undefined),
  };
}

/** The other address of the tunnel's pair. */
function neighbour({ role, tunnelIp }: PeerBase): Ipv4 | undefined {
  return tunnelIp && ipv4Add(tunnelIp, role === 'server' ? 1 : -1);
}
