import { familyOf, parseOuterIp, type Endpoint, type Path } from '../../core/addr.ts';
import type { SessionMemory } from '../../core/session/types.ts';
import { millis, port, seconds, type Seconds } from '../../core/units.ts';

/*
 * The journal's text: a record a line, its checksum before it. The first record is the head; a later
 * record of a key replaces an earlier one.
 *
 *     CHECKSUM {"version":2,"floor":SECONDS}
 *     CHECKSUM {"key":KEY,"remote":…,"replay":…,"peer":MARK}
 */

const VERSION = 2;

/** Bytes of a record, about, with what a file system adds: how much space a peer needs. */
export const RECORD_SPACE = 512;

/** What a journal says. */
export type JournalText = {
  readonly records: ReadonlyMap<string, SessionMemory>;
  /** Nothing signed before is accepted, whoever signed it; 0 = no such bound. */
  readonly floor: Seconds;
  /** Why it is not to be trusted; undefined = it is whole, but perhaps for a torn end. */
  readonly damage: string | undefined;
};

export function formatHead(floor: Seconds): string {
  return formatLine({ version: VERSION, floor });
}

export function formatRecord(key: string, memory: SessionMemory): string {
  return formatLine({ key, ...memory });
}

function formatLine(value: object): string {
  const text = JSON.stringify(value);
  return `${checksumOf(text)} ${text}\n`;
}

/** FNV-1a, 32 bits, over UTF-16 units: a hundred thousand lines are summed up at a start. */
function checksumOf(text: string): string {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return (hash >>> 0).toString(16).padStart(8, '0');
}

/**
 * Reads a journal. What is unreadable at its end was being written when the machine stopped: nothing
 * depended on it. What is unreadable and has a record behind it is damage.
 */
export function parseJournal(text: string): JournalText {
  const records = new Map<string, SessionMemory>();
  const lines = text.split('\n');
  const head = parseLine(lines[0]);
  const floor = isTime(head?.['floor']) ? seconds(head['floor']) : seconds(0);
  if (head?.['version'] !== VERSION) {
    return { records, floor, damage: 'not what this program writes' };
  }
  let bad = 0;
  for (const [index, line] of lines.entries()) {
    if (index === 0 || line === '') continue;
    const value = parseLine(line);
    const key = value?.['key'];
    const memory = value && parseMemory(value);
    if (typeof key !== 'string' || memory === undefined) {
      bad ||= index + 1;
      continue;
    }
    if (bad > 0) return { records, floor, damage: `line ${bad} is damaged` };
    records.set(key, memory);
  }
  return { records, floor, damage: undefined };
}

function parseLine(line = ''): Readonly<Record<string, unknown>> | undefined {
  const text = line.slice(9);
  if (line[8] !== ' ' || checksumOf(text) !== line.slice(0, 8)) return undefined;
  return parseObject(text);
}

export function parseObject(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** The memory that an object holds; undefined for anything that no run wrote. */
export function parseMemory(value: Readonly<Record<string, unknown>>): SessionMemory | undefined {
  const remote = value['remote'] === undefined ? null : parseRemote(value['remote']);
  const replay = value['replay'] === undefined ? null : parseReplay(value['replay']);
  if (remote === undefined || replay === undefined) return undefined;
  const { peer, secured } = value;
  if (peer !== undefined && typeof peer !== 'string') return undefined;
  const memory = { remote: remote ?? undefined, replay: replay ?? undefined, peer };
  return secured === true ? { ...memory, secured } : memory;
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
  if (!local || !remote || familyOf(local.ip) !== familyOf(remote.ip)) return undefined;
  return { local, remote };
}

function parseEnd(value: unknown): Endpoint | undefined {
  if (!isObject(value) || typeof value['ip'] !== 'string') return undefined;
  const ip = parseOuterIp(value['ip']);
  const number = value['port'];
  const isPort = isTime(number) && Number.isInteger(number) && number >= 1 && number <= 65535;
  return ip !== undefined && isPort ? { ip, port: port(number) } : undefined;
}

function isTime(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}
