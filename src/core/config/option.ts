import type { Filled, SlotName, Slots } from './slots.ts';
import type { Reading, Syntax } from './syntax.ts';
import type { FixedConfig, PeerConfig } from './tunnel-config.ts';

/** Headings of help, manual and docs/OPTIONS.md, in their order. */
export const GROUPS = {
  general: 'General',
  authentication: 'Authentication',
  timing: 'Timing',
  outer: 'Outer side (UDP)',
  inner: 'Inner side (tunnel device)',
  reach: 'Services behind a client',
  everything: 'Everything through the tunnel',
  invite: 'Invitations',
  planes: 'Data plane, queue and nftables',
  hooks: 'Hooks',
  log: 'Log, and who may look',
} as const;

export type GroupName = keyof typeof GROUPS;

/** What manual pages say at the head of a group. */
export const GROUP_NOTES: Partial<Record<GroupName, string>> = {
  hooks:
    "Commands run by sh -c as the daemon's user, each for 30 seconds at most (verify: 5). %i is the tunnel device, %% a " +
    'percent sign. What is known is in the environment: IPIPOU_HOOK, IPIPOU_DEVICE, IPIPOU_NAME, IPIPOU_ROLE, ' +
    'IPIPOU_INNER_IPS, IPIPOU_PORT, and of a peer IPIPOU_PEER, IPIPOU_ENDPOINT, IPIPOU_PREVIOUS_ENDPOINT, IPIPOU_MTU.',
};

/** One row of the option table. */
export type Option = {
  /** As in a config file; with two hyphens on the command line (one, if it is a single letter). */
  readonly name: string;
  /** One letter. */
  readonly short: string | undefined;
  readonly group: GroupName;
  /** Which role may use it. */
  readonly role: 'both' | 'server' | 'client';
  readonly commandLineOnly: boolean;
  readonly fileOnly: boolean;
  /**
   * Whether it may stand in a `peer` section: `own` is what only the peer itself can say; what is
   * `inherited` and given before the first section holds for every section that does not say it.
   */
  readonly peer: 'own' | 'inherited' | undefined;
  /** The one data plane that it concerns; undefined = whichever runs. */
  readonly plane: 'fou' | undefined;
  /** Whether its value must never be shown. */
  readonly secret: boolean;
  /** May be given again and again. */
  readonly repeatable: boolean;
  /** How a value is written; undefined = the option takes none. */
  readonly value: Pick<Syntax<unknown>, 'placeholder' | 'expected' | 'choices'> | undefined;
  /** The default in words; undefined = nothing to say (off, or not given). */
  readonly fallback: string | undefined;
  readonly help: string;
  /** What it fills. */
  readonly slots: readonly SlotName[];
  /** Of a tunnel that runs, what only a restart changes; one of the options that say a thing has it. */
  readonly fixed: ((fixed: FixedConfig) => string | number | boolean | undefined) | undefined;
  /** What a peer that runs says by this option, its first slot; likewise. */
  readonly kept: ((peer: PeerConfig) => Slots[SlotName] | undefined) | undefined;
  /** What the option says; `text` is '' for one without value. */
  readonly read: (text: string) => Reading<Filled>;
};

type Row = Pick<Option, 'name' | 'group' | 'help'> &
  Partial<
    Pick<
      Option,
      | 'short'
      | 'role'
      | 'commandLineOnly'
      | 'fileOnly'
      | 'peer'
      | 'plane'
      | 'secret'
      | 'repeatable'
      | 'fallback'
      | 'fixed'
      | 'kept'
    >
  >;

const ordinary = {
  short: undefined,
  role: 'both',
  commandLineOnly: false,
  fileOnly: false,
  peer: undefined,
  plane: undefined,
  secret: false,
  repeatable: false,
  fallback: undefined,
  fixed: undefined,
  kept: undefined,
} as const;

/** A row without value. */
export function flag(row: Row, filled: Filled): Option {
  return {
    ...ordinary,
    ...row,
    value: undefined,
    slots: slotsOf(filled),
    read: () => ({ ok: true, value: filled }),
  };
}

/** A row with a value, for one slot. */
export function valued<Name extends SlotName>(
  row: Row,
  syntax: Syntax<Slots[Name]>,
  slot: Name,
): Option {
  return parted(row, syntax, [slot], (value) => ({ [slot]: value }));
}

/** A row with a value of several parts; `fill` says which of the slots each goes to. */
export function parted<T>(
  row: Row,
  syntax: Syntax<T>,
  slots: readonly SlotName[],
  fill: (value: T) => Filled,
): Option {
  return {
    ...ordinary,
    ...row,
    value: syntax,
    slots,
    read: (text) => {
      const reading = syntax.read(text);
      return reading.ok ? { ok: true, value: fill(reading.value) } : reading;
    },
  };
}

/** The slots that are filled. */
export function slotsOf(filled: Filled): readonly SlotName[] {
  // Object.keys knows no key types; a Filled has no other keys.
  return (Object.keys(filled) as SlotName[]).filter((name) => filled[name] !== undefined);
}

/** The name as the command line spells it. */
export function hyphenate(name: string): string {
  return name.length === 1 ? `-${name}` : `--${name}`;
}
