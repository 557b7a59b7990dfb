import fc from 'fast-check';
import { expect, it } from 'vitest';
import { COMPLETIONS, type Completion } from '../../src/core/es2023.ts';

/* What stands in for methods of ES2023 on Node 18 does what this Node's own do. */

const [ofArrays, ofTypedArrays] = COMPLETIONS as [Completion, Completion];

type Call = (this: unknown, ...args: unknown[]) => unknown;

/** What a method does, as a value: its result, or the kind of error. */
function outcome(method: unknown, self: object, args: readonly unknown[]): unknown {
  try {
    return (method as Call).apply(self, [...args]);
  } catch (error) {
    return (error as Error).constructor;
  }
}

function expectAlike({ prototype, methods }: Completion, self: object, args: Arguments): void {
  const own = prototype as Readonly<Record<string, unknown>>;
  for (const [name, method] of Object.entries(methods)) {
    const given = args[name] ?? [];
    const before = structuredClone(self);
    const got = outcome(method, self, given);
    expect(self, name).toEqual(before);
    expect(got, name).not.toBe(self);
    expect(got, name).toEqual(outcome(own[name], self, given));
  }
}

type Arguments = Readonly<Record<string, readonly unknown[]>>;
const descending = (a: number, b: number): number => b - a;
const index = fc.oneof(fc.integer({ min: -12, max: 12 }), fc.double({ min: -12, max: 12 }));
const calls = fc.record({
  with: fc.tuple(index, fc.nat(255)),
  toSpliced: fc.oneof(
    fc.constant([]),
    fc.tuple(index),
    fc.tuple(index, index),
    fc.tuple(index, index, fc.nat(), fc.nat()),
  ),
  toSorted: fc.oneof(fc.constant([]), fc.constant([descending]), fc.constant(['no function'])),
});

it('arrays', () => {
  fc.assert(
    fc.property(fc.array(fc.nat()), calls, (list, args) => expectAlike(ofArrays, list, args)),
  );
  // With a hole, which becomes undefined.
  // oxlint-disable-next-line no-sparse-arrays
  expectAlike(ofArrays, [1, , 3], { with: [0, 2] });
});

it('typed arrays', () => {
  fc.assert(
    fc.property(fc.uint8Array(), calls, (bytes, args) => expectAlike(ofTypedArrays, bytes, args)),
  );
});

it('a Buffer stays as it is', () => {
  const buffer = Buffer.from([1, 2, 3]);
  for (const method of Object.values(ofTypedArrays.methods)) outcome(method, buffer, [0, 9]);
  expect([...buffer]).toEqual([1, 2, 3]);
});

it('all that ES2023 has and Node 18 lacks is there', () => {
  expect(Object.keys(ofArrays.methods)).toEqual(['toReversed', 'toSorted', 'toSpliced', 'with']);
  expect(Object.keys(ofTypedArrays.methods)).toEqual(['toReversed', 'toSorted', 'with']);
});
