import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NO_RANK, RankedList, type Ranked } from '../../src/core/ranked-list.ts';

/** Counts how often any rank is looked at or written. */
let touched = 0;

class Item implements Ranked {
  #rank = NO_RANK;

  get rank(): number {
    touched += 1;
    return this.#rank;
  }

  set rank(rank: number) {
    touched += 1;
    this.#rank = rank;
  }
}

describe('RankedList', () => {
  it('gives what came after any of them, in the order in which it came', () => {
    fc.assert(
      fc.property(fc.array(fc.option(fc.nat(20), { nil: undefined })), (changes) => {
        const list = new RankedList<Item>();
        const model: Item[] = [];
        for (const change of changes) {
          const [gone] = change === undefined ? [] : model.splice(change, 1);
          if (gone) list.remove(gone);
          else list.add(model[model.push(new Item()) - 1] ?? new Item());
        }
        expect([...list.after()]).toEqual(model);
        for (const [place, item] of model.entries()) {
          expect([...list.after(item)]).toEqual(model.slice(place + 1));
        }
      }),
    );
  });

  it('takes out nothing that is not in it', () => {
    const list = new RankedList<Item>();
    const [one, other] = [new Item(), new Item()];
    list.add(one);
    list.remove(other);
    list.remove(one);
    list.add(other);
    list.remove(one);
    expect([...list.after()]).toEqual([other]);
  });

  it('looks at none but those that it gives, and closes gaps seldom', () => {
    const list = new RankedList<Item>();
    const items = Array.from({ length: 10_000 }, () => new Item());
    for (const item of items) list.add(item);
    touched = 0;
    expect(list.after(items[9_000]).next().value).toBe(items[9_001]);
    expect(touched).toBe(1);
    for (const item of items) list.remove(item);
    expect(touched).toBeLessThan(10 * items.length);
  });
});
