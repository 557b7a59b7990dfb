// npm run demo [-- OPTION…]: readies the machine, then shows a tunnel in a lab of namespaces.
import path from 'node:path';
import process from 'node:process';
import { PROJECT, setUp } from './setup.mjs';

try {
  setUp('demo');
} catch (error) {
  console.error(`setup: ${error.message}`);
  process.exit(1);
}

// In this process, so that a signal to it is one to the demo, too.
const main = path.join(PROJECT, 'dist/cli/main.js');
process.argv.splice(1, process.argv.length, main, 'demo', ...process.argv.slice(2));
await import(main);
