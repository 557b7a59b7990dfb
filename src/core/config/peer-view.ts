import { addToIp, type Family, type InnerIp } from '../addr.ts';
import type { ConfigProblem } from '../errors.ts';
import type { Port } from '../units.ts';
import { readSettings, type Layer } from './merge.ts';
import { OPTIONS } from './options.ts';
import { parseSection } from './parse-file.ts';
import type { Section, Setting } from './setting.ts';
import type { Filled, SlotName } from './slots.ts';
import {
  DEFAULT_PEER,
  type AuthConfig,
  type PeerId,
  type TimerConfig,
  type TunnelConfig,
} from './tunnel-config.ts';

/** What all sections of a tunnel have in common. Holds secrets. */
export type PeerBase = {
  readonly role: TunnelConfig['role'];
  /** The tunnel's own UDP port. */
  readonly localPort: Port;
  /** `tunl-ip`; none where it is missing. */
  readonly tunnelIps: readonly InnerIp[];
  /** What the outer side may be of. */
  readonly outerFamilies: readonly Family[];
  /** What sections inherit from the options before them. */
  readonly inherited: Filled;
  /** Whether the default peer takes every address while it is the only peer: no `allowed-ips`. */
  readonly defaultTakesAny: boolean;
  /** One object for all peers that say nothing else; so is `timers`. */
  readonly auth: AuthConfig;
  readonly timers: TimerConfig;
};

/** The options of one peer, wherever they come from. */
export type PeerView = {
  readonly id: PeerId;
  readonly base: PeerBase;
  /** What they say by themselves. */
  readonly own: Filled;
  readonly settings: readonly Setting[];
  readonly origins: ReadonlyMap<SlotName, Setting>;
  /** What is wrong with them one by one. */
  readonly problems: readonly ConfigProblem[];
  /** Where what is missing should be given. */
  readonly place: { readonly source: string; readonly line: number | undefined };
  /** Inside the tunnel; none where it has to be given and is not. */
  readonly innerIps: readonly InnerIp[];
};

/** What a peer says, or else what it inherits. */
export function heard<Name extends SlotName>(
  { own, base }: Pick<PeerView, 'own' | 'base'>,
  name: Name,
): Filled[Name] {
  return own[name] ?? base.inherited[name];
}

/** The slots that the table's `inherited` options fill. */
const INHERITED_SLOTS = OPTIONS.filter(({ peer }) => peer === 'inherited').flatMap(
  ({ slots }) => slots,
);

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
  const { slots: own, origins, problems, settings } = layer;
  const innerIps = own.innerPeerIps ?? neighbours(base);
  const id = DEFAULT_PEER;
  return { id, base, own, settings, origins, problems, place, innerIps };
}

/** The lines of a section are read here, anew whenever it is looked at. */
export function viewSection(section: Section, base: PeerBase): PeerView {
  const { settings, problems } = parseSection(section);
  const layer = readSettings(settings);
  return {
    id: section.id,
    base,
    own: layer.slots,
    settings,
    origins: layer.origins,
    problems: problems.length === 0 ? layer.problems : [...problems, ...layer.problems],
    place: section,
    innerIps: innerIpsOf(layer.slots, base),
  };
}

/** Of a section's peer. A server's sections are many: one address cannot be the default of all. */
export function innerIpsOf(own: Filled, base: PeerBase): readonly InnerIp[] {
  return own.innerPeerIps ?? (base.role === 'client' ? neighbours(base) : []);
}

/** The other address of each of the tunnel's pairs. */
function neighbours({ role, tunnelIps }: PeerBase): readonly InnerIp[] {
  return tunnelIps.map((ip) => addToIp(ip, role === 'server' ? 1 : -1));
}
