import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { configsIn } from '../../../src/cli/setup/neighbours.ts';

test('tunnels beside a file are found, and what is wrong with others is told', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'ipipou-neighbours-'));
  try {
    const server = 'server\nauth-token t\nnumber 7\n';
    await writeFile(path.join(folder, 'good.conf'), server, { mode: 0o600 });
    await writeFile(path.join(folder, 'bad.conf'), `${server}expose http\n`, { mode: 0o600 });
    await writeFile(path.join(folder, 'note.txt'), 'nothing');
    const faults: string[] = [];
    const found = await configsIn(folder, ({ message }) => void faults.push(message));
    expect(found.map(({ number, role }) => `${role} ${number}`)).toEqual(['server 7']);
    expect(faults).toEqual([expect.stringMatching(/bad\.conf:4: expose: "http": expected /)]);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
