import {
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
  lstatSync,
  chmodSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { configStore, writeNewConfig } from '../../../src/adapters/system/config-store.ts';

let folder: string;
let file: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'ipipou-store-'));
  file = path.join(folder, 'x.conf');
  writeFileSync(file, 'one\n', { mode: 0o600 });
});
afterEach(() => rmSync(folder, { recursive: true }));

test('changes a file, and keeps its mode', async () => {
  chmodSync(file, 0o640);
  await configStore.change(file, (text) => `${text}two\n`);
  expect(readFileSync(file, 'utf8')).toBe('one\ntwo\n');
  expect(statSync(file).mode & 0o777).toBe(0o640);
  expect(readdirSync(folder)).toEqual(['x.conf']);
});

test('a link stays one', async () => {
  const link = path.join(folder, 'link.conf');
  symlinkSync('x.conf', link);
  await configStore.change(link, () => 'new\n');
  expect(lstatSync(link).isSymbolicLink()).toBe(true);
  expect(readFileSync(file, 'utf8')).toBe('new\n');
});

test('what fails leaves the file as it was', async () => {
  const failing = configStore.change(file, () => {
    throw new Error('no');
  });
  await expect(failing).rejects.toThrow('no');
  expect(readFileSync(file, 'utf8')).toBe('one\n');
  expect(readdirSync(folder)).toEqual(['x.conf']);
});

test('what somebody else writes meanwhile is not overwritten', async () => {
  const racing = configStore.change(file, (text) => {
    writeFileSync(file, 'theirs, by hand\n');
    return `${text}ours\n`;
  });
  await expect(racing).rejects.toThrow(/changed by somebody else/);
  expect(readFileSync(file, 'utf8')).toBe('theirs, by hand\n');
});

test('changes at one time come one after the other', async () => {
  const numbers = Array.from({ length: 20 }, (_, number) => number);
  await Promise.all(
    numbers.map((number) => configStore.change(file, (text) => `${text}${number}\n`)),
  );
  const lines = readFileSync(file, 'utf8').trim().split('\n').slice(1).map(Number);
  expect(lines.toSorted((a, b) => a - b)).toEqual(numbers);
});

test('a file that is not there is told', async () => {
  await expect(configStore.change(path.join(folder, 'no.conf'), String)).rejects.toThrow(
    /cannot change .*no\.conf: ENOENT/,
  );
});

test('a new file is private, and never written over one that is there', () => {
  const fresh = path.join(folder, 'sub', 'new.conf');
  writeNewConfig(fresh, 'secret\n');
  expect(statSync(fresh).mode & 0o777).toBe(0o600);
  expect(statSync(path.dirname(fresh)).mode & 0o777).toBe(0o700);
  expect(() => writeNewConfig(file, 'other\n')).toThrow(/is there already/);
  expect(readFileSync(file, 'utf8')).toBe('one\n');
});
