/*
 * What the library of ES2023 has and Node 18 lacks, so that sources need no look at how old the runtime is: the
 * compiler's `lib` says ES2023, and the entries (the command, the thread of the `tun` plane) import this before
 * all else. (ECMA-262 2023, 23.1.3 and 23.2.3; findLast and findLastIndex are in Node 18.)
 */

// oxlint-disable unicorn/no-array-reverse, unicorn/no-array-sort -- of copies, where nothing else is there

type Method = (this: never, ...args: never[]) => unknown;

/** A prototype, and the methods that it may lack. */
export type Completion = {
  readonly prototype: object;
  readonly methods: Readonly<Record<string, Method>>;
};

type Typed = Uint8Array;
const typedPrototype = Object.getPrototypeOf(Uint8Array.prototype) as Typed;

/** A copy, also of a Buffer, whose own `slice` makes none. */
const copyTyped = (array: Typed): Typed => typedPrototype.slice.call(array);

export const COMPLETIONS: readonly Completion[] = [
  {
    prototype: Array.prototype,
    methods: {
      toReversed(this: readonly unknown[]) {
        return Array.from(this).reverse();
      },
      toSorted(this: readonly unknown[], compare?: (a: unknown, b: unknown) => number) {
        return Array.from(this).sort(compare);
      },
      toSpliced(this: readonly unknown[], ...change: [number, number, ...unknown[]]) {
        const copy = Array.from(this);
        copy.splice(...change);
        return copy;
      },
      with(this: readonly unknown[], index: number, value: unknown) {
        const copy = Array.from(this);
        copy[placeOf(index, copy.length)] = value;
        return copy;
      },
    },
  },
  {
    prototype: typedPrototype,
    methods: {
      toReversed(this: Typed) {
        return copyTyped(this).reverse();
      },
      toSorted(this: Typed, compare?: (a: number, b: number) => number) {
        return copyTyped(this).sort(compare);
      },
      with(this: Typed, index: number, value: number) {
        const copy = copyTyped(this);
        copy[placeOf(index, copy.length)] = value;
        return copy;
      },
    },
  },
];

function placeOf(index: number, length: number): number {
  const whole = Math.trunc(index) || 0;
  const place = whole < 0 ? length + whole : whole;
  if (place >= 0 && place < length) return place;
  throw new RangeError(`Invalid index : ${index}`);
}

for (const { prototype, methods } of COMPLETIONS) {
  for (const [name, value] of Object.entries(methods)) {
    if (name in prototype) continue;
    Object.defineProperty(prototype, name, { value, writable: true, configurable: true });
  }
}

// Node 18.18 has them; the compiler's helpers for `using` ask for them.
for (const name of ['dispose', 'asyncDispose'] as const) {
  if (name in Symbol) continue;
  Object.defineProperty(Symbol, name, { value: Symbol(`Symbol.${name}`) });
}
