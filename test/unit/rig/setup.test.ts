import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { PROJECT } from '../../vm/rig/project.ts';

const script = async (name: string): Promise<unknown> =>
  import(pathToFileURL(path.join(PROJECT, 'scripts', name)).href);
// Plain scripts, without types of their own.
const { unfitNode } = (await script('setup.mjs')) as {
  unfitNode: (version: string) => string | undefined;
};
const { installPackages, updateLists } = (await script('apt.mjs')) as {
  installPackages: (names: readonly string[]) => void;
  updateLists: (options: { patience: number; pause: number }) => boolean;
};

test.each([
  ['18.20.8', 'Node 20.19 or 22.12 or newer is needed; this is v18.20.8'],
  ['20.18.3', 'Node 20.19 or 22.12 or newer is needed; this is v20.18.3'],
  ['20.19.0', undefined],
  ['21.7.3', 'Node 20.19 or 22.12 or newer'],
  ['22.11.0', 'Node 20.19 or 22.12 or newer'],
  ['22.12.0', undefined],
  ['24.0.0', undefined],
])('Node %s: %s', (version, said) => {
  const unfit = unfitNode(version);
  if (said === undefined) expect(unfit).toBeUndefined();
  else expect(unfit).toContain(said);
});

let folder = '';

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'ipipou-apt-'));
  vi.stubEnv('PATH', `${folder}:${process.env['PATH']}`);
});

afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

/** In place of apt-get: notes its arguments, then does what the shell lines say. */
function standIn(...lines: readonly string[]): () => readonly string[] {
  const calls = path.join(folder, 'calls');
  writeFileSync(calls, '');
  const file = path.join(folder, 'apt-get');
  writeFileSync(file, ['#!/bin/sh', `echo "$@" >> ${calls}`, ...lines, ''].join('\n'));
  chmodSync(file, 0o755);
  return () => readFileSync(calls, 'utf8').split('\n').slice(0, -1);
}

/** What apt 2.6 says while another one updates the lists. */
const LOCKED = 'echo "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 10" >&2';
/** What it says without a network; its exit code is 0. */
const UNREACHED =
  'echo "W: Failed to fetch http://deb.debian.org/debian/dists/bookworm/InRelease" >&2';

test('another apt is waited for', () => {
  const calls = standIn(`[ "$(wc -l < ${folder}/calls)" -ge 3 ] || { ${LOCKED}; exit 100; }`);
  expect(updateLists({ patience: 60, pause: 0.01 })).toBe(true);
  expect(calls()).toEqual(['update', 'update', 'update']);
});

test('another apt is not waited for without end', () => {
  const calls = standIn(LOCKED, 'exit 100');
  expect(() => updateLists({ patience: 0.02, pause: 0.01 })).toThrow('exit code 100');
  expect(calls()).toEqual(['update', 'update', 'update']);
});

test('any other failure of apt ends it at once', () => {
  const calls = standIn('echo "E: The list of sources could not be read." >&2', 'exit 100');
  expect(() => updateLists({ patience: 60, pause: 0.01 })).toThrow('exit code 100');
  expect(calls()).toEqual(['update']);
});

test('lists that could not be fetched do no harm if they are not needed', () => {
  const calls = standIn(`[ "$1" != update ] || ${UNREACHED}`);
  installPackages(['clang', 'llvm']);
  expect(calls()[1]).toMatch(/^-o DPkg::Lock::Timeout=\d+ install -y .* clang llvm$/);
});

test('lists that could not be fetched are named when an installation fails', () => {
  standIn(`[ "$1" != update ] || { ${UNREACHED}; exit 0; }`, 'exit 100');
  expect(() => installPackages(['clang', 'llvm'])).toThrow(
    /could not be installed: clang llvm; apt could not fetch its lists: .*network/,
  );
});
