import { expect, test } from 'vitest';
import { run } from '../../src/adapters/lab/process.ts';
import { IPIPOU } from '../rig/daemon.ts';
import { patience } from '../rig/patience.ts';

/** The drawing of the topology is at the head of src/adapters/lab/topology.ts. */

test('the demo runs on the kernel’s own plane', async () => {
  const argv = [process.execPath, IPIPOU, 'demo', '--plane', 'fou'];
  const { code, stdout, stderr } = await run(argv, { timeout: patience(150_000) });
  expect({ code, stderr, crosses: stdout.match(/✗.*/g) }, stdout).toEqual({
    ...{ code: 0, stderr: '', crosses: null },
  });
  expect(stdout).toMatch(/plane +fou/);
});
