import type { CommandContext } from './command.ts';
import { misuse } from './arguments.ts';

/** ANSI colours by what they say; on anything but a terminal they say nothing. */
export type Paint = Readonly<Record<'title' | 'good' | 'waiting' | 'bad' | 'faint', Dye>>;
type Dye = (text: string) => string;

const plain: Dye = (text) => text;
const dye =
  (code: number): Dye =>
  (text) =>
    `\u001b[${code}m${text}\u001b[0m`;

export const PLAIN: Paint = {
  title: plain,
  good: plain,
  waiting: plain,
  bad: plain,
  faint: plain,
};
export const COLOURS: Paint = {
  title: dye(1),
  good: dye(32),
  waiting: dye(33),
  bad: dye(31),
  faint: dye(2),
};

export const COLOR_FLAG = 'auto, always or never';

/** By `--color`, or else by the terminal and NO_COLOR (no-color.org). */
export function paintFor(
  command: string,
  when: string | undefined,
  { rows, env }: Pick<CommandContext, 'rows' | 'env'>,
): Paint {
  switch (when ?? 'auto') {
    case 'always':
      return COLOURS;
    case 'never':
      return PLAIN;
    case 'auto':
      return rows() !== undefined && !env['NO_COLOR'] && env['TERM'] !== 'dumb' ? COLOURS : PLAIN;
    default:
      throw misuse(command, `--color takes ${COLOR_FLAG}, not ${JSON.stringify(when)}`);
  }
}
