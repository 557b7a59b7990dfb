import { expect, test } from 'vitest';
import { run } from '../../src/adapters/lab/process.ts';
import { millis } from '../../src/core/units.ts';
import { IPIPOU } from '../rig/daemon.ts';

/** The drawing of the topology is at the head of src/adapters/lab/topology.ts. */

const TIMEOUT = millis(240_000);

test(
  'the demo runs on the kernel’s own plane',
  async () => {
    const argv = [process.execPath, IPIPOU, 'demo', '--plane', 'fou'];
    const { code, stdout, stderr } = await run(argv, { timeout: TIMEOUT });
    expect({ code, stderr, crosses: stdout.match(/✗.*/g) }, stdout).toEqual({
      ...{ code: 0, stderr: '', crosses: null },
    });
    expect(stdout).toMatch(/plane +fou/);
  },
  TIMEOUT,
);
