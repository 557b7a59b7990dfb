import { expect, test } from 'vitest';
import { prctl } from '../../../src/adapters/ffi/libc.ts';
import { forbidCoreDumps } from '../../../src/adapters/system/core-dumps.ts';

const PR_GET_DUMPABLE = 3; // <linux/prctl.h>
const PR_SET_DUMPABLE = 4;

test('a crash leaves no memory of a process that holds secrets', () => {
  expect(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0)).toBe(1);
  try {
    forbidCoreDumps();
    expect(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0)).toBe(0);
  } finally {
    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
  }
});
