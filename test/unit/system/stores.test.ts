import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { ownProcess, processState } from '../../../src/adapters/system/process-id.ts';
import { createRunStore } from '../../../src/adapters/system/run-store.ts';
import { parseArguments } from '../../../src/core/config/parse-argv.ts';
import { resolveConfig } from '../../../src/core/config/resolve.ts';
import type { TunnelConfig } from '../../../src/core/config/tunnel-config.ts';
import { millis } from '../../../src/core/units.ts';
import type { RunRecord } from '../../../src/ports/run-store.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'ipipou-stores-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function config(...options: string[]): TunnelConfig {
  const commandLine = parseArguments(['--server', '--auth', 'none', ...options]);
  const resolved = resolveConfig({ commandLine, files: [] });
  if (!('config' in resolved)) throw new Error(resolved.action);
  return resolved.config;
}

const NOW = millis(1_700_000_000_500);

function record(device: string): RunRecord {
  return {
    process: ownProcess(),
    config: { ...config(), inner: { ...config().inner, device } },
    configPath: undefined,
    plane: 'tun',
    life: 'up',
    log: 'stderr',
    planeReason: 'because',
    since: NOW,
    path: undefined,
    journal: { note: 1 },
  };
}

describe('run directories', () => {
  test('a claimed device is there for others to see, and gone without a trace after', () => {
    const store = createRunStore(path.join(folder, 'run'));
    expect(store.list()).toEqual([]);
    const claim = store.claim('ipipou0');
    expect(store.find('ipipou0')).toBeUndefined();
    claim.write(record('ipipou0'));
    expect(store.list()).toMatchObject([
      {
        device: 'ipipou0',
        state: expect.any(String),
        record: { journal: { note: 1 }, plane: 'tun' },
      },
    ]);
    claim.release('remove');
    expect(store.list()).toEqual([]);
    expect(readdirSync(path.join(folder, 'run'))).toEqual([]);
  });

  test('a device has one owner at a time, who is named to the second', () => {
    const store = createRunStore(folder);
    const claim = store.claim('ipipou0');
    expect(() => store.claim('ipipou0')).toThrow(
      `ipipou0 is already run by process ${process.pid}`,
    );
    const other = store.claim('ipipou1');
    other.release('remove');
    claim.release('remove');
    store.claim('ipipou0').release('remove');
  });

  test('what a run leaves is the previous of the next', () => {
    const store = createRunStore(folder);
    const claim = store.claim('ipipou0');
    claim.write(record('ipipou0'));
    claim.release('keep');
    const next = store.claim('ipipou0');
    expect(next.previous?.journal).toEqual({ note: 1 });
    next.release('remove');
  });

  test('a claimed directory that was deleted is made anew, and is as good as before', () => {
    const store = createRunStore(path.join(folder, 'run'));
    const claim = store.claim('ipipou0');
    claim.write(record('ipipou0'));
    writeFileSync(claim.controlPath, '');
    expect(claim.intact()).toBe(true);
    for (const gone of [
      claim.controlPath,
      path.dirname(claim.controlPath),
      path.join(folder, 'run'),
    ]) {
      rmSync(gone, { recursive: true });
      expect(claim.intact(), gone).toBe(false);
      claim.renew();
      claim.write(record('ipipou0'));
      writeFileSync(claim.controlPath, '');
      expect(claim.intact(), gone).toBe(true);
      expect(() => store.claim('ipipou0')).toThrow('already run');
    }
    rmSync(path.join(folder, 'run'), { recursive: true });
    claim.write(record('ipipou0'));
    expect(store.list(), 'a record makes it, too').toHaveLength(1);
    claim.release('remove');
    expect(store.list()).toEqual([]);
  });

  test.each(['/proc/ipipou', '/proc/self/fd/ipipou/run'])(
    'where no folder can be made (%s) the error says so',
    (base) => {
      expect(() => createRunStore(base).claim('ipipou0')).toThrow(
        expect.objectContaining({
          message: expect.stringMatching(/^cannot make \/proc/),
          hint: expect.stringContaining('takes no folders'),
        }),
      );
    },
  );

  test('a record of version 0.2 is one of this version', () => {
    const store = createRunStore(folder);
    const claim = store.claim('ipipou0');
    const now = record('ipipou0');
    claim.write(now);
    const file = path.join(path.dirname(claim.controlPath), 'run.json');
    const { inner, outer, peers } = now.config;
    const { ips, ...restOfInner } = inner;
    const { localIps, family, ...restOfOuter } = outer;
    const former = {
      ...now,
      config: {
        ...now.config,
        inner: { ...restOfInner, ip: ips[0] },
        outer: { ...restOfOuter, localIp: localIps[0] },
        peers: peers.map(({ innerIps, ...peer }) => ({ ...peer, innerIp: innerIps[0] })),
      },
    };
    expect(family).toBe('auto');
    writeFileSync(file, JSON.stringify(former));
    expect(store.find('ipipou0')?.record.config).toEqual(JSON.parse(JSON.stringify(now.config)));
    claim.release('remove');
  });

  test('a record that is not ours, or half of one, is no record', () => {
    const store = createRunStore(folder);
    const claim = store.claim('ipipou0');
    claim.write(record('ipipou0'));
    const file = path.join(path.dirname(claim.controlPath), 'run.json');
    for (const text of [
      '',
      '{',
      'null',
      '[]',
      '{"process":{"pid":1}}',
      '{"process":null,"config":{},"plane":"tun"}',
    ]) {
      writeFileSync(file, text);
      expect(store.find('ipipou0'), text).toBeUndefined();
    }
    claim.release('remove');
  });
});

describe('processes', () => {
  test('live until they end, and a reused number is another process', async () => {
    const child = spawn('cat', { stdio: ['pipe', 'ignore', 'ignore'] });
    await once(child, 'spawn');
    const own = ownProcess();
    expect(processState(own)).toMatch(/^[RSD]$/);
    expect(processState({ pid: child.pid ?? 0, startTime: own.startTime })).toBeUndefined();
    const stat = readFileSync(`/proc/${child.pid}/stat`, 'utf8');
    const id = { pid: child.pid ?? 0, startTime: stat.split(') ')[1]?.split(' ')[19] ?? '' };
    expect(processState(id)).toMatch(/^[RSD]$/);
    child.kill('SIGSTOP');
    await vi.waitFor(() => expect(processState(id)).toBe('T'));
    child.kill('SIGCONT');
    child.stdin.end();
    await once(child, 'close');
    expect(processState(id)).toBeUndefined();
  });
});
