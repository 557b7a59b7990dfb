// npm run demo [-- OPTION…]: readies the machine, then shows a tunnel in a lab of namespaces.
import { spawn } from 'node:child_process';
import path from 'node:path';
import process from 'node:process';
import { PROJECT, setUp } from './setup.mjs';

try {
  setUp('demo');
} catch (error) {
  console.error(`setup: ${error.message}`);
  process.exit(1);
}

const main = path.join(PROJECT, 'dist/cli/main.js');
const demo = spawn(process.execPath, [main, 'demo', ...process.argv.slice(2)], {
  stdio: 'inherit',
});
// Ctrl-C reaches the demo by itself; this process stays for its exit code.
process.on('SIGINT', () => undefined);
process.on('SIGTERM', () => demo.kill('SIGTERM'));
demo.on('close', (code) => process.exit(code ?? 1));
