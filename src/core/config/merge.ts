import type { ConfigProblem } from '../errors.ts';
import { problemAt, type ParsedSource, type Setting } from './setting.ts';
import type { Filled, SlotName } from './slots.ts';

/** What all sources together say. */
export type Merged = {
  readonly slots: Filled;
  /** The setting that each filled slot comes from. */
  readonly origins: ReadonlyMap<SlotName, Setting>;
  /** Every setting, also those that a later source overrides. */
  readonly settings: readonly Setting[];
  readonly problems: readonly ConfigProblem[];
  /** Those of the problems that are sound input which this version does not support. */
  readonly unimplemented: ReadonlySet<ConfigProblem>;
};

/**
 * Lays sources over each other, the last one on top, slot by slot. Within one source a slot may be
 * filled once: saying the same again is harmless, two ways of saying it are a problem even where
 * they agree, because whoever edits one of them later will overlook the other.
 */
export function mergeSources(sources: readonly ParsedSource[]): Merged {
  let slots: Filled = {};
  const origins = new Map<SlotName, Setting>();
  const problems: ConfigProblem[] = [];
  const unimplemented = new Set<ConfigProblem>();
  for (const source of sources) {
    problems.push(...source.problems);
    const filledHere = new Map<SlotName, Setting>();
    for (const setting of source.settings) {
      const reading = setting.option.read(setting.text);
      if (!reading.ok) {
        const problem = problemAt(setting, reading.expected);
        problems.push(problem);
        if (reading.unimplemented) unimplemented.add(problem);
        continue;
      }
      const names = slotNames(reading.value);
      const earlier = names.map((name) => filledHere.get(name)).find((one) => one !== undefined);
      if (earlier !== undefined && !sayTheSame(earlier, setting)) {
        problems.push(problemAt(setting, onlyOneOf(earlier, setting)));
        continue;
      }
      for (const name of names) {
        filledHere.set(name, setting);
        origins.set(name, setting);
      }
      slots = overlay(slots, reading.value);
    }
  }
  const settings = sources.flatMap((source) => source.settings);
  return { slots, origins, settings, problems, unimplemented };
}

const slotNames = (filled: Filled): readonly SlotName[] =>
  // Object.keys knows no key types; a Filled has no other keys.
  (Object.keys(filled) as SlotName[]).filter((name) => filled[name] !== undefined);

function overlay(below: Filled, above: Filled): Filled {
  const said = Object.fromEntries(Object.entries(above).filter(([, value]) => value !== undefined));
  return { ...below, ...said };
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
