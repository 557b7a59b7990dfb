import { readdirSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { PROJECT } from '../../vm/rig/project.ts';

type Shares = readonly (readonly string[])[];
type Seconds = Readonly<Record<string, number>>;
// A plain script, without types of its own.
const { shareOut, sharesOf } = (await import(
  pathToFileURL(path.join(PROJECT, 'scripts/shares.mjs')).href
)) as {
  shareOut: (files: readonly string[], seconds: Seconds, number: number) => Shares;
  sharesOf: (suite: string, number: number) => Shares;
};

test('what takes long stands alone, the rest together; what is new counts as the usual', () => {
  const seconds = { a: 90, b: 50, c: 40, d: 40 };
  expect(shareOut(['a', 'b', 'c', 'new'], seconds, 2)).toEqual([
    ['a', 'c'],
    ['b', 'new'],
  ]);
});

test('every file is in one share, and no share takes longer than the others and one file more', () => {
  const times = fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1 });
  fc.assert(
    fc.property(times, fc.integer({ min: 1, max: 6 }), (each, number) => {
      const seconds = Object.fromEntries(each.map((time, index) => [`f${index}`, time]));
      const files = Object.keys(seconds);
      const shares = shareOut(files, seconds, number);
      expect(shares.flat().toSorted()).toEqual(files.toSorted());
      expect(shares.every((share) => share.length > 0)).toBe(true);
      const sums = shares.map((share) =>
        share.reduce((sum, file) => sum + (seconds[file] ?? 0), 0),
      );
      const most = Math.max(...each);
      expect(Math.max(...sums) - Math.min(...sums)).toBeLessThanOrEqual(most);
    }),
  );
});

test.each(['netns', 'vm'])('no file of %s is left out', (suite) => {
  const there = readdirSync(path.join(PROJECT, 'test', suite), {
    recursive: true,
    encoding: 'utf8',
  })
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => `test/${suite}/${name}`);
  expect(sharesOf(suite, 2).flat().toSorted()).toEqual(there.toSorted());
});
