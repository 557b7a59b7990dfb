import process from 'node:process';
import { IpipouError } from '../../core/errors.ts';
import { groupNumber } from './groups.ts';

/** Who has no rights of his own. */
const NOBODY = 'nobody';

/**
 * Has this process go on as nobody, in a group; a process that is not root's stays what it is. Throws where
 * there is no such group.
 */
export function dropRoot(group: string): void {
  if (process.getuid?.() !== 0) return;
  const number = groupNumber(group);
  if (number === undefined) {
    throw new IpipouError(
      'generic',
      `there is no group ${group} to go on in without root's rights`,
      {
        hint: `groupadd --system ${group}, or --group with the status-group of the tunnels`,
      },
    );
  }
  process.setgroups?.([number]);
  process.setgid?.(number);
  process.setuid?.(NOBODY);
}
