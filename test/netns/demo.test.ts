import { readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { expect, test } from 'vitest';
import { Program, run } from '../../src/adapters/lab/process.ts';
import { millis } from '../../src/core/units.ts';
import { IPIPOU } from '../rig/daemon.ts';

/** The drawing of the topology is at the head of src/adapters/lab/topology.ts. */

const DEMO = [process.execPath, IPIPOU, 'demo'];
const TIMEOUT = millis(240_000);

function leftovers(): readonly string[] {
  const names = [...readdirSync('/run/netns'), ...readdirSync(tmpdir())];
  return names.filter((name) => /^ipipou-(demo-|[0-9]+-[0-9]+-)/.test(name));
}

test.each(['bpf', 'tun'])(
  'the demo shows its tunnels at work on %s and leaves nothing',
  async (plane) => {
    const before = leftovers();
    const { code, stdout, stderr } = await run([...DEMO, '--plane', plane], { timeout: TIMEOUT });
    expect({ code, stderr, crosses: stdout.match(/✗.*/g) }, stdout).toEqual({
      ...{ code: 0, stderr: '', crosses: null },
    });
    expect(stdout).toMatch(/✓ client 0 and the server are connected/);
    expect(stdout).toMatch(/✓ client 1 and the server are connected/);
    expect(stdout).toMatch(/✓ the server reaches client 2 at 172\.28\.0\.5 and fd28::5/);
    expect(stdout).toMatch(/✓ client 2 reaches the server at 172\.28\.0\.4 and fd28::4/);
    expect(stdout).toMatch(/✓ this machine is as it was/);
    expect(leftovers()).toEqual(before);
  },
  TIMEOUT,
);

test(
  'an interrupted demo cleans up and fails',
  async () => {
    const before = leftovers();
    const demo = new Program(DEMO);
    await demo.waitFor(/✓ client 0 and the server are connected/, TIMEOUT);
    const { code, stdout } = await demo.stop('SIGINT');
    expect(code).toBe(1);
    expect(stdout).toMatch(/interrupted: cleaning up/);
    expect(stdout).toMatch(/✓ this machine is as it was/);
    expect(leftovers()).toEqual(before);
  },
  TIMEOUT,
);
