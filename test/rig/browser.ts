import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { chromium, type Browser } from 'playwright-core';

/** Debian's. */
const CHROMIUM = '/usr/bin/chromium';

/** A browser whose network is a namespace's; what closes it takes everything away. */
export async function browserIn(
  namespace: string,
): Promise<{ readonly browser: Browser; readonly close: () => Promise<void> }> {
  const folder = await mkdtemp(path.join(tmpdir(), 'ipipou-browser-'));
  const program = path.join(folder, 'chromium');
  await writeFile(program, `#!/bin/sh\nexec ip netns exec ${namespace} ${CHROMIUM} "$@"\n`);
  await chmod(program, 0o755);
  const browser = await chromium.launch({ executablePath: program, args: ['--disable-gpu'] });
  return {
    browser,
    async close() {
      await browser.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
