// npm run demo [-- OPTION…]: readies the machine, then shows a tunnel in a lab of namespaces.
import process from 'node:process';
import { becomeCommand, setUp } from './setup.mjs';

try {
  setUp('demo');
} catch (error) {
  console.error(`setup: ${error.message}`);
  process.exit(1);
}

await becomeCommand('demo', process.argv.slice(2));
