import { GROUP_NOTES, GROUPS, hyphenate, type GroupName, type Option } from '../option.ts';
import { OPTIONS } from '../options.ts';

type OptionGroup = {
  readonly title: string;
  readonly note: string | undefined;
  readonly options: readonly Option[];
};

/** The options of each group, groups and options in the order of the table. */
export function groupOptions(): readonly OptionGroup[] {
  return (Object.keys(GROUPS) as GroupName[]).map((group) => ({
    title: GROUPS[group],
    note: GROUP_NOTES[group],
    options: OPTIONS.filter((option) => option.group === group),
  }));
}

/** `-n, --number N`; without hyphens where the command line cannot say it. */
export function formatUsage({ name, short, value, fileOnly }: Option): string {
  const spellings = [
    ...(short === undefined ? [] : [hyphenate(short)]),
    fileOnly ? name : hyphenate(name),
  ];
  return `${spellings.join(', ')}${value === undefined ? '' : ` ${value.placeholder}`}`;
}

const PEER_WORDS = { own: 'per peer', inherited: 'per peer, inherited' } as const;

/** What restricts an option, and where it may stand, in words; undefined when there is nothing to say. */
export function formatScope(option: Option): string | undefined {
  const { role, plane, commandLineOnly, fileOnly, peer } = option;
  const parts = [
    ...(role === 'both' ? [] : [`${role} only`]),
    ...(plane === undefined ? [] : [`dataplane ${plane} only`]),
    ...(commandLineOnly ? ['command line only'] : []),
    ...(fileOnly ? ['config file only'] : []),
    ...(peer === undefined ? [] : [PEER_WORDS[peer]]),
  ];
  return parts.length === 0 ? undefined : parts.join(', ');
}
