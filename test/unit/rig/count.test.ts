import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { PROJECT } from '../../vm/rig/project.ts';

type Counted = { passed: number; failed: number; skipped: number; notes: string[] };
// A plain script, without types of its own.
const { count, together } = (await import(
  pathToFileURL(path.join(PROJECT, 'scripts/suites.mjs')).href
)) as {
  count: (file: string, problem: string) => Counted;
  together: (runs: readonly Counted[]) => Counted;
};

const folder = mkdtempSync(path.join(tmpdir(), 'ipipou-count-'));
afterAll(() => rmSync(folder, { recursive: true }));

function counted(files: readonly (readonly [string, readonly string[]])[], problem = ''): Counted {
  const file = path.join(folder, 'report.json');
  const testResults = files.map(([status, tests], index) => ({
    status,
    name: path.join(PROJECT, `${index}.test.ts`),
    assertionResults: tests.map((state) => ({ status: state })),
  }));
  writeFileSync(file, JSON.stringify({ testResults }));
  return count(file, problem);
}

test('every state of a test is counted', () => {
  const tests = ['passed', 'passed', 'failed', 'skipped', 'pending', 'todo'];
  expect(counted([['failed', tests]], 'exit code 1')).toEqual({
    ...{ passed: 2, failed: 1, skipped: 3 },
    notes: [],
  });
});

test('a file that failed without a failed test is a failure', () => {
  const files = [
    ['passed', ['passed']],
    ['failed', ['passed']],
  ] as const;
  expect(counted(files, 'exit code 1')).toEqual({
    ...{ passed: 2, failed: 1, skipped: 0 },
    notes: ['1.test.ts failed as a whole'],
  });
});

test('a bad end that the report does not explain is a failure', () => {
  expect(counted([['passed', ['passed']]], 'exit code 1')).toEqual({
    ...{ passed: 1, failed: 1, skipped: 0 },
    notes: ['exit code 1'],
  });
});

test('a good end adds nothing', () => {
  expect(counted([['passed', ['passed']]])).toMatchObject({ passed: 1, failed: 0, notes: [] });
});

test('a report without a test file is a failure', () => {
  expect(counted([])).toMatchObject({ passed: 0, failed: 1, notes: ['no test ran'] });
});

test('no report is a failure', () => {
  expect(count(path.join(folder, 'none.json'), '')).toMatchObject({ passed: 0, failed: 1 });
});

test('several runs count as one', () => {
  const run = { passed: 2, failed: 1, skipped: 3, notes: ['why'] };
  expect(together([run, { passed: 5, failed: 0, skipped: 0, notes: [] }])).toEqual({
    ...{ passed: 7, failed: 1, skipped: 3 },
    notes: ['why'],
  });
});
