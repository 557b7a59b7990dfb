import { mkdir, open, rename, rm, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { mergeReplay } from '../../core/auth/replay.ts';
import { replayKey } from '../../core/auth/schemes.ts';
import type { SessionMemory } from '../../core/session/types.ts';
import type { Seconds } from '../../core/units.ts';
import type { PeerConfig } from '../../core/config/tunnel-config.ts';
import type { MemoryJournal } from '../../ports/run-store.ts';
import { fileError, isErrno } from './files.ts';
import { tryLock } from './lock.ts';
import { memoryKey } from './memory-key.ts';
import { formatHead, formatRecord, RECORD_SPACE } from './memory-record.ts';

/** Bytes that are appended, at the least, before the journal is written anew. */
export const GROWTH_MIN = 1024 * 1024;

/** The journal is written anew when it has grown to so many times what it was. */
const GROWTH_FACTOR = 4;

/** Bytes of a journal that a start reads; a longer one counts as damaged. */
export const JOURNAL_MAX = 256 * 1024 * 1024;

/** Records that are put into words in one go: about a millisecond. */
const SLICE = 256;

/** Memory of peers that the tunnel no longer has: so many are kept, those with the newest packets. */
export const FORMER_PEERS_MAX = 4096;

export type JournalFile = {
  readonly path: string;
  /** Whether it was there: else `new`, or why it is not to be trusted. */
  readonly found: string;
  /** Open and locked; a lock moves with the journal to every new file. */
  handle: FileHandle;
};

/** Reads what is remembered beside a journal, by keys. */
export type Elsewhere = () => Iterable<ReadonlyMap<string, SessionMemory>>;

export type JournalContent = {
  readonly records: Map<string, SessionMemory>;
  readonly floor: Seconds;
  /** Keys of peers that the tunnel no longer has. */
  readonly former: Set<string>;
};

/** Brings what was written to the disk; another one only where a slow disk is made up. */
export type Sync = (handle: FileHandle) => Promise<void>;

export const datasync: Sync = (handle) => handle.datasync();

/**
 * Memory of a tunnel's peers: in a file that is appended to, and written anew when it has grown. What
 * is noted while a write goes on is written by the next one as a whole, so that all who wait share one
 * sync, and nothing of it happens on the event loop. After a failure nobody knows what the file holds,
 * so the next write begins a new one; so it does when somebody has deleted the file.
 */
export class Journal implements MemoryJournal {
  readonly damage: readonly string[];
  readonly #file: JournalFile;
  readonly #records: Map<string, SessionMemory>;
  readonly #former: Set<string>;
  readonly #floor: Seconds;
  readonly #elsewhere: Elsewhere;
  readonly #sync: Sync;
  readonly #dirty = new Set<string>();
  /** Bytes of the file when it was written anew, and since. */
  #base = 0;
  #grown = 0;
  #begun = false;
  #running: Promise<void> = Promise.resolve();
  #next: Promise<void> | undefined;

  constructor(
    file: JournalFile,
    { records, floor, former }: JournalContent,
    damage: readonly string[],
    { elsewhere, sync }: { readonly elsewhere: Elsewhere; readonly sync: Sync },
  ) {
    this.#file = file;
    this.#records = records;
    this.#former = former;
    this.#floor = floor;
    this.damage = damage;
    this.#elsewhere = elsewhere;
    this.#sync = sync;
  }

  load(peer: PeerConfig): SessionMemory | undefined {
    const key = memoryKey(peer);
    const memory = this.#records.get(key);
    this.#former.delete(key);
    const newest = memory?.replay?.newest ?? 0;
    if (newest >= this.#floor) return memory;
    const replay = mergeReplay(memory?.replay, { newest: this.#floor, seen: [] });
    return { ...memory, remote: memory?.remote, replay };
  }

  learn(peers: readonly PeerConfig[]): void {
    const keys = peers.filter(({ proof }) => replayKey(proof)).map(memoryKey);
    if (keys.length === 0) return;
    for (const found of this.#elsewhere()) {
      for (const key of keys) {
        const told = found.get(key);
        if (told === undefined || !protects(told)) continue;
        const own = this.#records.get(key) ?? { ...told, remote: undefined };
        this.#put(key, { ...own, replay: mergeReplay(own.replay, told.replay) });
      }
    }
  }

  note(peer: PeerConfig, memory: SessionMemory): void {
    const key = memoryKey(peer);
    this.#former.delete(key);
    this.#put(key, memory);
  }

  forget(peer: PeerConfig): void {
    const key = memoryKey(peer);
    const memory = this.#records.get(key);
    if (memory === undefined) return;
    this.#former.add(key);
    this.#put(key, { ...memory, remote: undefined });
  }

  #put(key: string, memory: SessionMemory): void {
    this.#records.set(key, memory);
    this.#dirty.add(key);
  }

  /** Writes the journal anew, with room for `peers`: rejects when there is none. */
  async begin(peers: number): Promise<void> {
    const missing = Math.max(0, peers - this.#records.size);
    await this.#rewrite(GROWTH_MIN / 16 + missing * RECORD_SPACE);
  }

  flush(): Promise<void> {
    this.#next ??= this.#running.then(() => {
      this.#next = undefined;
      const commit = this.#commit();
      this.#running = commit.catch(() => undefined);
      return commit;
    });
    return this.#next;
  }

  async close(): Promise<void> {
    await this.#running;
    await this.#file.handle.close();
  }

  async #commit(): Promise<void> {
    const keys = [...this.#dirty];
    this.#dirty.clear();
    if (keys.length === 0 && this.#begun) return;
    try {
      const there = this.#begun && (await this.#file.handle.stat()).nlink > 0;
      if (there && this.#grown < growthOf(this.#base)) await this.#append(keys);
      else await this.#rewrite(0);
    } catch (error) {
      for (const key of keys) this.#dirty.add(key);
      this.#begun = false;
      throw fileError(error, `cannot write ${this.#file.path}`);
    }
  }

  async #append(keys: readonly string[]): Promise<void> {
    const { handle } = this.#file;
    for (const text of this.#texts(keys)) {
      await handle.writeFile(text);
      this.#grown += Buffer.byteLength(text);
    }
    await this.#sync(handle);
  }

  /** Beside the file, which it replaces when it is on the disk; `reserve`: bytes more that must fit. */
  async #rewrite(reserve: number): Promise<void> {
    const { path, handle: old } = this.#file;
    const temporary = `${path}.new`;
    this.#dropFormer();
    await mkdir(dirname(path), { mode: 0o700 }).catch(unlessThere);
    await rm(temporary, { force: true });
    const handle = await open(temporary, 'ax', 0o600);
    let size = 0;
    try {
      tryLock(handle.fd);
      for (const text of this.#whole()) {
        await handle.writeFile(text);
        size += Buffer.byteLength(text);
      }
      await probe(handle, size, reserve);
      await this.#sync(handle);
      await rename(temporary, path);
    } catch (error) {
      await handle.close();
      await rm(temporary, { force: true }).catch(() => undefined);
      throw error;
    }
    this.#file.handle = handle;
    await old.close();
    await syncFolder(dirname(path));
    this.#base = size;
    this.#grown = 0;
    this.#begun = true;
  }

  *#whole(): Generator<string> {
    yield formatHead(this.#floor);
    yield* this.#texts(this.#records.keys());
  }

  /** Records of keys, some at a time. */
  *#texts(keys: Iterable<string>): Generator<string> {
    let text = '';
    let count = 0;
    for (const key of keys) {
      const memory = this.#records.get(key);
      if (memory === undefined) continue;
      text += formatRecord(key, memory);
      if (++count % SLICE > 0) continue;
      yield text;
      text = '';
    }
    if (text !== '') yield text;
  }

  /** Of peers that are gone what protects is kept, of a bounded number. */
  #dropFormer(): void {
    const newest = (key: string): number => newestOf(this.#records.get(key)?.replay);
    const sorted = [...this.#former].toSorted((a, b) => newest(b) - newest(a));
    for (const [index, key] of sorted.entries()) {
      const memory = this.#records.get(key);
      if (index < FORMER_PEERS_MAX && memory !== undefined && protects(memory)) continue;
      this.#former.delete(key);
      this.#records.delete(key);
    }
  }
}

/** Whether anything of it protects: from replays, or from session 1 for who has spoken session 2. */
function protects({ replay, secured }: SessionMemory): boolean {
  return secured === true || newestOf(replay) > 0;
}

function newestOf(replay: SessionMemory['replay']): number {
  return Math.max(replay?.newest ?? 0, replay?.ahead?.newest ?? 0);
}

/**
 * Bytes that may be appended to a journal of `base` bytes before it is written anew; the last append, of
 * every peer at most, comes on top.
 */
export function growthOf(base: number): number {
  return Math.max(GROWTH_MIN, Math.min(GROWTH_FACTOR * base, JOURNAL_MAX - 3 * base));
}

/** Sees that `bytes` more fit into a file of a size, by putting them there and taking them away again. */
async function probe(handle: FileHandle, size: number, bytes: number): Promise<void> {
  if (bytes === 0) return;
  const zeros = new Uint8Array(64 * 1024);
  for (let left = bytes; left > 0; left -= zeros.length) {
    await handle.writeFile(zeros.subarray(0, left));
  }
  await handle.datasync();
  await handle.truncate(size);
}

function unlessThere(error: unknown): void {
  if (!isErrno(error, 'EEXIST')) throw error;
}

async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** No packet that was signed before a time is accepted, and nobody is remembered. */
export function distrust(records: Map<string, SessionMemory>, now: Seconds): void {
  for (const [key, memory] of records) {
    const replay = mergeReplay(memory.replay, { newest: now, seen: [] });
    records.set(key, { ...memory, remote: undefined, replay });
  }
}
