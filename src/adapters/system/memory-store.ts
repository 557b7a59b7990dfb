import { existsSync, linkSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { mergeReplay } from '../../core/auth/replay.ts';
import type { TunnelConfig } from '../../core/config/tunnel-config.ts';
import { IpipouError } from '../../core/errors.ts';
import type { SessionMemory } from '../../core/session/types.ts';
import { seconds, type Seconds } from '../../core/units.ts';
import type { MemoryStore } from '../../ports/run-store.ts';
import {
  fileError,
  isSameFile,
  makePrivateFolder,
  NO_FILE,
  readFileIfAny,
  whyForeign,
} from './files.ts';
import { tryLock } from './lock.ts';
import { readFormer } from './memory-former.ts';
import {
  datasync,
  distrust,
  Journal,
  JOURNAL_MAX,
  type JournalFile,
  type Sync,
} from './memory-journal.ts';
import { memoryKey } from './memory-key.ts';
import { parseJournal, type JournalText } from './memory-record.ts';

/*
 * Memory below `base` (/var/lib/ipipou): a journal a tunnel, named by its device and role, with a
 * record a peer, found by the peer's public key (memory-key.ts). A start reads all journals of the
 * folder: replays are told by the newest packet that any of them has seen of a key, so that neither a
 * device nor a peer loses that with its name; a peer that comes later is looked up there then. Who was admitted is told by a tunnel's own journal only.
 * A daemon locks its journal; where two of one name share the folder (network namespaces), the second
 * has one with a number.
 */

const NAMESAKES_MAX = 1000;

export function createMemoryStore(base: string, sync: Sync = datasync): MemoryStore {
  return {
    async open(config, { now, remotes }) {
      try {
        makePrivateFolder(base);
        const file = await lockJournal(base, tunnelName(config));
        const options = { now: seconds(Math.floor(now / 1000)), remotes, sync };
        return await openJournal(base, file, config, options).catch(async (error: unknown) => {
          await file.handle.close();
          throw error;
        });
      } catch (error) {
        throw fileError(error, `cannot write the session memory in ${base}`);
      }
    },
  };
}

type Options = { readonly now: Seconds; readonly remotes: boolean; readonly sync: Sync };

async function openJournal(
  base: string,
  file: JournalFile,
  config: TunnelConfig,
  { now, remotes, sync }: Options,
): Promise<Journal> {
  const damage: string[] = [];
  const { records, floor: ownFloor } = ownMemory(file, now, damage);
  const former = readFormer(base, tunnelName(config), config.peers, now);
  damage.push(...former.damage);
  for (const [key, memory] of former.records) records.set(key, merge(records.get(key), memory));
  const others = otherJournals(base, file.path);
  // One from a clock that was ahead must not lock out the peers of all.
  const floor = seconds(Math.max(ownFloor, ...others.map((other) => Math.min(other.floor, now))));
  const elsewhere = [former.elsewhere, ...others.map(recordsOf)];
  const known = records.size > 0 || elsewhere.some((found) => found.size > 0);
  const current = new Set(known ? config.peers.map(memoryKey) : []);
  for (const found of elsewhere) {
    for (const [key, memory] of found) {
      const about = records.get(key) ?? { ...memory, remote: undefined };
      if (current.has(key))
        records.set(key, { ...about, replay: mergeReplay(about.replay, memory.replay) });
    }
  }
  for (const [key, memory] of records) {
    const counts = remotes && current.has(key);
    if (memory.remote && !counts) records.set(key, { ...memory, remote: undefined });
  }
  const gone = new Set([...records.keys()].filter((key) => !current.has(key)));
  const ports = {
    elsewhere: () => (existsSync(base) ? otherJournals(base, file.path).map(recordsOf) : []),
    sync,
  };
  const journal = new Journal(file, { records, floor, former: gone }, damage, ports);
  await journal.begin(config.peers.length);
  await former.discard();
  return journal;
}

/** What a tunnel's own journal says; all who know of damage distrust it. */
function ownMemory(
  { path, found }: JournalFile,
  now: Seconds,
  damage: string[],
): { readonly records: Map<string, SessionMemory>; readonly floor: Seconds } {
  if (found === 'new') return { records: new Map(), floor: seconds(0) };
  let text: JournalText = { records: new Map(), floor: now, damage: found };
  try {
    if (found === 'ours') text = parseJournal(readFileIfAny(path, JOURNAL_MAX) ?? '');
  } catch (error) {
    text = { ...text, damage: error instanceof Error ? error.message : String(error) };
  }
  const records = new Map(text.records);
  if (text.damage === undefined) return { records, floor: text.floor };
  distrust(records, now);
  damage.push(`${path}: ${text.damage}${setAside(path)}`);
  return { records, floor: now };
}

/** The file itself stays until it is replaced: a crash in between must not lose the refusal. */
function setAside(path: string): string {
  try {
    rmSync(`${path}.damaged`, { force: true });
    linkSync(path, `${path}.damaged`);
    return `; kept as ${path}.damaged`;
  } catch {
    return '';
  }
}

type Known = Pick<JournalText, 'records' | 'floor'>;

const recordsOf = ({ records }: Known): Known['records'] => records;

/** Journals of other tunnels, which may be being written; what is wrong with them is theirs to tell. */
function otherJournals(base: string, own: string): readonly Known[] {
  const paths = readdirSync(base)
    .filter((name) => name.endsWith('.journal'))
    .map((name) => join(base, name))
    .filter((path) => path !== own && whyForeign(path) === undefined);
  return paths.map((path) => {
    try {
      return parseJournal(readFileIfAny(path, JOURNAL_MAX) ?? '');
    } catch {
      return { records: new Map<string, SessionMemory>(), floor: seconds(0) };
    }
  });
}

/** The journal of a name, or of the name and a number, that no living daemon has. */
async function lockJournal(base: string, name: string): Promise<JournalFile> {
  for (let number = 1; number < NAMESAKES_MAX; number++) {
    const path = join(base, number === 1 ? `${name}.journal` : `${name}.${number}.journal`);
    for (;;) {
      const foreign = whyForeign(path);
      // What is no file is moved away as it is: opening it might end up elsewhere.
      if (foreign === NO_FILE) renameSync(path, `${path}.damaged`);
      const found = existsSync(path) ? (foreign ?? 'ours') : (foreign ?? 'new');
      const handle = await open(path, 'a', 0o600);
      if (!tryLock(handle.fd)) {
        await handle.close();
        break;
      }
      if (isSameFile(handle.fd, path)) return { path, found, handle };
      await handle.close();
    }
  }
  throw new IpipouError('generic', `too many tunnels ${name} share ${base}`);
}

/** Of the same peer, by two journals. */
function merge(one: SessionMemory | undefined, other: SessionMemory): SessionMemory {
  if (one === undefined) return other;
  return { ...one, replay: mergeReplay(one.replay, other.replay) };
}

/** DEVICE-ROLE. */
function tunnelName({ inner, role }: TunnelConfig): string {
  return `${inner.device.replaceAll('/', '_')}-${role}`;
}
