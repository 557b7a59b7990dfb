import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setImmediate } from 'node:timers/promises';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { digestOfKey } from '../../../src/adapters/system/memory-key.ts';
import {
  FORMER_PEERS_MAX,
  GROWTH_MIN,
  growthOf,
  JOURNAL_MAX,
} from '../../../src/adapters/system/memory-journal.ts';
import {
  formatHead,
  formatRecord,
  parseJournal,
} from '../../../src/adapters/system/memory-record.ts';
import { createMemoryStore } from '../../../src/adapters/system/memory-store.ts';
import { decodePublicKey } from '../../../src/core/public-key.ts';
import { parseArguments } from '../../../src/core/config/parse-argv.ts';
import { resolveConfig } from '../../../src/core/config/resolve.ts';
import type { PeerConfig, PeerId, TunnelConfig } from '../../../src/core/config/tunnel-config.ts';
import type { SessionMemory } from '../../../src/core/session/types.ts';
import { millis, seconds } from '../../../src/core/units.ts';
import type { MemoryJournal } from '../../../src/ports/run-store.ts';
import { pathTo, peerConfig } from '../app/fakes.ts';

/** Calls of node:fs that hold the event loop. */
const held = vi.hoisted((): string[] => []);
vi.mock('node:fs', async (original) => {
  const real = await original<Record<string, unknown>>();
  const counted = Object.entries(real).map(([name, value]) => {
    if (!name.endsWith('Sync') || typeof value !== 'function') return [name, value];
    const call = (...args: unknown[]): unknown => {
      held.push(name);
      return Reflect.apply(value, undefined, args);
    };
    return [name, call];
  });
  return Object.fromEntries(counted) as typeof real;
});

let base: string;
const open: MemoryJournal[] = [];
beforeEach(() => {
  base = mkdtempSync(path.join(tmpdir(), 'ipipou-memory-'));
});
afterEach(async () => {
  for (const journal of open.splice(0)) await journal.close();
  rmSync(base, { recursive: true });
});

const NOW = millis(1_700_000_000_500);
const NOW_SECONDS = seconds(1_700_000_000);

/** A public key that begins with a number. */
function key(number: number): Extract<PeerConfig['proof'], { kind: 'ed25519' }> {
  const bytes = new Uint8Array(32);
  new DataView(bytes.buffer).setUint32(0, number);
  return {
    kind: 'ed25519',
    privateSeed: undefined,
    peerPublicKey: decodePublicKey(bytes),
    secret: new Uint8Array(),
    maxTimeDiscrepancy: seconds(300),
  };
}

function keyed(name: string, number: number): PeerConfig {
  return { ...peerConfig(name as PeerId), proof: key(number) };
}

function tunnel(device: string, ...peers: readonly PeerConfig[]): TunnelConfig {
  const resolved = resolveConfig({
    commandLine: parseArguments(['--server', '--auth', 'none']),
    files: [],
  });
  if (!('config' in resolved)) throw new Error(resolved.action);
  const { config } = resolved;
  return { ...config, inner: { ...config.inner, device }, peers };
}

function memory(newest: number, last = 1): SessionMemory {
  return {
    remote: { path: pathTo(last), authenticatedAt: millis(5), lastHeardAt: millis(6) },
    replay: { newest: seconds(newest), seen: ['abc'] },
    peer: 'mark',
  };
}

async function start(config: TunnelConfig, remotes = true): Promise<MemoryJournal> {
  const journal = await createMemoryStore(base).open(config, { now: NOW, remotes });
  open.push(journal);
  return journal;
}

/** What a daemon that dies leaves: its lock goes, nothing more is written. */
async function die(journal: MemoryJournal): Promise<void> {
  await journal.close();
  open.splice(open.indexOf(journal), 1);
}

const journalPath = (device = 'ipipou0'): string => path.join(base, `${device}-server.journal`);

describe('memory', () => {
  test('comes back as it was saved, readable by nobody else', async () => {
    const a = keyed('a', 1);
    const first = await start(tunnel('ipipou0', a));
    expect(first.load(a)).toBeUndefined();
    first.note(a, memory(7));
    await first.flush();
    await die(first);
    expect((await start(tunnel('ipipou0', a))).load(a)).toEqual(memory(7));
    expect(statSync(journalPath()).mode & 0o777).toBe(0o600);
    expect(readdirSync(base)).toEqual(['ipipou0-server.journal']);
  });

  test('of a key is found by another name of the peer and of the device', async () => {
    const first = await start(tunnel('ipipou0', keyed('a', 1)));
    first.note(keyed('a', 1), memory(7));
    await first.flush();
    await die(first);
    const renamed = await start(tunnel('ipipou0', keyed('b', 1)));
    expect(renamed.load(keyed('b', 1))).toEqual(memory(7));
    await die(renamed);
    const moved = await start(tunnel('office', keyed('b', 1)));
    expect(moved.load(keyed('b', 1))).toEqual({ ...memory(7), remote: undefined });
  });

  test('of a key is that of the tunnel which has seen the newest packet', async () => {
    const a = keyed('a', 1);
    for (const [device, newest] of [
      ['one', 9],
      ['two', 7],
    ] as const) {
      const journal = await start(tunnel(device, a));
      journal.note(a, memory(newest));
      await journal.flush();
      await die(journal);
    }
    expect((await start(tunnel('two', a))).load(a)?.replay?.newest).toBe(9);
  });

  test('of another key, and without one of another name or address, is not found', async () => {
    const byIp = (host: string): PeerConfig => ({
      ...peerConfig(),
      auth: { ...peerConfig().auth, byRemoteIp: true },
      remoteHost: host,
    });
    const all = [keyed('a', 1), byIp('192.0.2.7')];
    const first = await start(tunnel('ipipou0', ...all));
    for (const peer of all) first.note(peer, memory(7));
    await first.flush();
    await die(first);
    const next = await start(tunnel('ipipou0', keyed('a', 2), byIp('192.0.2.8')));
    expect(next.load(keyed('a', 2))).toBeUndefined();
    expect(next.load(byIp('192.0.2.8'))).toBeUndefined();
  });

  test('of a remote counts once: not in the run after one that did not count it', async () => {
    const a = keyed('a', 1);
    const first = await start(tunnel('ipipou0', a));
    first.note(a, memory(7));
    await first.flush();
    await die(first);
    await die(await start(tunnel('ipipou0', a), false));
    const third = await start(tunnel('ipipou0', a));
    expect(third.load(a)).toEqual({ ...memory(7), remote: undefined });
  });

  test('of a peer that is gone protects from replays, and admits nobody', async () => {
    const a = keyed('a', 1);
    const journal = await start(tunnel('ipipou0', a));
    journal.note(a, memory(7));
    journal.forget(a);
    await journal.flush();
    await die(journal);
    await die(await start(tunnel('ipipou0')));
    const later = await start(tunnel('ipipou0', a));
    expect(later.load(a)).toEqual({ ...memory(7), remote: undefined });
  });

  test('of peers that are gone is kept of a bounded number of them, the newest', async () => {
    const many = Array.from({ length: FORMER_PEERS_MAX + 10 }, (_unused, n) =>
      formatRecord(`ed25519 ${n}`, memory(n + 1)),
    );
    writeFileSync(journalPath(), formatHead(seconds(0)) + many.join(''), { mode: 0o600 });
    await start(tunnel('ipipou0'));
    const { records } = parseJournal(readFileSync(journalPath(), 'utf8'));
    expect(records.size).toBe(FORMER_PEERS_MAX);
    expect(records.has('ed25519 9')).toBe(false);
    expect(records.has('ed25519 10')).toBe(true);
  });

  test('of a peer that is gone is kept also where only its clock far ahead was seen', async () => {
    const a = keyed('a', 1);
    const end = { newest: seconds(4_000_000_000), seen: ['abc'] };
    const ahead = { ...end, oldest: end.newest };
    const journal = await start(tunnel('ipipou0', a));
    journal.note(a, { ...memory(0), replay: { newest: seconds(0), seen: [], ahead } });
    journal.forget(a);
    await journal.flush();
    await die(journal);
    await die(await start(tunnel('ipipou0')));
    expect((await start(tunnel('ipipou0', a))).load(a)?.replay?.ahead).toEqual(ahead);
  });

  test('of a peer that is gone is kept also where it has spoken session 2 and nothing else', async () => {
    const a = keyed('a', 1);
    const secured = { ...memory(0), remote: undefined, replay: undefined, secured: true };
    const journal = await start(tunnel('ipipou0', a));
    journal.note(a, secured);
    journal.forget(a);
    await journal.flush();
    await die(journal);
    await die(await start(tunnel('ipipou0')));
    const other = await start(tunnel('other'));
    other.learn([a]);
    expect(other.load(a)).toMatchObject({ secured: true });
    expect((await start(tunnel('ipipou0', a))).load(a)).toEqual(secured);
  });

  test('of a peer that comes while the tunnel runs is what any tunnel has seen of its key by then', async () => {
    const a = keyed('a', 1);
    const here = await start(tunnel('here', keyed('b', 2)));
    const there = await start(tunnel('there', a));
    there.note(a, memory(9));
    await there.flush();
    const moved = keyed('moved', 1);
    here.learn([moved, peerConfig()]);
    expect(here.load(moved)).toEqual({ ...memory(9), remote: undefined });
    await here.flush();
    await die(here);
    await die(there);
    rmSync(journalPath('there'));
    const later = await start(tunnel('here', moved));
    expect(later.load(moved)?.replay).toEqual(memory(9).replay);
  });

  test('of two daemons of one name is in two journals', async () => {
    const a = keyed('a', 1);
    const first = await start(tunnel('ipipou0', a));
    const second = await start(tunnel('ipipou0', a));
    first.note(a, memory(7));
    second.note(a, memory(9));
    await Promise.all([first.flush(), second.flush()]);
    expect(readdirSync(base)).toEqual(['ipipou0-server.2.journal', 'ipipou0-server.journal']);
    await die(first);
    expect((await start(tunnel('ipipou0', a))).load(a)?.replay?.newest).toBe(9);
  });
});

describe('a journal', () => {
  test('writes what many wait for with one sync, and holds the event loop for none of it', async () => {
    let syncs = 0;
    const sync = async (handle: FileHandle): Promise<void> => {
      syncs += 1;
      await handle.datasync();
    };
    const peers = Array.from({ length: 1000 }, (_unused, n) => keyed(`p${n}`, n + 1));
    const config = tunnel('ipipou0', ...peers);
    const journal = await createMemoryStore(base, sync).open(config, { now: NOW, remotes: true });
    open.push(journal);
    syncs = 0;
    held.length = 0;
    await Promise.all(
      peers.map(async (peer, n) => {
        journal.note(peer, memory(n + 1));
        await journal.flush();
      }),
    );
    expect(held).toEqual([]);
    expect(syncs).toBeLessThanOrEqual(2);
    await die(journal);
    const next = await start(config);
    expect(peers.every((peer, n) => next.load(peer)?.replay?.newest === n + 1)).toBe(true);
  });

  test('has nothing resolve before it is on the disk', async () => {
    let release = (): void => undefined;
    let gate = Promise.resolve();
    const config = tunnel('ipipou0', keyed('a', 1));
    const store = createMemoryStore(base, () => gate);
    const journal = await store.open(config, { now: NOW, remotes: true });
    open.push(journal);
    gate = new Promise((resolve) => {
      release = resolve;
    });
    const done: string[] = [];
    const save = async (newest: number): Promise<void> => {
      journal.note(keyed('a', 1), memory(newest));
      await journal.flush();
      done.push(`${newest}`);
    };
    const first = save(1);
    await setImmediate();
    const second = save(2);
    for (let turn = 0; turn < 20; turn++) await setImmediate();
    expect(done).toEqual([]);
    release();
    await Promise.all([first, second]);
    expect(done).toEqual(['1', '2']);
  });

  test('stays bounded', async () => {
    const a = keyed('a', 1);
    const config = tunnel('ipipou0', a);
    const store = createMemoryStore(base, async () => undefined);
    const journal = await store.open(config, { now: NOW, remotes: true });
    open.push(journal);
    const seen = Array.from({ length: 32 }, (_unused, n) => `${n}`.repeat(1000));
    const sizes: number[] = [];
    for (let n = 0; n < 100; n++) {
      journal.note(a, { ...memory(7), replay: { newest: seconds(n), seen } });
      await journal.flush();
      sizes.push(statSync(journalPath()).size);
    }
    expect(Math.max(...sizes)).toBeLessThan(GROWTH_MIN + 100_000);
    expect(Math.max(...sizes)).toBeGreaterThan(GROWTH_MIN / 2);
    await die(journal);
    expect((await start(config)).load(a)?.replay?.newest).toBe(99);
  });

  test('of a great many peers stays one that a start can read', () => {
    for (const megabytes of [0, 0.1, 1, 10, 35, 50, 60, 85]) {
      const base = megabytes * 1024 * 1024;
      // What is there, what was appended, and one more record of everybody, twice as long.
      expect(base + growthOf(base) + 2 * base).toBeLessThanOrEqual(JOURNAL_MAX + GROWTH_MIN);
      expect(growthOf(base)).toBeGreaterThanOrEqual(GROWTH_MIN);
    }
  });

  test('that could not be written is written anew, with all of it', async () => {
    const [a, b] = [keyed('a', 1), keyed('b', 2)];
    let full = false;
    const sync = async (handle: FileHandle): Promise<void> => {
      if (full) throw Object.assign(new Error('ENOSPC: no space left'), { code: 'ENOSPC' });
      await handle.datasync();
    };
    const config = tunnel('ipipou0', a, b);
    const journal = await createMemoryStore(base, sync).open(config, { now: NOW, remotes: true });
    open.push(journal);
    full = true;
    journal.note(a, memory(7));
    await expect(journal.flush()).rejects.toThrow(`cannot write ${journalPath()}: ENOSPC`);
    await expect(journal.flush()).rejects.toMatchObject({ hint: expect.stringContaining('full') });
    full = false;
    journal.note(b, memory(8));
    await journal.flush();
    await die(journal);
    const next = await start(config);
    expect(next.damage).toEqual([]);
    expect([next.load(a), next.load(b)]).toEqual([memory(7), memory(8)]);
  });

  test('that somebody deletes is written anew, with all of it', async () => {
    const [a, b] = [keyed('a', 1), keyed('b', 2)];
    const config = tunnel('ipipou0', a, b);
    const journal = await start(config);
    journal.note(a, memory(7));
    await journal.flush();
    rmSync(base, { recursive: true });
    journal.note(b, memory(8));
    await journal.flush();
    await die(journal);
    const next = await start(config);
    expect([next.load(a), next.load(b)]).toEqual([memory(7), memory(8)]);
  });

  test('with a torn end is what it was before', async () => {
    const a = keyed('a', 1);
    const first = await start(tunnel('ipipou0', a));
    first.note(a, memory(7));
    await first.flush();
    await die(first);
    const whole = readFileSync(journalPath(), 'utf8');
    const torn = whole.split('\n')[1] ?? '';
    for (let length = 1; length < torn.length; length += 7) {
      writeFileSync(journalPath(), whole + torn.slice(0, length).replace('7', '9'));
      const next = await start(tunnel('ipipou0', a));
      expect(next.damage).toEqual([]);
      expect(next.load(a)).toEqual(memory(7));
      await die(next);
    }
  });

  const damages: readonly (readonly [string, (file: string) => void])[] = [
    ['empty', (file) => writeFileSync(file, '')],
    ['of another version', (file) => writeFileSync(file, '{"version":3}\n')],
    [
      'changed in the middle',
      (file) => {
        const [head, record] = readFileSync(file, 'utf8').split('\n');
        writeFileSync(file, `${head}\n${record?.replace('"newest":7', '"newest":1')}\n`);
        appendFileSync(file, formatRecord('ed25519 other', memory(3)));
      },
    ],
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
    async (_, harm) => {
      const [a, b] = [keyed('a', 1), keyed('b', 2)];
      const first = await start(tunnel('ipipou0', a, b));
      first.note(a, memory(7));
      await first.flush();
      await die(first);
      harm(journalPath());
      const next = await start(tunnel('ipipou0', a, b));
      const refusal = { newest: NOW_SECONDS, seen: [] };
      for (const peer of [a, b]) {
        expect(next.load(peer)?.replay).toEqual(refusal);
        expect(next.load(peer)?.remote).toBeUndefined();
      }
      expect(next.damage.join()).toContain(journalPath());
      expect(existsSync(`${journalPath()}.damaged`)).toBe(true);
      await die(next);
      const third = await start(tunnel('ipipou0', a, b));
      expect(third.damage).toEqual([]);
      expect(third.load(b)?.replay).toEqual(refusal);
    },
  );

  test('that was damaged is not trusted under another name of the device either', async () => {
    const [a, b] = [keyed('a', 1), keyed('b', 2)];
    const first = await start(tunnel('ipipou0', a, b));
    await die(first);
    writeFileSync(journalPath(), '');
    await die(await start(tunnel('ipipou0', a, b)));
    const refusal = { newest: NOW_SECONDS, seen: [] };
    expect((await start(tunnel('ipipou7', a, b))).load(b)?.replay).toEqual(refusal);
  });

  test('never throws for what it reads, and takes only what is whole', () => {
    const text =
      formatHead(seconds(0)) + formatRecord('k', memory(7)) + formatRecord('k', memory(8));
    fc.assert(
      fc.property(fc.nat(text.length - 1), fc.nat(255), (at, byte) => {
        const changed = text.slice(0, at) + String.fromCodePoint(byte) + text.slice(at + 1);
        const newest = parseJournal(changed).records.get('k')?.replay?.newest;
        expect([undefined, 7, 8]).toContain(newest);
      }),
    );
    fc.assert(fc.property(fc.string(), (any) => void parseJournal(any)));
  });
});

describe('memory of version 0.2', () => {
  /** A file as that wrote it. */
  function put(name: string, what: SessionMemory | string): void {
    const file = path.join(base, name);
    mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
    const text = typeof what === 'string' ? what : JSON.stringify({ version: 1, ...what });
    writeFileSync(file, text, { mode: 0o600 });
  }
  const whom = (number: number): string => {
    const { peerPublicKey } = key(number);
    if (!peerPublicKey) throw new Error('no key');
    return digestOfKey(peerPublicKey);
  };

  test('is taken over: of every peer, who was admitted with it, and the files go', async () => {
    const token: PeerConfig = {
      ...peerConfig('t' as PeerId),
      proof: { kind: 'token', token: new Uint8Array(4) },
    };
    put(`ipipou0-server-${whom(1)}.json`, memory(7, 1));
    put(`ipipou0-server.peers/b-${whom(2)}.json`, memory(8, 2));
    put('ipipou0-server.peers/t-token.json', { ...memory(0, 3), replay: undefined });
    put('ipipou0-server.peers/.writable', '');
    const sole = keyed('default', 1);
    const config = tunnel('ipipou0', sole, keyed('b', 2), token);
    const journal = await start(config);
    expect(journal.load(sole)).toEqual(memory(7, 1));
    expect(journal.load(keyed('b', 2))).toEqual(memory(8, 2));
    expect(journal.load(token)?.remote).toEqual(memory(0, 3).remote);
    expect(readdirSync(base)).toEqual(['ipipou0-server.journal']);
    await die(journal);
    expect((await start(config)).load(keyed('b', 2))).toEqual(memory(8, 2));
  });

  test('of a former name, peer or device still protects from replays', async () => {
    put(`ipipou0-server.peers/old-${whom(1)}.json`, memory(9));
    put(`ipipou0-server.peers/gone-${whom(3)}.json`, memory(5));
    put(`ipipou7-server-${whom(2)}.json`, memory(8));
    const first = await start(tunnel('ipipou0', keyed('a', 1), keyed('b', 2)));
    expect(first.load(keyed('a', 1))).toEqual({ ...memory(9), remote: undefined });
    expect(first.load(keyed('b', 2))).toEqual({ ...memory(8), remote: undefined });
    await die(first);
    expect(readdirSync(base)).toEqual(['ipipou0-server.journal', `ipipou7-server-${whom(2)}.json`]);
    const next = await start(tunnel('ipipou0', keyed('c', 3)));
    expect(next.load(keyed('c', 3))?.replay).toEqual(memory(5).replay);
  });

  test('that is damaged accepts nothing signed before now, of its peer', async () => {
    put(`ipipou0-server.peers/a-${whom(1)}.json`, '{');
    put(`ipipou0-server.peers/b-${whom(2)}.json`, memory(8));
    const journal = await start(tunnel('ipipou0', keyed('a', 1), keyed('b', 2)));
    expect(journal.load(keyed('a', 1))?.replay).toEqual({ newest: NOW_SECONDS, seen: [] });
    expect(journal.load(keyed('b', 2))).toEqual(memory(8));
    expect(journal.damage).toHaveLength(1);
    expect(existsSync(path.join(base, `ipipou0-server.peers/a-${whom(1)}.json.damaged`))).toBe(
      true,
    );
  });
});

test('a folder that cannot be made is an error that says which and why', async () => {
  const store = createMemoryStore('/proc/ipipou/state');
  const opening = store.open(tunnel('ipipou0'), { now: NOW, remotes: false });
  await expect(opening).rejects.toThrow(/cannot make \/proc\/ipipou\/state: ENOENT/);
});
