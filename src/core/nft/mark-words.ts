import type { Mark } from '../config/syntax-reach.ts';

export type MarkWords = Readonly<
  Record<'is' | 'isNot' | 'set' | 'others', (what: 'ct' | 'meta') => string>
>;

/** A mark of connections (`ct`) and packets (`meta`) in rules: bits outside of its mask stay as they are. */
export function markWords({ value, mask }: Mark): MarkWords {
  const hex = (bits: number): string => `0x${(bits >>> 0).toString(16)}`;
  const others = (what: string): string => `${what} mark & ${hex(~mask)}`;
  return {
    is: (what) => `${what} mark & ${hex(mask)} == ${hex(value)}`,
    isNot: (what) => `${what} mark & ${hex(mask)} != ${hex(value)}`,
    set: (what) =>
      mask >>> 0 === 0xffff_ffff
        ? `${what} mark set ${hex(value)}`
        : `${what} mark set ${others(what)} | ${hex(value)}`,
    others,
  };
}
