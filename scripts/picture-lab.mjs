// The lab in namespaces (src/adapters/lab/topology.ts) that pictures for the docs are taken of, with the built program in it.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { PROJECT, setUp } from './setup.mjs';

setUp('netns');
const { up } = await import('../.cache/modules/adapters/lab/topology.js');
const { generateKeyPair } = await import('../.cache/modules/adapters/crypto.js');

export { generateKeyPair };
export const MAIN = path.join(PROJECT, 'dist/cli/main.js');
export const IMAGES = path.join(PROJECT, 'docs/images');
export const base64 = (bytes) => Buffer.from(bytes).toString('base64');

/** A lab and a folder for its hosts' files; `close` takes both away. */
export async function openLab(options) {
  const folder = mkdtempSync(path.join(tmpdir(), 'ipipou-pictures-'));
  const lab = await up(options);
  const env = (namespace) => ({
    IPIPOU_RUN_DIR: path.join(folder, 'run'),
    IPIPOU_LOG_DIR: path.join(folder, 'log', namespace),
    IPIPOU_STATE_DIR: path.join(folder, 'state', namespace),
  });
  /** The program on a host, with these lines as home.conf. */
  const start = (namespace, lines) => {
    const own = path.join(folder, namespace);
    mkdirSync(own, { recursive: true });
    const file = path.join(own, 'home.conf');
    writeFileSync(file, `${lines.join('\n')}\n`, { mode: 0o600 });
    const command = [process.execPath, MAIN, '--config', file];
    return lab.spawn(namespace, command, { env: env(namespace) });
  };
  const close = async () => {
    await lab.down();
    rmSync(folder, { recursive: true, force: true });
  };
  return { lab, folder, env, start, close };
}
