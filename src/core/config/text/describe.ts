import { GROUPS, hyphenate, type GroupName, type Option } from '../option.ts';
import { OPTIONS } from '../options.ts';

/** The options of each group, groups and options in the order of the table. */
export function groupOptions(): readonly { title: string; options: readonly Option[] }[] {
  return (Object.keys(GROUPS) as GroupName[]).map((group) => ({
    title: GROUPS[group],
    options: OPTIONS.filter((option) => option.group === group),
  }));
}

/** `-n, --number N`. */
export function formatUsage({ name, short, value }: Option): string {
  const spellings = [...(short === undefined ? [] : [hyphenate(short)]), hyphenate(name)];
  return `${spellings.join(', ')}${value === undefined ? '' : ` ${value.placeholder}`}`;
}

/** What restricts an option, in words; undefined when nothing does. */
export function formatScope({ role, plane, commandLineOnly }: Option): string | undefined {
  const parts = [
    ...(role === 'both' ? [] : [`${role} only`]),
    ...(plane === undefined ? [] : [`dataplane ${plane} only`]),
    ...(commandLineOnly ? ['command line only'] : []),
  ];
  return parts.length === 0 ? undefined : parts.join(', ');
}
