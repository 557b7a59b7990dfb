import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { KeptSessions } from '../../../src/adapters/system/kept-sessions.ts';
import type { PeerId } from '../../../src/core/config/tunnel-config.ts';
import { keptSession } from '../session/kept-session.ts';

vi.mock('node:fs', async (original) => {
  const real = await original<typeof fs>();
  return { ...real, appendFileSync: vi.fn<typeof fs.appendFileSync>(real.appendFileSync) };
});

let folder: string;
let file: string;
beforeEach(() => {
  folder = fs.mkdtempSync(path.join(tmpdir(), 'ipipou-sessions-'));
  file = path.join(folder, 'sessions');
});
afterEach(() => fs.rmSync(folder, { recursive: true }));

const PEER = 'laptop' as PeerId;
const OTHER = 'office' as PeerId;

test('the next run finds what was kept last, and nobody else may read it', () => {
  const sessions = new KeptSessions(file);
  sessions.keep(PEER, keptSession(1));
  sessions.keep(PEER, keptSession(2));
  sessions.keep(OTHER, keptSession(3));
  sessions.keep(OTHER, undefined);
  expect(fs.statSync(file).mode & 0o777).toBe(0o600);
  const next = new KeptSessions(file);
  expect(next.load(PEER)).toEqual(keptSession(2));
  expect(next.load(OTHER)).toBeUndefined();
  expect(fs.statSync(file).mode & 0o777).toBe(0o600);
});

test('where a line cannot be written whole, no older one stays, whose counters would be used twice', () => {
  const sessions = new KeptSessions(file);
  sessions.keep(PEER, keptSession(1));
  vi.mocked(fs.appendFileSync).mockImplementationOnce((to, line) => {
    fs.writeFileSync(to, String(line).slice(0, 20), { flag: 'a' });
    throw new Error('ENOSPC');
  });
  sessions.keep(PEER, keptSession(2));
  expect(new KeptSessions(file).load(PEER)).toBeUndefined();
  sessions.keep(OTHER, keptSession(3));
  const next = new KeptSessions(file);
  expect(next.load(PEER)).toEqual(keptSession(2));
  expect(next.load(OTHER)).toEqual(keptSession(3));
});
