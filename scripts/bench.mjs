// npm run bench [-- OPTION…]: readies the machine, then lets tunnels compete (`ipipou help bench`).
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import process from 'node:process';
import { becomeCommand, PROJECT, setUp } from './setup.mjs';

const options = process.argv.slice(2);

try {
  setUp('bench');
  if (options.includes('--vm')) compileRig();
} catch (error) {
  console.error(`setup: ${error.message}`);
  process.exit(1);
}

await becomeCommand('bench', options);

function compileRig() {
  const tsc = path.join(PROJECT, 'node_modules/.bin/tsc');
  const { status } = spawnSync(tsc, ['-p', 'test/vm/rig'], { cwd: PROJECT, stdio: 'inherit' });
  if (status !== 0) throw new Error('the virtual machine’s rig does not compile');
}
