import { defineConfig } from 'vitest/config';

/*
 * The timeouts (those of tests of the kernel are set in leak-guard.ts) only end what hangs, on machines that are as
 * busy as may be; how long a test waits for something is told where it waits (test/rig/patience.ts), and whole
 * suites have a watchdog.
 */
const kernel = {
  setupFiles: ['test/rig/leak-guard.ts'],
  fileParallelism: false,
};

export default defineConfig({
  test: {
    projects: [
      { test: { name: 'unit', include: ['test/unit/**/*.test.ts'], testTimeout: 60_000 } },
      { test: { name: 'sim', include: ['test/sim/**/*.test.ts'], testTimeout: 600_000 } },
      { test: { ...kernel, name: 'netns', include: ['test/netns/**/*.test.ts'] } },
    ],
  },
});
