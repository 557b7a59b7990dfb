import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NO_TIMER, TimerHeap, type Timed } from '../../src/core/timer-heap.ts';
import { millis } from '../../src/core/units.ts';

type Named = Timed & { readonly name: number };

const named = (name: number): Named => ({ name, timerPlace: NO_TIMER });

describe('wake-ups of many', () => {
  it('come in the order of their times, each at its last one', () => {
    const heap = new TimerHeap<Named>();
    const [a, b, c] = [named(1), named(2), named(3)];
    heap.set(a, millis(30));
    heap.set(b, millis(10));
    heap.set(c, millis(20));
    heap.set(b, millis(40));
    expect(heap.earliest).toBe(20);
    expect(heap.takeDue(millis(19))).toBeUndefined();
    expect([1, 2, 3, 4].map(() => heap.takeDue(millis(40))?.name)).toEqual([3, 1, 2, undefined]);
    expect(heap.earliest).toBeUndefined();
  });

  it('are what a plain list would give, whatever is set and dropped', () => {
    const action = fc.record({
      item: fc.integer({ min: 0, max: 20 }),
      at: fc.option(fc.integer({ min: 0, max: 100 }), { nil: undefined }),
    });
    fc.assert(
      fc.property(fc.array(action, { maxLength: 200 }), (actions) => {
        const heap = new TimerHeap<Named>();
        const items = Array.from({ length: 21 }, (_unused, name) => named(name));
        const plain = new Map<number, number>();
        for (const { item, at } of actions) {
          const one = items[item];
          if (!one) continue;
          heap.set(one, at === undefined ? undefined : millis(at));
          if (at === undefined) plain.delete(item);
          else plain.set(item, at);
          const least = plain.size === 0 ? undefined : Math.min(...plain.values());
          expect(heap.earliest).toBe(least);
          expect(heap.size).toBe(plain.size);
        }
        const times: (number | undefined)[] = [];
        for (let due = heap.takeDue(millis(100)); due; due = heap.takeDue(millis(100))) {
          expect(due.timerPlace).toBe(NO_TIMER);
          times.push(plain.get(due.name));
        }
        expect(times).toEqual([...plain.values()].toSorted((x, y) => x - y));
      }),
    );
  });
});
