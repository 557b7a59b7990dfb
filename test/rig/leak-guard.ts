import { afterAll, beforeAll } from 'vitest';
import { assertNoLeaks, snapshot, type MachineState, type Scope } from './leaks.ts';

/*
 * Setup of every test file that touches the kernel: the machine after the file is as before it.
 * The hooks are the first to be registered, so `afterAll` here runs after the file's own.
 */

const scope: Scope = process.env['IPIPOU_TEST_PRIVATE'] === '1' ? 'machine' : 'own';
let before: MachineState | undefined;

beforeAll(async () => {
  before = await snapshot(scope);
});

afterAll(async () => {
  if (before === undefined) throw new Error('the state before the tests is not known');
  await assertNoLeaks(before, scope);
});
