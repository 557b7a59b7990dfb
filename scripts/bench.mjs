// npm run bench [-- OPTION…]: readies the machine, then lets tunnels compete (`ipipou help bench`).
import { spawnSync } from 'node:child_process';
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

// In this process, so that a signal to it is one to the contest, too.
const main = path.join(PROJECT, 'dist/cli/main.js');
process.argv.splice(1, process.argv.length, main, 'bench', ...options);
await import(main);

function compileRig() {
  const tsc = path.join(PROJECT, 'node_modules/.bin/tsc');
  const { status } = spawnSync(tsc, ['-p', 'test/vm/rig'], { cwd: PROJECT, stdio: 'inherit' });
  if (status !== 0) throw new Error('the virtual machine’s rig does not compile');
}
