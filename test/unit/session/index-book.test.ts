import { expect, it } from 'vitest';
import { IndexBook } from '../../../src/core/session/index-book.ts';

it('an index that one has is not taken over by another, nor freed by him', () => {
  const book = new IndexBook<string>();
  book.change('one', [], [5, 6]);
  book.change('two', [], [6, 7]);
  expect([5, 6, 7].map((index) => book.owner(index))).toEqual(['one', 'one', 'two']);
  book.change('two', [6, 7], []);
  expect([5, 6, 7].map((index) => book.owner(index))).toEqual(['one', 'one', undefined]);
  expect(book.size).toBe(2);
});

it('says who may have an index', () => {
  const book = new IndexBook<string>();
  book.change('one', [], [5]);
  expect(book.isFree(5)).toBe(false);
  expect(book.isFree(6)).toBe(true);
});
