import { existsSync, readdirSync, renameSync, rmdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { mergeReplay } from '../../core/auth/replay.ts';
import { DEFAULT_PEER, type PeerConfig } from '../../core/config/tunnel-config.ts';
import type { SessionMemory } from '../../core/session/types.ts';
import type { Seconds } from '../../core/units.ts';
import { readFileIfAny, whyForeign } from './files.ts';
import { keyOf, memoryKey } from './memory-key.ts';
import { parseMemory, parseObject } from './memory-record.ts';

/*
 * Memory as version 0.2 wrote it, a file a peer:
 *
 *     DEVICE-ROLE-WHOM.json, DEVICE-ROLE.peers/NAME-WHOM.json
 *
 * WHOM being the digest of the peer's public key, or the scheme where it has none. The first start of a
 * tunnel takes its own files over into its journal.
 */

const FILE_MAX = 1024 * 1024;
const VERSION = 1;
const DIGEST = /^[0-9a-f]{16}$/;

export type FormerMemory = {
  /** Of this tunnel. */
  readonly records: ReadonlyMap<string, SessionMemory>;
  /** Of others. */
  readonly elsewhere: ReadonlyMap<string, SessionMemory>;
  readonly damage: readonly string[];
  /** Removes the files of this tunnel. */
  discard(): Promise<void>;
};

type File = {
  readonly path: string;
  readonly tunnel: string;
  readonly id: string;
  readonly whom: string;
};

/** `tunnel`: DEVICE-ROLE. What is damaged accepts nothing signed before `now`. */
export function readFormer(
  base: string,
  tunnel: string,
  peers: readonly PeerConfig[],
  now: Seconds,
): FormerMemory {
  const records = new Map<string, SessionMemory>();
  const elsewhere = new Map<string, SessionMemory>();
  const damage: string[] = [];
  const files = formerFiles(base);
  const own = files.filter((file) => file.tunnel === tunnel);
  const byId = new Map(own.length > 0 ? peers.map((peer) => [peer.id as string, peer]) : []);
  for (const file of files) {
    const peer = byId.get(file.id);
    const unkeyed = peer?.proof.kind === file.whom ? memoryKey(peer) : undefined;
    const key = DIGEST.test(file.whom) ? keyOf(file.whom) : unkeyed;
    if (key === undefined) continue;
    const memory = read(file.path);
    if (typeof memory !== 'string') {
      const found = file.tunnel === tunnel ? records : elsewhere;
      const told = peer ? memory : { ...memory, remote: undefined };
      const other = found.get(key);
      const replay = mergeReplay(other?.replay, memory.replay);
      found.set(key, other?.remote ? { ...other, replay } : { ...told, replay });
    } else if (file.tunnel === tunnel) {
      damage.push(`${file.path}: ${memory}; kept as ${file.path}.damaged`);
      records.set(key, { remote: undefined, replay: { newest: now, seen: [] } });
    }
  }
  const damaged = new Set(damage.map((text) => text.slice(0, text.indexOf(': '))));
  return {
    records,
    elsewhere,
    damage,
    async discard() {
      for (const { path } of own) {
        if (damaged.has(path)) renameSync(path, `${path}.damaged`);
        else await rm(path, { force: true });
      }
      const folder = join(base, `${tunnel}.peers`);
      if (!existsSync(folder)) return;
      await rm(join(folder, '.writable'), { force: true });
      if (readdirSync(folder).length === 0) rmdirSync(folder);
    },
  };
}

function formerFiles(base: string): readonly File[] {
  const files: File[] = [];
  for (const name of readdirSync(base)) {
    const folder = /^(.+-(?:server|client))\.peers$/.exec(name)?.[1];
    if (folder !== undefined) {
      for (const inner of readdirSync(join(base, name))) {
        const [, id, whom] = /^(.+)-(\w+)\.json$/.exec(inner) ?? [];
        if (id === undefined || whom === undefined) continue;
        files.push({ path: join(base, name, inner), tunnel: folder, id, whom });
      }
    }
    const [, tunnel, whom] = /^(.+-(?:server|client))-(\w+)\.json$/.exec(name) ?? [];
    if (tunnel === undefined || whom === undefined) continue;
    files.push({ path: join(base, name), tunnel, id: DEFAULT_PEER, whom });
  }
  return files;
}

/** A file's memory, or why it is not to be trusted. */
function read(path: string): SessionMemory | string {
  try {
    const foreign = whyForeign(path);
    if (foreign !== undefined) return foreign;
    const value = parseObject(readFileIfAny(path, FILE_MAX) ?? '');
    const memory = value?.['version'] === VERSION ? parseMemory(value) : undefined;
    return memory ?? 'not what this program writes';
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
