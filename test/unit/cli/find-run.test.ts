import { mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { findRun } from '../../../src/cli/find-run.ts';
import { configReferenceOf } from '../../../src/cli/config-path.ts';
import type { RunEntry, RunStore } from '../../../src/ports/run-store.ts';

let folder: string;
const before = process.cwd();
beforeEach(() => {
  folder = realpathSync(mkdtempSync(path.join(tmpdir(), 'ipipou-find-')));
  process.chdir(folder);
});
afterEach(() => {
  process.chdir(before);
  rmSync(folder, { recursive: true });
});

/** Run directories of tunnels with these config paths. */
function runs(paths: Readonly<Record<string, string | undefined>>): RunStore {
  const list = Object.entries(paths).map(([device, configPath]) => ({
    device,
    record: { config: { name: path.basename(configPath ?? device, '.conf') }, configPath },
  }));
  // Nothing else is asked for.
  return { list: () => list as unknown as readonly RunEntry[] } as RunStore;
}

describe('a tunnel is found', () => {
  test('by its device, its name and every path of its config', () => {
    const file = path.join(folder, 'home.conf');
    writeFileSync(file, '');
    symlinkSync(file, path.join(folder, 'link.conf'));
    const store = runs({ ipipou0: file, ipipou1: '/etc/ipipou/work.conf' });
    for (const word of [
      'ipipou0',
      'home',
      'home.conf',
      './home.conf',
      file,
      'link.conf',
      './link.conf',
    ]) {
      expect(findRun(word, store).device, word).toBe('ipipou0');
    }
    expect(findRun(`../${path.basename(folder)}/home.conf`, store).device).toBe('ipipou0');
    for (const word of [
      'work',
      'work.conf',
      '/etc/ipipou/work.conf',
      '/etc/ipipou/../ipipou/work.conf',
    ]) {
      expect(findRun(word, store).device, word).toBe('ipipou1');
    }
  });

  test('also when its config is gone, and not by another file of the same name', () => {
    const store = runs({ ipipou0: path.join(folder, 'home.conf'), ipipou1: undefined });
    expect(findRun('./home.conf', store).device).toBe('ipipou0');
    expect(() => findRun('./other/home.conf', store)).toThrow('no tunnel');
  });
});

test.each([
  ['home', 'home'],
  ['home.conf', 'home'],
  ['here.conf', './here.conf'],
  ['./home.conf', './home.conf'],
  ['sub/home.conf', './sub/home.conf'],
  ['/etc/x.conf', '/etc/x.conf'],
])('%s is the config %s', (word, reference) => {
  writeFileSync('here.conf', '');
  expect(configReferenceOf(word)).toBe(reference);
});
