import { describe, expect, it } from 'vitest';
import { LruCache } from '../../src/core/lru-cache.ts';
import { MultiMap } from '../../src/core/multi-map.ts';
import { sameValue } from '../../src/core/same-value.ts';

describe('LruCache', () => {
  it('makes a value once, and again after it was unused for longest', () => {
    const made: string[] = [];
    const cache = new LruCache<string, string>(2);
    const get = (key: string): string => cache.get(key, () => (made.push(key), key.toUpperCase()));
    for (const key of ['a', 'b', 'a', 'c', 'a', 'b']) expect(get(key)).toBe(key.toUpperCase());
    expect(made).toEqual(['a', 'b', 'c', 'b']);
  });
});

describe('MultiMap', () => {
  it('holds one or several to a key, and lets each go', () => {
    const map = new MultiMap<number, { readonly name: string }>();
    const [a, b, c] = [{ name: 'a' }, { name: 'b' }, { name: 'c' }];
    for (const value of [a, b, c]) map.add(1, value);
    expect(map.get(1)).toEqual([a, b, c]);
    map.delete(1, b);
    map.delete(1, b);
    expect(map.get(1)).toEqual([a, c]);
    map.delete(1, a);
    map.delete(2, a);
    expect(map.get(1)).toEqual([c]);
    map.delete(1, c);
    expect(map.get(1)).toEqual([]);
  });
});

describe('sameValue', () => {
  const value = { a: 1, b: [Uint8Array.of(1, 2), { c: 'x' }], d: undefined };

  it.each([
    [{ a: 1, b: [Uint8Array.of(1, 2), { c: 'x' }] }, true],
    [{ ...value, d: 0 }, false],
    [{ ...value, a: 2 }, false],
    [{ ...value, b: [Uint8Array.of(1, 3), { c: 'x' }] }, false],
    [{ ...value, b: [Uint8Array.of(1, 2)] }, false],
    [{ ...value, b: [[1, 2], { c: 'x' }] }, false],
    [{ a: 1 }, false],
    [undefined, false],
  ])('of %j', (other, same) => {
    expect(sameValue(value, other)).toBe(same);
    expect(sameValue(other, value)).toBe(same);
  });
});
