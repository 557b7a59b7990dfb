import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { startInBackground } from '../../../src/cli/background.ts';

const [, program = ''] = process.argv;
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'ipipou-test-'));
});

afterEach(async () => {
  process.argv[1] = program;
  await rm(folder, { recursive: true, force: true });
});

/** What a daemon that is this script says of why it ends. */
async function lastWords(script: string, env: Readonly<Record<string, string>>): Promise<string> {
  process.argv[1] = path.join(folder, 'daemon.cjs');
  const tell = `const tell = (line) => require('node:fs').writeSync(3, JSON.stringify(line) + '\\n');`;
  await writeFile(process.argv[1], `${tell}\n${script}`);
  const starting = startInBackground({
    args: [],
    env: { ...process.env, ...env },
    logPath: path.join(folder, 'log'),
    said: () => undefined,
    signal: new AbortController().signal,
  });
  return starting.then(
    () => 'ready',
    (error: unknown) => (error as Error).message,
  );
}

test("a daemon has the environment of who starts it, but for certificates, which take Node's start longer than all else", async () => {
  const words = await lastWords(
    `const { NODE_EXTRA_CA_CERTS, OTHER } = process.env;
     tell({ kind: 'failed', exit: 'generic', message: [NODE_EXTRA_CA_CERTS, OTHER].join() });`,
    { NODE_EXTRA_CA_CERTS: '/etc/ssl/certs/ca-certificates.crt', OTHER: 'stays' },
  );
  expect(words).toBe(',stays');
});

test('one that says nothing has ended before it was ready', async () => {
  expect(await lastWords('', {})).toBe('the daemon ended before it was ready');
});
