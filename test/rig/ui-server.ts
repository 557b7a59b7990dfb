import process from 'node:process';
import type { Program } from '../../src/adapters/lab/process.ts';
import { IPIPOU, type Hosts } from './daemon.ts';

export const UI_PORT = 9587;
export const UI_AT = `127.0.0.1:${UI_PORT}`;

/** A group that every Debian has, and in which nobody is. */
export const UI_GROUP = 'games';

/** `ipipou ui` in a namespace, and the link of those that it has told that still works. */
export async function startUi(
  hosts: Hosts,
  namespace: string,
): Promise<{ readonly program: Program; readonly link: () => string }> {
  const program = hosts.lab.spawn(
    namespace,
    [process.execPath, IPIPOU, 'ui', '--group', UI_GROUP],
    {
      env: hosts.env(namespace),
    },
  );
  await program.waitFor(/\?token=/);
  return {
    program,
    link: () =>
      program
        .output()
        .match(/http:\S+\?token=\S+/g)
        ?.at(-1) ?? '',
  };
}
