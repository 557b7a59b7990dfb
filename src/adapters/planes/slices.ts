/** The same, so many at a time. */
export function* slices<T>(all: Iterable<T>, length: number): Generator<readonly T[]> {
  let slice: T[] = [];
  for (const one of all) {
    slice.push(one);
    if (slice.length < length) continue;
    yield slice;
    slice = [];
  }
  if (slice.length > 0) yield slice;
}
