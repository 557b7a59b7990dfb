import type { CommandHelp } from '../../core/config/text/help.ts';
import { bashCompletion } from './bash.ts';
import { fishCompletion } from './fish.ts';
import { completedCommands } from './model.ts';
import { zshCompletion } from './zsh.ts';

/** The scripts that shells load, by their paths in the package. */
export function completionFiles(
  commands: readonly CommandHelp[],
): Readonly<
  Record<'completions/ipipou.bash' | 'completions/_ipipou' | 'completions/ipipou.fish', string>
> {
  const completed = completedCommands(commands);
  return {
    'completions/ipipou.bash': bashCompletion(completed),
    'completions/_ipipou': zshCompletion(completed),
    'completions/ipipou.fish': fishCompletion(completed),
  };
}
