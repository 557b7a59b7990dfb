import { spawn } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import fc from 'fast-check';
import {
  createMemoryStore,
  memoryName,
  parseMemory,
} from '../../../src/adapters/system/memory-store.ts';
import { ownProcess, processState } from '../../../src/adapters/system/process-id.ts';
import { createRunStore } from '../../../src/adapters/system/run-store.ts';
import { parseArguments } from '../../../src/core/config/parse-argv.ts';
import { resolveConfig } from '../../../src/core/config/resolve.ts';
import type { PeerConfig, PeerId, TunnelConfig } from '../../../src/core/config/tunnel-config.ts';
import type { SessionMemory } from '../../../src/core/session/types.ts';
import { millis, seconds } from '../../../src/core/units.ts';
import type { RunRecord } from '../../../src/ports/run-store.ts';
import { pathTo } from '../app/fakes.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'ipipou-stores-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function config(...options: string[]): TunnelConfig {
  const commandLine = parseArguments(['--server', ...options]);
  const resolved = resolveConfig({ commandLine, files: [] });
  if (!('config' in resolved)) throw new Error(resolved.action);
  return resolved.config;
}

function only({ peers }: TunnelConfig): PeerConfig {
  const [peer] = peers;
  if (!peer) throw new Error('no peer');
  return peer;
}

const KEYS = [
  'eQYNhD/Xwl6Zaq+z3QXDzNI77x8CEKqY1n5kt9bKeEI=',
  'RuBZkT23na2Q4QH1xfmZCfRgSgPt5s362UPAFbecTso=',
].map((key) => ['--auth-remote-pubkey-b64', key, '--auth-secret', 'x'] as const);
const NOW = millis(1_700_000_000_500);

const MEMORY: SessionMemory = {
  remote: { path: pathTo(1), authenticatedAt: millis(5), lastHeardAt: millis(6) },
  replay: { newest: seconds(7), seen: ['abc'] },
  peer: 'mark',
};

describe('session memory', () => {
  test('comes back as it was saved, for this peer only, readable by nobody else', () => {
    const store = createMemoryStore(path.join(folder, 'state'));
    const [one, other] = KEYS.map((key) => config(...key));
    if (!one || !other) throw new Error('two configs');
    expect(store.load(one, only(one), NOW)).toEqual({ memory: undefined, damage: undefined });
    store.save(one, only(one), MEMORY, true);
    expect(store.load(one, only(one), NOW)).toEqual({ memory: MEMORY, damage: undefined });
    expect(store.load(other, only(other), NOW).memory).toBeUndefined();
    expect(statSync(path.join(folder, 'state')).mode & 0o777).toBe(0o700);
    const [file = ''] = readdirSync(path.join(folder, 'state'));
    expect(statSync(path.join(folder, 'state', file)).mode & 0o777).toBe(0o600);
    expect(file).not.toContain('eQYN');
  });

  test('with nothing in it comes back with nothing in it', () => {
    const store = createMemoryStore(folder);
    store.save(config(), only(config()), { remote: undefined, replay: undefined }, false);
    expect(store.load(config(), only(config()), NOW)).toEqual({
      memory: { remote: undefined, replay: undefined, peer: undefined },
      damage: undefined,
    });
  });

  test('device and role have memories of their own', () => {
    const server = config('--number', '3');
    expect(memoryName(server, only(server))).toBe('ipipou3-server-none');
    expect(memoryName({ ...server, role: 'client' }, only(server))).toBe('ipipou3-client-none');
  });

  test('of named peers lies in a folder for their tunnel, a file for each name and key', () => {
    const store = createMemoryStore(folder);
    const [key, otherKey] = KEYS.map((options) => only(config(...options)));
    if (!key || !otherKey) throw new Error('two configs');
    const named = (name: string, peer = key): PeerConfig => ({ ...peer, id: name as PeerId });
    const tunnel = { ...config(), peers: [named('a'), named('b')] };
    store.prepare(tunnel);
    store.save(tunnel, named('a'), MEMORY, true);
    store.save(tunnel, named('b'), { ...MEMORY, remote: undefined }, false);
    expect(store.load(tunnel, named('a'), NOW).memory).toEqual(MEMORY);
    expect(store.load(tunnel, named('b'), NOW).memory?.remote).toBeUndefined();
    expect(store.load(tunnel, named('a', otherKey), NOW).memory).toBeUndefined();
    expect(store.load(tunnel, named('c'), NOW).memory).toBeUndefined();
    expect(readdirSync(folder)).toEqual(['ipipou0-server.peers']);
  });

  test('of peers that are gone stays, a bounded number of them', () => {
    const store = createMemoryStore(folder, 20);
    const tunnel = { ...config(), peers: [{ ...only(config()), id: 'stays' as PeerId }] };
    const [stays] = tunnel.peers;
    if (!stays) throw new Error('no peer');
    store.prepare(tunnel);
    store.save(tunnel, stays, MEMORY, true);
    const inside = path.join(folder, 'ipipou0-server.peers');
    const long = new Date(0);
    utimesSync(path.join(inside, 'stays-none.json'), long, long);
    for (let n = 0; n < 22; n++) {
      writeFileSync(path.join(inside, `gone${n}-none.json`), '');
    }
    for (const n of [5, 7]) utimesSync(path.join(inside, `gone${n}-none.json`), long, long);
    store.prepare(tunnel);
    const left = readdirSync(inside).filter((name) => name.endsWith('.json'));
    expect(left).toHaveLength(21);
    expect(left).toContain('stays-none.json');
    expect(left).not.toContain('gone5-none.json');
    expect(left).not.toContain('gone7-none.json');
  });

  const damages: readonly (readonly [string, (file: string) => void])[] = [
    ['truncated', (file) => writeFileSync(file, readFileSync(file, 'utf8').slice(0, 40))],
    ['empty', (file) => writeFileSync(file, '')],
    ['of another version', (file) => writeFileSync(file, '{"version":2}')],
    ['of the wrong types', (file) => writeFileSync(file, '{"version":1,"replay":{"newest":"x"}}')],
    ['too large', (file) => writeFileSync(file, Buffer.alloc(2 * 1024 * 1024, 32))],
    ['writable by others', (file) => chmodSync(file, 0o666)],
    [
      'a link to elsewhere',
      (file) => {
        writeFileSync(`${file}.real`, readFileSync(file));
        rmSync(file);
        symlinkSync(`${file}.real`, file);
      },
    ],
  ];
  test.each(damages)(
    'that is %s is set aside; nothing signed before now is accepted',
    (_, harm) => {
      const store = createMemoryStore(folder);
      store.save(config(), only(config()), MEMORY, true);
      const file = path.join(folder, `${memoryName(config(), only(config()))}.json`);
      harm(file);
      const { memory, damage } = store.load(config(), only(config()), NOW);
      expect(memory).toEqual({
        remote: undefined,
        replay: { newest: seconds(1_700_000_000), seen: [] },
      });
      expect(damage).toContain(`${file}.damaged`);
      expect(existsSync(`${file}.damaged`)).toBe(true);
      expect(store.load(config(), only(config()), NOW).memory, 'until it is replaced').toEqual(
        memory,
      );
      store.save(config(), only(config()), MEMORY, true);
      expect(store.load(config(), only(config()), NOW)).toEqual({
        memory: MEMORY,
        damage: undefined,
      });
    },
  );

  test('no JSON value makes the parser throw, and only what it would write is taken', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const memory = parseMemory(value);
        if (memory) expect(value).toMatchObject({ version: 1 });
      }),
    );
  });
});

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
