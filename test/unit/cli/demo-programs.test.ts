import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { requirePrograms } from '../../../src/cli/demo/programs.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'ipipou-programs-'));
afterAll(() => rmSync(folder, { recursive: true }));

const install = (name: string, mode = 0o755): void =>
  writeFileSync(path.join(folder, name), '', { mode });

test('everything that is missing is named at once, with its packages', async () => {
  for (const name of ['nft', 'conntrack', 'sysctl', 'ethtool']) install(name);
  install('ping', 0o644);
  await expect(requirePrograms(`/nonexistent:${folder}`)).rejects.toMatchObject({
    message: 'demo: not installed: ip, ping',
    hint: 'apt-get install iproute2 iputils-ping',
  });
  for (const name of ['ip', 'ping']) rmSync(path.join(folder, name), { force: true });
  for (const name of ['ip', 'ping']) install(name);
  await expect(requirePrograms(`/nonexistent:${folder}`)).resolves.toBeUndefined();
});
