// Programs of Debian 13 for the contest, whatever Debian this is: fetched by apt, unpacked into .cache, not installed.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';

const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';
const SOURCE = `deb [signed-by=${KEYRING}] http://deb.debian.org/debian trixie main\n`;

/** Makes `cache`/NAME, the unpacked package of that name, when it is not there. Throws with what apt says. */
export function fetchFromDebian13(cache, name) {
  const home = path.join(cache, name);
  if (existsSync(home)) return;
  const work = path.join(cache, `.${name}.${process.pid}`);
  rmSync(work, { recursive: true, force: true });
  for (const folder of ['lists/partial', 'archives/partial', 'root'])
    mkdirSync(path.join(work, folder), { recursive: true });
  try {
    writeFileSync(path.join(work, 'sources.list'), SOURCE);
    apt(work, ['update']);
    apt(work, ['download', name]);
    const deb = readdirSync(work).find((file) => file.endsWith('.deb'));
    capture('dpkg-deb', ['-x', deb, 'root'], work);
    renameSync(path.join(work, 'root'), home);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** With lists of its own, so that nothing of this machine's apt changes. */
function apt(folder, args) {
  const options = {
    'Dir::Etc::sourcelist': path.join(folder, 'sources.list'),
    'Dir::Etc::sourceparts': '-',
    'Dir::State::lists': path.join(folder, 'lists'),
    'Dir::Cache': folder,
    'APT::Sandbox::User': 'root',
  };
  const flags = Object.entries(options).flatMap(([key, value]) => ['-o', `${key}=${value}`]);
  capture('apt-get', [...flags, ...args], folder);
}

function capture(command, args, cwd) {
  const env = { ...process.env, LC_ALL: 'C.UTF-8' };
  const { status, stderr } = spawnSync(command, args, { cwd, env, encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command} ${args.at(-1)}: ${stderr}`);
}
