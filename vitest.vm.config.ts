import { defineConfig } from 'vitest/config';

/** Tests that need Debian's kernel; run in a guest, where every process start is dear. */
export default defineConfig({
  test: {
    name: 'vm',
    include: ['test/vm/**/*.test.ts'],
    globalSetup: ['test/vm/modules.ts'],
    setupFiles: ['test/rig/leak-guard.ts'],
    pool: 'forks',
    maxWorkers: 1,
    isolate: false,
  },
});
