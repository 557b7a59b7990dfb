import type { Mark } from '../config/syntax-reach.ts';

/** Bits of the marks that are tried: others have those above and below. */
const MASK = 0x3f00_0000;
const STEP = 0x0100_0000;
/** Where who needs a second mark begins. */
export const SECOND_MARK = 0x0200_0000;

/** The first mark that none of these rules of policy routing asks for. */
export function freeMark(
  rules: readonly { readonly mark?: Mark | undefined }[],
  from = STEP,
): Mark {
  const isFree = (value: number): boolean =>
    rules.every(
      ({ mark }) =>
        mark === undefined ||
        (mark.mask & MASK) === 0 ||
        ((mark.value ^ value) & mark.mask & MASK) !== 0,
    );
  let value = from;
  while (!isFree(value) && value < MASK) value += STEP;
  return { value, mask: MASK };
}
