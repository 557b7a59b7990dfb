import { defineConfig } from 'vitest/config';

const kernel = {
  setupFiles: ['test/rig/leak-guard.ts'],
  fileParallelism: false,
  testTimeout: 30_000,
  hookTimeout: 30_000,
};

export default defineConfig({
  test: {
    projects: [
      { test: { name: 'unit', include: ['test/unit/**/*.test.ts'] } },
      { test: { name: 'sim', include: ['test/sim/**/*.test.ts'], testTimeout: 120_000 } },
      { test: { ...kernel, name: 'netns', include: ['test/netns/**/*.test.ts'] } },
    ],
  },
});
