import { editDistance } from '../core/config/setting.ts';
import { IpipouError } from '../core/errors.ts';
import type { Command } from './command.ts';

/** Edits after which a name is another word rather than a slip. */
const NEAR = 2;

/** The command of that name; throws with exit `arguments`, and the nearest name if one is near. */
export function findCommand(name: string, commands: readonly Command[]): Command {
  const found = commands.find((command) => command.name === name);
  if (found) return found;
  const ranked = commands
    .map((command) => ({ name: command.name, distance: editDistance(name, command.name) }))
    .toSorted((a, b) => a.distance - b.distance);
  const nearest = ranked[0];
  const near = nearest && nearest.distance <= NEAR ? `did you mean ${nearest.name}? ` : '';
  throw new IpipouError('arguments', `there is no command ${JSON.stringify(name)}`, {
    hint: `${near}ipipou help lists the commands`,
  });
}
