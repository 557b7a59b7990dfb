import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { loadConfig } from '../../../src/cli/load-config.ts';
import type { Machine } from '../../../src/cli/machine.ts';
import { findServer } from '../../../src/cli/setup/find-server.ts';
import type { RunEntry } from '../../../src/ports/run-store.ts';

let folder: string;
let file: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'ipipou-server-'));
  file = path.join(folder, 'home.conf');
  writeFileSync(file, 'server\ninvite-address 192.0.2.1\n', { mode: 0o600 });
});
afterEach(() => rmSync(folder, { recursive: true }));

function machineWith(entries: readonly RunEntry[]): Machine {
  // Nothing else is asked for.
  return { runs: { list: () => entries } as Machine['runs'] } as Machine;
}

/** A tunnel of that file which runs, or is dead. */
async function running(configPath: string, state: string | undefined = 'S'): Promise<RunEntry> {
  const { resolved } = await loadConfig(['--config', configPath]);
  if (!('config' in resolved)) return expect.fail('nothing to run');
  const record = { config: resolved.config, configPath } as RunEntry['record'];
  return { device: 'ipipou0', record, state, controlPath: '' };
}

describe('--server finds the server that runs', () => {
  test('by its device, its name wherever its file is, and any path of it', async () => {
    const link = path.join(folder, 'link.conf');
    symlinkSync(file, link);
    const sub = path.join(folder, 'sub');
    mkdirSync(sub);
    const around = `${sub}/../home.conf`;
    for (const started of [file, link]) {
      const entry = await running(started);
      const name = entry.record.config.name;
      for (const word of ['ipipou0', name, file, link, around]) {
        const found = await findServer(word, machineWith([entry]));
        expect(found, word).toMatchObject({ path: started, entry });
      }
    }
  });

  test('and not another one, nor one that is dead', async () => {
    const other = path.join(folder, 'other.conf');
    writeFileSync(other, readFileSync(file), { mode: 0o600 });
    const entry = await running(other);
    const found = await findServer(file, machineWith([entry]));
    expect(found).toMatchObject({ path: file, entry: undefined });
    const dead = { ...entry, state: undefined };
    expect((await findServer(other, machineWith([dead]))).entry).toBeUndefined();
    expect((await findServer('ipipou0', machineWith([dead]))).entry).toBe(dead);
  });
});
