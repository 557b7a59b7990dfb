import {
  fstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import {
  createLog,
  formatFields,
  openLogFile,
  writesToJournal,
} from '../../../src/adapters/system/log.ts';
import { beginLogFile } from '../../../src/adapters/system/log-files.ts';
import type { LogLevel } from '../../../src/ports/log.ts';

describe('log lines', () => {
  test('have time, process, level, event and fields; each part can be left out', () => {
    vi.useFakeTimers({ now: Date.UTC(2026, 10, 23) });
    const lines: string[] = [];
    const write = (line: string): void => void lines.push(line);
    createLog(write, { level: 'info', time: true, pid: true })('info', 'ready', { port: 10000 });
    createLog(write, { level: 'info', time: false, pid: false })('warn', 'odd', { why: 'a b' });
    vi.useRealTimers();
    expect(lines).toEqual([
      `2026-11-23T00:00:00.000Z ${process.pid} info ready port=10000\n`,
      'warn odd why="a b"\n',
    ]);
  });

  test('begin with their priority where the journal reads it', () => {
    const lines: string[] = [];
    const options = { level: 'debug', time: false, pid: false, priority: true } as const;
    const log = createLog((line) => lines.push(line), options);
    for (const level of ['error', 'warn', 'info', 'debug'] as const) log(level, 'x');
    expect(lines).toEqual(['<3>error x\n', '<4>warn x\n', '<6>info x\n', '<7>debug x\n']);
  });

  test('go to the journal where the variable names standard error', () => {
    const { dev, ino } = fstatSync(2);
    expect(writesToJournal(`${dev}:${ino}`)).toBe(true);
    expect([undefined, '', '1:1', 'x'].map(writesToJournal)).toEqual([false, false, false, false]);
  });

  test.each([
    ['error', ['error']],
    ['warn', ['error', 'warn']],
    ['info', ['error', 'warn', 'info']],
    ['debug', ['error', 'warn', 'info', 'debug']],
  ] as const)('level %s lets through %j', (level, expected) => {
    const seen: string[] = [];
    const log = createLog((line) => seen.push(line.trim()), { level, time: false, pid: false });
    for (const one of ['error', 'warn', 'info', 'debug'] satisfies LogLevel[]) log(one, 'x');
    expect(seen).toEqual(expected.map((one) => `${one} x`));
  });

  test.each([
    ['new line', 'a\nb', ' k="a\\nb"'],
    ['escape sequence', '\u001b[31mred', ' k="\\u001b[31mred"'],
    ['C1 control', 'a\u009bb', ' k="a\\u009bb"'],
    ['direction override', 'a\u202eb', ' k="a\\u202eb"'],
    ['quote', 'say "x"', ' k="say \\"x\\""'],
    ['backslash', 'a\\b', ' k="a\\\\b"'],
    ['empty', '', ' k=""'],
    ['plain word', '203.0.113.1:10000', ' k=203.0.113.1:10000'],
  ])('a value with a %s cannot forge a line', (_, value, expected) => {
    expect(formatFields({ k: value })).toBe(expected);
  });

  test('fields without a value are left out', () => {
    expect(formatFields({ a: undefined, b: 1n, c: false })).toBe(' b=1 c=false');
  });
});

describe('log files', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'ipipou-log-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  test('begin anew with every run; one before is kept, and nobody else may read them', () => {
    const logs = path.join(folder, 'logs');
    const file = beginLogFile(logs, 'ipipou0');
    expect(statSync(logs).mode & 0o777).toBe(0o700);
    for (const text of ['first', 'second', '']) {
      expect(beginLogFile(logs, 'ipipou0')).toBe(file);
      writeFileSync(file, text);
    }
    beginLogFile(logs, 'ipipou0');
    expect(readdirSync(logs).toSorted()).toEqual(
      [file, `${file}.1`].map((name) => path.basename(name)),
    );
    expect(readFileSync(`${file}.1`, 'utf8')).toBe('second');
  });

  test('are bounded, with one older file beside', () => {
    const file = path.join(folder, 'log');
    const write = openLogFile(file, 100);
    for (let line = 0; line < 50; line += 1) write(`line ${String(line).padStart(4, '0')}\n`);
    expect(statSync(file).size).toBeLessThanOrEqual(100);
    expect(statSync(`${file}.1`).size).toBeLessThanOrEqual(100);
    expect(readFileSync(file, 'utf8')).toMatch(/line 0049\n$/);
    expect(statSync(file).mode & 0o777).toBe(0o600);
  });

  test('go on where an earlier run ended, counting what it wrote', () => {
    const file = path.join(folder, 'log');
    openLogFile(file, 100)(`${'x'.repeat(89)}\n`);
    openLogFile(file, 100)('second run\n');
    expect(readFileSync(`${file}.1`, 'utf8')).toHaveLength(90);
    expect(readFileSync(file, 'utf8')).toBe('second run\n');
  });
});
