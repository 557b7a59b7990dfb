import { readFileSync } from 'node:fs';

/** The number of a group of this system (group(5)); undefined when /etc/group has none of that name. */
export function groupNumber(name: string): number | undefined {
  let text: string;
  try {
    text = readFileSync('/etc/group', 'utf8');
  } catch {
    return undefined;
  }
  const line = text.split('\n').find((one) => one.startsWith(`${name}:`));
  const number = line?.split(':')[2];
  return number !== undefined && /^[0-9]+$/.test(number) ? Number(number) : undefined;
}
