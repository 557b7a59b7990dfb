import { editDistance } from '../core/config/edit-distance.ts';
import { IpipouError } from '../core/errors.ts';
import type { Command, Commands } from './command.ts';

/** Edits after which a name is another word rather than a slip. */
const NEAR = 2;

/** The command of that name; throws with exit `arguments`, and the nearest name if one is near. */
export async function findCommand(name: string, commands: Commands): Promise<Command> {
  const load = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (load) return load();
  const ranked = Object.keys(commands)
    .map((other) => ({ name: other, distance: editDistance(name, other) }))
    .toSorted((a, b) => a.distance - b.distance);
  const nearest = ranked[0];
  const near = nearest && nearest.distance <= NEAR ? `did you mean ${nearest.name}? ` : '';
  throw new IpipouError('arguments', `there is no command ${JSON.stringify(name)}`, {
    hint: `${near}ipipou help lists the commands`,
  });
}

/** All of them, loaded. */
export function loadAll(commands: Commands): Promise<readonly Command[]> {
  return Promise.all(Object.values(commands).map((load) => load()));
}
