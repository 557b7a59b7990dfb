import { setFlagsFromString } from 'node:v8';

/** How much the old objects of a heap may grow before it is collected, percent of what was alive last time. */
const OLD_GROWTH = 10;

/** The room for young objects times this is its room from then on: it stays as it is. */
const YOUNG_GROWTH_FACTOR = 1;

/**
 * Has V8 keep garbage down in this process. By itself it lets a heap grow to several times what is alive:
 * reading a hundred thousand peers would leave its memory doubled for good. The price is some of the time
 * that reading takes; what goes on afterwards makes little garbage, and data none.
 */
export function limitGarbage(): void {
  setFlagsFromString(`--heap-growing-percent=${OLD_GROWTH}`);
  setFlagsFromString(`--semi-space-growth-factor=${YOUNG_GROWTH_FACTOR}`);
}
