// npm run bench [-- OPTION…]: readies the machine, then lets tunnels compete (`ipipou help bench`).
import { spawn, spawnSync } from 'node:child_process';
import path from 'node:path';
import process from 'node:process';
import { PROJECT, setUp } from './setup.mjs';

const options = process.argv.slice(2);

try {
  setUp('bench');
  if (options.includes('--vm')) compileRig();
} catch (error) {
  console.error(`setup: ${error.message}`);
  process.exit(1);
}

const main = path.join(PROJECT, 'dist/cli/main.js');
const bench = spawn(process.execPath, [main, 'bench', ...options], { stdio: 'inherit' });
// Ctrl-C reaches the contest by itself; this process stays for its exit code.
process.on('SIGINT', () => undefined);
process.on('SIGTERM', () => bench.kill('SIGTERM'));
bench.on('close', (code) => process.exit(code ?? 1));

function compileRig() {
  const tsc = path.join(PROJECT, 'node_modules/.bin/tsc');
  const { status } = spawnSync(tsc, ['-p', 'test/vm/rig'], { cwd: PROJECT, stdio: 'inherit' });
  if (status !== 0) throw new Error('the virtual machine’s rig does not compile');
}
