import { closeSync, fstatSync, openSync, renameSync, writeSync } from 'node:fs';
import type { Log, LogFields, LogLevel } from '../../ports/log.ts';

export type LogOptions = {
  /** Most talkative level that is written. */
  readonly level: LogLevel;
  /** Whether lines begin with the time (RFC 3339, UTC). */
  readonly time: boolean;
  readonly pid: boolean;
  /** Whether lines begin with their priority, as systemd's journal takes it (sd-daemon(3)). */
  readonly priority?: boolean;
};

/** <syslog.h> */
const PRIORITY: Readonly<Record<LogLevel, number>> = { error: 3, warn: 4, info: 6, debug: 7 };

const RANK: Readonly<Record<LogLevel, number>> = { error: 0, warn: 1, info: 2, debug: 3 };

/** A log that gives lines to `write`; the options are looked at for every line. */
export function createLog(write: (line: string) => void, options: LogOptions): Log {
  return (level, event, fields) => {
    if (RANK[level] > RANK[options.level]) return;
    const time = options.time ? `${new Date().toISOString()} ` : '';
    const pid = options.pid ? `${process.pid} ` : '';
    const priority = options.priority === true ? `<${PRIORITY[level]}>` : '';
    write(`${priority}${time}${pid}${level} ${escapeText(event)}${formatFields(fields)}\n`);
  };
}

/** ` key=value` for every field that has a value; values that are not one plain word are quoted. */
export function formatFields(fields: LogFields = {}): string {
  return Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => ` ${key}=${formatValue(String(value))}`)
    .join('');
}

function formatValue(value: string): string {
  return /^[\w.:/@%+,-]+$/.test(value) ? value : `"${escapeText(value).replaceAll('"', '\\"')}"`;
}

/**
 * Text that can harm neither a terminal nor the line structure: control characters (C0, DEL, C1),
 * line and paragraph separators and direction overrides become escapes.
 */
export function escapeText(text: string): string {
  return text.replaceAll(
    // oxlint-disable-next-line no-control-regex -- control characters are what this looks for
    /[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069\\]/g,
    (character) => {
      if (character === '\\') return '\\\\';
      if (character === '\n') return '\\n';
      return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
    },
  );
}

/** Writes to standard error; what cannot be written there is lost, and stops nothing. */
export function writeStderr(text: string): void {
  try {
    writeSync(2, text);
  } catch {
    // Nobody reads the log (EPIPE), or slower than we write (EAGAIN).
  }
}

/** Whether standard error is systemd's journal: JOURNAL_STREAM names it by device and inode (systemd.exec(5)). */
export function writesToJournal(journalStream: string | undefined): boolean {
  if (!journalStream) return false;
  try {
    const { dev, ino } = fstatSync(2);
    return journalStream === `${dev}:${ino}`;
  } catch {
    return false;
  }
}

/** Size at which a log file becomes `PATH.1` (replacing an older one) and a new one begins. */
export const LOG_FILE_MAX = 1024 * 1024;

/** Appends to a file of bounded size; what cannot be written is lost, and stops nothing. */
export function openLogFile(path: string, max = LOG_FILE_MAX): (text: string) => void {
  let fd = openSync(path, 'a', 0o600);
  let size = fstatSync(fd).size;
  return (text) => {
    try {
      if (size + text.length > max) {
        renameSync(path, `${path}.1`);
        closeSync(fd);
        fd = openSync(path, 'a', 0o600);
        size = 0;
      }
      size += writeSync(fd, text);
    } catch {
      // A full or vanished file system costs log lines, not the tunnel.
    }
  };
}
