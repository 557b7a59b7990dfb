import { expect, test } from 'vitest';
import { InFlight } from '../../../src/adapters/planes/in-flight.ts';

test('work goes on side by side, and more of it waits when there is enough', async () => {
  const inFlight = new InFlight(2);
  const ends: (() => void)[] = [];
  const done: number[] = [];
  const add = async (number: number): Promise<void> => {
    await inFlight.add(new Promise((resolve) => void ends.push(resolve)));
    done.push(number);
  };
  const first = add(1);
  await first;
  const second = add(2);
  await new Promise(setImmediate);
  expect(done).toEqual([1]);
  ends[0]?.();
  await second;
  expect(done).toEqual([1, 2]);
});
