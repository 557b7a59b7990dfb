import type { ConfigProblem } from '../errors.ts';
import { slotsOf } from './option.ts';
import { problemAt, type ParsedSource, type Section, type Setting } from './setting.ts';
import type { Filled, SlotName } from './slots.ts';

/** What some settings say together. */
export type Layer = {
  readonly slots: Filled;
  /** The setting that each filled slot comes from. */
  readonly origins: ReadonlyMap<SlotName, Setting>;
  readonly problems: readonly ConfigProblem[];
};

/** What all sources together say. */
export type Merged = Layer & {
  /** Every setting before the sections, also those that a later source overrides. */
  readonly settings: readonly Setting[];
  /** Of all files, in their order. */
  readonly sections: readonly Section[];
};

/**
 * Lays sources over each other, the last one on top, slot by slot. Within one source a slot may be
 * filled once: saying the same again is harmless, two ways of saying it are a problem even where
 * they agree, because whoever edits one of them later will overlook the other.
 */
export function mergeSources(sources: readonly ParsedSource[]): Merged {
  const building = beginLayer();
  for (const source of sources) {
    building.problems.push(...source.problems);
    addSettings(building, source.settings);
  }
  return {
    ...building,
    settings: sources.flatMap((source) => source.settings),
    sections: sources.flatMap((source) => source.sections),
  };
}

/** What the settings of one source say, by themselves. */
export function readSettings(settings: readonly Setting[]): Layer {
  const building = beginLayer();
  addSettings(building, settings);
  return building;
}

type Slots = { -readonly [Name in SlotName]?: Filled[Name] };

type Building = {
  readonly slots: Slots;
  readonly origins: Map<SlotName, Setting>;
  readonly problems: ConfigProblem[];
};

function beginLayer(): Building {
  return { slots: {}, origins: new Map(), problems: [] };
}

function addSettings(building: Building, settings: readonly Setting[]): void {
  const { slots, origins, problems } = building;
  for (const setting of settings) {
    const reading = setting.option.read(setting.text);
    if (!reading.ok) {
      const problem = problemAt(setting, reading.expected);
      problems.push(reading.unimplemented ? { ...problem, unsupported: true } : problem);
      continue;
    }
    const names = slotsOf(reading.value);
    const earlier = names
      .map((name) => origins.get(name))
      .find((origin) => origin !== undefined && origin.source === setting.source);
    if (earlier !== undefined && !sayTheSame(earlier, setting)) {
      problems.push(problemAt(setting, onlyOneOf(earlier, setting)));
      continue;
    }
    for (const name of names) {
      origins.set(name, setting);
      fill(slots, reading.value, name);
    }
  }
}

function fill<Name extends SlotName>(
  slots: Pick<Slots, Name>,
  from: Pick<Filled, Name>,
  name: Name,
): void {
  slots[name] = from[name];
}

function sayTheSame(earlier: Setting, later: Setting): boolean {
  return earlier.option === later.option && earlier.text === later.text;
}

function onlyOneOf(earlier: Setting, later: Setting): string {
  const where = earlier.line === undefined ? '' : ` of line ${earlier.line}`;
  return earlier.option === later.option
    ? `no other value than the one${where || ' before it'}`
    : `only one of this and \`${earlier.option.name}\`${where}`;
}
