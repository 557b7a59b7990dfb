import { prctl } from '../ffi/libc.ts';

const PR_SET_DUMPABLE = 4; // <linux/prctl.h>

/**
 * A crash of this process leaves no image of its memory, which holds keys, and who is not root cannot look
 * into it. That it fails cannot be (prctl(2)).
 */
export function forbidCoreDumps(): void {
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}
