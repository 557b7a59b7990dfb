import { afterAll, beforeAll, vi } from 'vitest';
import { assertNoLeaks, snapshot, type MachineState, type Scope } from './leaks.ts';
import { patience } from './patience.ts';

/*
 * Setup of every test file that touches the kernel: the machine after the file is as before it.
 * The hooks are the first to be registered, so `afterAll` here runs after the file's own.
 */

/** What hangs ends; what goes on may take as long as the machine makes it. */
const ends = Math.max(300_000, patience(150_000));
vi.setConfig({ testTimeout: ends, hookTimeout: ends });

const scope: Scope = process.env['IPIPOU_TEST_PRIVATE'] === '1' ? 'machine' : 'own';
let before: MachineState | undefined;

beforeAll(async () => {
  before = await snapshot(scope);
});

afterAll(async () => {
  if (before === undefined) throw new Error('the state before the tests is not known');
  await assertNoLeaks(before, scope);
});
