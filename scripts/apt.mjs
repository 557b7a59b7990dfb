// Debian's packages, by apt-get: what is missing, and how it is had.
import { spawnSync } from 'node:child_process';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import process from 'node:process';

/** How long another apt (a fresh machine runs one by itself) is waited for. */
const PATIENCE_SECONDS = 300;

/** Those of the packages that are not installed. */
export function missingPackages(names) {
  const format = '${Package} ${db:Status-Status}\n';
  const shown = spawnSync('dpkg-query', ['-W', '-f', format, ...names], { encoding: 'utf8' });
  const lines = (shown.stdout ?? '').split('\n').filter((line) => line.endsWith(' installed'));
  const there = new Set(lines.map((line) => line.split(' ')[0]));
  return names.filter((name) => !there.has(name));
}

/** Throws, with `why` it is needed, where there is no apt-get. */
export function requireApt(why) {
  if (spawnSync('apt-get', ['--version']).status === 0) return;
  throw new Error(
    `${why}, and there is no apt-get to install them with (Debian or Ubuntu is needed)`,
  );
}

/** Installs packages from fresh lists; throws with what to do when it cannot. */
export function installPackages(names) {
  const complete = updateLists();
  const wait = ['-o', `DPkg::Lock::Timeout=${PATIENCE_SECONDS}`];
  const command = [...wait, 'install', '-y', '--no-install-recommends', ...names];
  const install = () => aptGet(command, 'inherit').status === 0;
  const services = Object.keys(SERVICES).filter((name) => names.includes(name));
  const done = services.length > 0 ? withoutServices(services, install) : install();
  if (done) return;
  const hint = complete
    ? 'apt says why above'
    : 'apt could not fetch its lists: see above, mend the network or /etc/apt/sources.list';
  throw new Error(`these packages could not be installed: ${names.join(' ')}; ${hint}`);
}

/**
 * `apt-get update`: false when some list could not be fetched, which apt takes for a success.
 * Unlike `install`, it does not wait for another one's lock by itself: that is done here.
 */
export function updateLists({ patience = PATIENCE_SECONDS, pause = 1 } = {}) {
  for (let waited = 0; ; waited += pause) {
    const { status, stderr } = aptGet(['update'], 'pipe');
    const locked = status !== 0 && stderr.includes('Could not get lock');
    if (!locked || waited >= patience) {
      process.stderr.write(stderr);
      if (status !== 0) throw new Error(`apt-get update: exit code ${status}; apt says why above`);
      return !stderr.includes('Failed to fetch');
    }
    if (waited === 0) console.error('setup: another apt is at work: waiting for its end');
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, pause * 1000);
  }
}

/** Downloads packages, as NAME or NAME=VERSION, into a folder. */
export function downloadPackages(names, folder) {
  const args = ['download', ...names];
  try {
    capture('apt-get', args, folder);
  } catch {
    // Old lists name versions that mirrors have no more.
    updateLists();
    capture('apt-get', args, folder);
  }
}

/** What a program prints; throws, with its own words, where it fails. */
export function capture(command, args, cwd) {
  const env = { ...process.env, LC_ALL: 'C.UTF-8' };
  const { status, stdout, stderr } = spawnSync(command, args, { cwd, env, encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr}`);
  return stdout;
}

/** What it says is read, so it speaks English. */
function aptGet(args, stderr) {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C.UTF-8' };
  const stdio = ['ignore', 'inherit', stderr];
  const { status, stderr: said } = spawnSync('apt-get', args, { encoding: 'utf8', stdio, env });
  return { status, stderr: said ?? '' };
}

/** Packages that would start a server: only its program is wanted, for one purpose. */
const SERVICES = {
  'openssh-server': { unit: 'ssh', purpose: 'the benchmark' },
  prometheus: { unit: 'prometheus', purpose: 'a test' },
};

/** Installs without starting servers on this machine, now or at its next start. */
function withoutServices(packages, install) {
  // Debian's packages ask this program (invoke-rc.d(8)); 101: forbidden.
  const policy = '/usr/sbin/policy-rc.d';
  const own = !existsSync(policy);
  if (own) writeFileSync(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    if (!install()) return false;
  } finally {
    if (own) rmSync(policy);
  }
  for (const { unit, purpose } of packages.map((name) => SERVICES[name])) {
    console.error(`setup: ${unit} is for ${purpose} only: it is not started, and disabled`);
    spawnSync('systemctl', ['disable', unit], { stdio: 'ignore' });
  }
  return true;
}
