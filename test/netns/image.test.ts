import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { run } from '../../src/adapters/lab/process.ts';
import { patience } from '../rig/patience.ts';
import { PROJECT } from '../vm/rig/project.ts';

/* The container image: the same bytes twice, and a program in it that runs with nothing of this machine's files. */

let folder: string;
const images: string[] = [];

async function succeed(argv: readonly string[]): Promise<string> {
  const env = { SOURCE_DATE_EPOCH: '1700000000' };
  const done = await run(argv, { timeout: patience(120_000), env });
  if (done.code !== 0) throw new Error(`${argv.join(' ')}: ${done.code}\n${done.stderr}`);
  return done.stdout.trim();
}

type Named = { readonly digest: string };
type Index = { readonly manifests: readonly [Named] };
type Manifest = { readonly config: Named; readonly layers: readonly Named[] };

beforeAll(async () => {
  folder = await mkdtemp('/var/tmp/ipipou-image-test-');
  for (const name of ['first', 'second']) {
    const make = [path.join(PROJECT, 'scripts/image.mjs'), '--out', path.join(folder, name)];
    images.push(await succeed([process.execPath, ...make]));
  }
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

test('two builds are the same bytes', async () => {
  const [first, second] = await Promise.all(images.map((file) => readFile(file)));
  expect(second && first?.equals(second)).toBe(true);
});

test('its layers make a root in which the program runs', async () => {
  const layout = path.join(folder, 'layout');
  const root = path.join(folder, 'root');
  await Promise.all([mkdir(layout), mkdir(root)]);
  await succeed(['tar', '-xf', images[0] ?? '', '-C', layout]);
  const blob = ({ digest }: Named): string => path.join(layout, 'blobs', digest.replace(':', '/'));
  const json = async (file: string): Promise<unknown> => JSON.parse(await readFile(file, 'utf8'));
  const index = (await json(path.join(layout, 'index.json'))) as Index;
  const manifest = (await json(blob(index.manifests[0]))) as Manifest;
  for (const layer of manifest.layers) await succeed(['tar', '-xzf', blob(layer), '-C', root]);
  expect(await json(blob(manifest.config))).toMatchObject({
    os: 'linux',
    config: { Entrypoint: ['/usr/bin/ipipou'] },
  });
  const settle = `mount -t proc proc ${root}/proc && mount --rbind /dev ${root}/dev && exec chroot ${root} "$@"`;
  const inside = (...argv: string[]): Promise<string> =>
    succeed(['unshare', '--mount', 'sh', '-c', settle, 'sh', '/usr/bin/ipipou', ...argv]);
  expect(await inside('version')).toMatch(/^ipipou \d/);
  expect(await inside('doctor')).toMatch(/^data plane tun: works$/m);
});
