import { createHash } from 'node:crypto';
import { linkSync, lstatSync, readdirSync, rmSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { parseOuterIp, type Endpoint, type Path } from '../../core/addr.ts';
import {
  DEFAULT_PEER,
  type PeerConfig,
  type TunnelConfig,
} from '../../core/config/tunnel-config.ts';
import { encodePublicKey } from '../../core/auth/public-key.ts';
import type { SessionMemory } from '../../core/session/types.ts';
import { millis, port, seconds, type Millis } from '../../core/units.ts';
import type { MemoryStore, Recollection } from '../../ports/run-store.ts';
import { makePrivateFolder, readFileIfAny, replaceFile } from './files.ts';

const MEMORY_MAX = 1024 * 1024;
const VERSION = 1;

/** Memory of peers that are no longer in the config: so many are kept, those written last. */
export const FORMER_PEERS_MAX = 16_384;

/**
 * Session memory below `base` (/var/lib/ipipou): a file for each peer, named by the tunnel device, the
 * role and whom it trusts, so that it is found again after a reboot or in another namespace, and so
 * that another peer's key does not inherit it. Those of named peers lie in a folder for their tunnel.
 * A peer that goes leaves its file, for it may come back.
 */
export function createMemoryStore(base: string, formerMax = FORMER_PEERS_MAX): MemoryStore {
  const pathOf = (config: TunnelConfig, peer: PeerConfig): string =>
    join(base, `${memoryName(config, peer)}.json`);
  return {
    load: (config, peer, now) => load(pathOf(config, peer), now),
    save(config, peer, memory, durable) {
      const path = pathOf(config, peer);
      makePrivateFolder(dirname(path));
      replaceFile(path, JSON.stringify({ version: VERSION, ...memory }), durable);
    },
    prepare(config) {
      const folder = join(base, folderName(config));
      makePrivateFolder(folder);
      replaceFile(join(folder, PROBE), '', true);
      const current = new Set(config.peers.map((peer) => basename(pathOf(config, peer))));
      forgetFormer(folder, current, formerMax);
    },
  };
}

/** Written at every start to see that writing works. */
const PROBE = '.writable';

/**
 * `DEVICE-ROLE-WHOM`, WHOM being the start of the SHA-256 of the peer's public key, or the scheme; of a
 * named peer `DEVICE-ROLE.peers/NAME-WHOM`.
 */
export function memoryName(config: TunnelConfig, { id, proof }: PeerConfig): string {
  const key = proof.kind === 'ed25519' ? proof.peerPublicKey : undefined;
  const whom = key
    ? createHash('sha256').update(encodePublicKey(key)).digest('hex').slice(0, 16)
    : proof.kind;
  return id === DEFAULT_PEER
    ? `${tunnelName(config)}-${whom}`
    : `${folderName(config)}/${safeName(id)}-${whom}`;
}

function folderName(config: TunnelConfig): string {
  return `${tunnelName(config)}.peers`;
}

function tunnelName(config: TunnelConfig): string {
  return `${safeName(config.inner.device)}-${config.role}`;
}

function safeName(name: string): string {
  return name.replaceAll('/', '_');
}

/**
 * Packets of a peer that is gone are refused by their time long before their memory is among the
 * oldest, unless times are not checked at all.
 */
function forgetFormer(folder: string, current: ReadonlySet<string>, most: number): void {
  const former = readdirSync(folder).filter((name) => name.endsWith('.json') && !current.has(name));
  if (former.length <= most) return;
  const dated = former.map((name) => ({ name, at: statSync(join(folder, name)).mtimeMs }));
  const oldest = dated.toSorted((a, b) => a.at - b.at).slice(0, former.length - most);
  for (const { name } of oldest) rmSync(join(folder, name), { force: true });
}

function load(path: string, now: Millis): Recollection {
  try {
    const text = readFileIfAny(path, MEMORY_MAX);
    if (text === undefined) return { memory: undefined, damage: undefined };
    refuseForeign(path);
    const memory = parseMemory(JSON.parse(text));
    if (memory) return { memory, damage: undefined };
    return setAside(path, 'not what this program writes', now);
  } catch (error) {
    return setAside(path, error instanceof Error ? error.message : String(error), now);
  }
}

function refuseForeign(path: string): void {
  const stat = lstatSync(path);
  if (!stat.isFile()) throw new Error('not a regular file');
  if (stat.uid !== process.getuid?.()) throw new Error(`owned by user ${stat.uid}`);
  if ((stat.mode & 0o022) !== 0) throw new Error('others can write it');
}

/** Nothing that was signed before now is accepted, and nobody is remembered. */
function setAside(path: string, why: string, now: Millis): Recollection {
  let kept = '';
  try {
    // The file itself stays until a save replaces it: a crash in between must not lose the refusal.
    rmSync(`${path}.damaged`, { force: true });
    linkSync(path, `${path}.damaged`);
    kept = `; kept as ${path}.damaged`;
  } catch {
    // Nothing is kept, then; the save replaces it all the same.
  }
  return {
    memory: { remote: undefined, replay: { newest: seconds(Math.floor(now / 1000)), seen: [] } },
    damage: `${path}: ${why}${kept}`,
  };
}

/** The memory that a JSON value holds; undefined for anything that no run of this version wrote. */
export function parseMemory(value: unknown): SessionMemory | undefined {
  if (!isObject(value) || value['version'] !== VERSION) return undefined;
  const remote = value['remote'] === undefined ? null : parseRemote(value['remote']);
  const replay = value['replay'] === undefined ? null : parseReplay(value['replay']);
  if (remote === undefined || replay === undefined) return undefined;
  const { peer } = value;
  if (peer !== undefined && typeof peer !== 'string') return undefined;
  return { remote: remote ?? undefined, replay: replay ?? undefined, peer };
}

function parseRemote(value: unknown): SessionMemory['remote'] {
  if (!isObject(value)) return undefined;
  const path = parsePath(value['path']);
  const { authenticatedAt, lastHeardAt } = value;
  if (!path || !isTime(authenticatedAt) || !isTime(lastHeardAt)) return undefined;
  return { path, authenticatedAt: millis(authenticatedAt), lastHeardAt: millis(lastHeardAt) };
}

function parseReplay(value: unknown): SessionMemory['replay'] {
  if (!isObject(value)) return undefined;
  const { newest, seen, ahead } = value;
  if (!isTime(newest) || !isTexts(seen)) return undefined;
  const end = { newest: seconds(newest), seen };
  if (ahead === undefined) return end;
  if (!isObject(ahead) || !isTime(ahead['oldest'])) return undefined;
  const far = parseReplay({ ...ahead, ahead: undefined });
  return far && { ...end, ahead: { oldest: seconds(ahead['oldest']), ...far } };
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((text) => typeof text === 'string');
}

function parsePath(value: unknown): Path | undefined {
  if (!isObject(value)) return undefined;
  const local = parseEnd(value['local']);
  const remote = parseEnd(value['remote']);
  return local && remote ? { local, remote } : undefined;
}

function parseEnd(value: unknown): Endpoint | undefined {
  if (!isObject(value) || typeof value['ip'] !== 'string') return undefined;
  const ip = parseOuterIp(value['ip']);
  const number = value['port'];
  if (
    ip === undefined ||
    !isTime(number) ||
    !Number.isInteger(number) ||
    number < 1 ||
    number > 65535
  )
    return undefined;
  return { ip, port: port(number) };
}

function isTime(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}
