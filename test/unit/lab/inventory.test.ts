import { expect, test } from 'vitest';
import { surplus } from '../../../src/adapters/lab/inventory.ts';

test.each([
  { from: [], without: ['a'], expected: [] },
  { from: ['a', 'b'], without: ['b', 'a'], expected: [] },
  { from: ['a', 'b'], without: ['b'], expected: ['a'] },
  { from: ['a', 'a'], without: ['a'], expected: ['a'] },
])('what $from has beyond $without', ({ from, without, expected }) => {
  expect(surplus(from, without)).toEqual(expected);
});
