import { cp, mkdir, mkdtemp, readFile, rm, stat, symlink } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { run, type Finished, type RunOptions } from '../../src/adapters/lab/process.ts';
import { debianNode } from '../rig/debian-node.ts';
import { patience } from '../rig/patience.ts';
import { PROJECT } from '../vm/rig/project.ts';

/* The Debian package as a file: what is in it, and that it is the same wherever it is built. How it is to have
   it installed: debian-service.test.ts. */

/** What builds the program and the package. */
const SOURCES = [
  ...['src', 'bpf', 'scripts', 'systemd', 'docs', 'completions', 'packaging', 'ui', 'LICENSE'],
  ...['package.json', 'package-lock.json', 'tsconfig.json', 'tsconfig.build.json'],
];
const EPOCH = '1700000000';

let folder: string;
let deb: string;

async function succeed(argv: readonly string[], options: RunOptions = {}): Promise<string> {
  const done: Finished = await run(argv, { timeout: patience(120_000), ...options });
  if (done.code !== 0) throw new Error(`${argv.join(' ')}: ${done.code}\n${done.stderr}`);
  return done.stdout;
}

/** Makes the package in a clone; its path. */
async function makePackage(clone: string, out: string, env: RunOptions['env'] = {}) {
  const argv = [process.execPath, path.join(clone, 'scripts/deb.mjs'), '--out', out];
  const made = await succeed(argv, { env: { SOURCE_DATE_EPOCH: EPOCH, ...env } });
  return made.trim();
}

beforeAll(async () => {
  folder = await mkdtemp('/var/tmp/ipipou-deb-test-');
  deb = await makePackage(PROJECT, path.join(folder, 'first'));
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

test('built again in another folder, by another umask, zone and language, it has the same bytes', async () => {
  const clone = path.join(folder, 'a clone');
  for (const name of SOURCES) {
    await cp(path.join(PROJECT, name), path.join(clone, name), { recursive: true });
  }
  await symlink(path.join(PROJECT, 'node_modules'), path.join(clone, 'node_modules'));
  const build = 'umask 077 && npm run --silent build';
  await succeed(['sh', '-c', build], { cwd: clone });
  const env = { TZ: 'Asia/Tokyo', LC_ALL: 'C', HOME: folder };
  const again = await makePackage(clone, path.join(folder, 'second'), env);
  expect((await readFile(again)).equals(await readFile(deb))).toBe(true);
});

test('lintian finds no fault', async () => {
  const done = await run(['lintian', '--allow-root', '--fail-on', 'error,warning', deb], {
    timeout: patience(120_000),
  });
  expect(done).toMatchObject({ code: 0, stdout: '' });
});

test('what is in it: this architecture alone, secrets in a folder of their own', async () => {
  const listed = await succeed(['dpkg-deb', '-c', deb]);
  expect(listed).toMatch(/^drwx------ root\/root .* \.\/etc\/ipipou\/$/m);
  expect(listed).toMatch(/ \.\/usr\/bin\/ipipou -> \.\.\/lib\/ipipou\/dist\/cli\/main\.js$/m);
  expect(listed.match(/koffi\.node$/gm)).toHaveLength(1);
  expect(listed).not.toMatch(/musl|(?:\.ts|\.cc|\.map)$/m);
  for (const name of ['ipipou.8.gz', 'ipipou.conf.5.gz', 'completions/ipipou', '_ipipou']) {
    expect(listed).toContain(name);
  }
  expect((await stat(deb)).size).toBeLessThan(1.5 * 2 ** 20);
});

test("its program runs on Debian's Node", async () => {
  const root = path.join(folder, 'root');
  const trees = [root, path.join(debianNode(), 'root')].map((tree) => path.join(tree, 'usr'));
  await mkdir(root);
  await succeed(['dpkg-deb', '-x', deb, root]);
  const over = `mount -t overlay overlay -o lowerdir=${trees.join(':')}:/usr /usr && exec "$@"`;
  const installed = async (...argv: string[]): Promise<string> =>
    succeed(['unshare', '--mount', 'sh', '-c', over, 'sh', ...argv]);
  const { version } = JSON.parse(await readFile(path.join(PROJECT, 'package.json'), 'utf8')) as {
    readonly version: string;
  };
  expect(await installed('ipipou', 'version')).toBe(`ipipou ${version}\n`);
  const node = (await installed('/usr/bin/node', '--version')).trim().slice(1);
  expect(await installed('ipipou', 'doctor')).toContain(`Node 18.13 or newer: ${node}`);
  const install = ['unshare', '--mount', 'sh', '-c', over, 'sh', 'ipipou', 'service', 'install'];
  expect(await run(install, { timeout: patience(60_000) })).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('the units came with the Debian package'),
  });
});
