import { appendFileSync, rmSync } from 'node:fs';
import type { KeptSession } from '../../core/session/secure/state.ts';
import type { PeerId } from '../../core/config/tunnel-config.ts';
import type { SessionKeeper } from '../../ports/run-store.ts';
import { readFileIfAny, replaceFile } from './files.ts';

/*
 * A line of JSON for every session that was agreed on; a later one of the same peer replaces it, and null says that
 * there is none any more. It lies in the run directory, a tmpfs (/run), which is root's alone.
 *
 *     {"peer":ID,"session":{…}|null}
 */

/** Bytes that are read, and that are written before the file is written anew. */
const FILE_MAX = 256 * 1024 * 1024;
const GROWTH_MIN = 1024 * 1024;
const GROWTH_FACTOR = 4;

/**
 * Sessions that a tunnel leaves for its next run. What cannot be written is only agreed on anew; then nothing stays of
 * what was written before, since this run goes on with counters that an older line lets the next one use again.
 */
export class KeptSessions implements SessionKeeper {
  readonly #path: string;
  readonly #lines: Map<PeerId, string>;
  #base = 0;
  #grown = 0;

  constructor(path: string) {
    this.#path = path;
    this.#lines = readLines(path);
    this.#rewrite();
  }

  load(peer: PeerId): KeptSession | undefined {
    const line = this.#lines.get(peer);
    return line === undefined ? undefined : (parse(line)?.session ?? undefined);
  }

  keep(peer: PeerId, record: KeptSession | undefined): void {
    const line = format(peer, record);
    if (record === undefined && !this.#lines.delete(peer)) return;
    if (record !== undefined) this.#lines.set(peer, line);
    if (this.#grown > Math.max(GROWTH_MIN, GROWTH_FACTOR * this.#base)) return this.#rewrite();
    try {
      appendFileSync(this.#path, line, { mode: 0o600 });
      this.#grown += line.length;
    } catch {
      this.#remove();
    }
  }

  #rewrite(): void {
    const text = [...this.#lines.values()].join('');
    this.#base = text.length;
    this.#grown = 0;
    try {
      if (text === '') rmSync(this.#path, { force: true });
      else replaceFile(this.#path, text, false);
    } catch {
      this.#remove();
    }
  }

  /** The next run agrees on new sessions, unless all are written by then. */
  #remove(): void {
    this.#grown = Number.POSITIVE_INFINITY;
    try {
      rmSync(this.#path, { force: true });
    } catch {
      // Nothing is left to try.
    }
  }
}

function readLines(path: string): Map<PeerId, string> {
  const lines = new Map<PeerId, string>();
  for (const line of readIfAny(path).split('\n')) {
    const value = parse(line);
    if (value?.session) lines.set(value.peer, `${line}\n`);
    else if (value) lines.delete(value.peer);
  }
  return lines;
}

function readIfAny(path: string): string {
  try {
    return readFileIfAny(path, FILE_MAX) ?? '';
  } catch {
    return '';
  }
}

function format(peer: PeerId, session: KeptSession | undefined): string {
  const text = JSON.stringify({ peer, session: session ?? null }, (_key, value: unknown) => {
    if (value instanceof Uint8Array) return { bytes: Buffer.from(value).toString('base64') };
    return typeof value === 'bigint' ? { integer: value.toString() } : value;
  });
  return `${text}\n`;
}

/** By its outline: only this program writes there, and a line that is torn is no JSON. */
function parse(line: string): { peer: PeerId; session: KeptSession | null } | undefined {
  try {
    const value: unknown = JSON.parse(line, (_key, part: unknown) => revive(part));
    if (typeof value !== 'object' || value === null) return undefined;
    if (!('peer' in value && 'session' in value) || typeof value.peer !== 'string')
      return undefined;
    const { session } = value;
    if (session !== null && (typeof session !== 'object' || !('current' in session))) {
      return undefined;
    }
    return value as { peer: PeerId; session: KeptSession | null };
  } catch {
    return undefined;
  }
}

function revive(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if ('bytes' in value && typeof value.bytes === 'string' && Object.keys(value).length === 1) {
    return new Uint8Array(Buffer.from(value.bytes, 'base64'));
  }
  if ('integer' in value && typeof value.integer === 'string') return BigInt(value.integer);
  return value;
}
