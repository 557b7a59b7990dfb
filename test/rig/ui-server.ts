import { chmodSync } from 'node:fs';
import process from 'node:process';
import type { Program } from '../../src/adapters/lab/process.ts';
import { changed, DESCRIBED, IPIPOU, type Hosts } from './daemon.ts';
import type { LabScene } from './lab-scene.ts';

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

/** What none of it may show. */
export const SECRETS = /topsecret|RuBZkT23na2Q4QH1xfmZCfRgSgPt5s362UPAFbecTso/;

const SERVER = changed(
  DESCRIBED.server,
  ...['dataplane tun', `status-group ${UI_GROUP}`, '-auth-remote-pubkey-b64'],
  'peer laptop',
  `auth-remote-pubkey-b64 ${DESCRIBED.server[5].split(' ')[1]}`,
  'tunl-peer-ip 172.28.0.1',
);

/** A server with the page beside it; what ends the page goes to `closing`. */
export async function serveUi(scene: LabScene, closing: (() => Promise<unknown>)[]) {
  const { lab, hosts } = scene;
  // Of the folder, where configs are, only what is below it is for others.
  chmodSync(hosts.folder, 0o711);
  const s = await scene.start(lab.server, SERVER);
  await s.ready();
  const ui = await startUi(hosts, lab.server);
  closing.push(() => ui.program.stop());
  return { s, ui };
}
