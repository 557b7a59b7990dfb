// npm test [-- [--native] [SUITE [FILTER…]]]: readies the machine, runs every suite or one, counts.
// Exit code 0 only if something ran in every suite and all of it passed: what is skipped fails.
import process from 'node:process';
import { setUp } from './setup.mjs';
import { SUITES } from './suites.mjs';

const words = process.argv.slice(2);
const native = words.includes('--native');
const [wanted, ...filters] = words.filter((word) => word !== '--native');
const suites = SUITES.filter(({ name }) => wanted === undefined || name === wanted);
if (suites.length === 0) {
  const names = SUITES.map(({ name }) => name).join('|');
  console.error(`no suite "${wanted}"; usage: npm test -- [--native] [${names} [FILTER…]]`);
  process.exit(2);
}

try {
  const levels = ['code', 'demo', 'netns', 'test'];
  const level = Math.max(...suites.map(({ needs }) => levels.indexOf(needs)));
  setUp(levels[level]);
} catch (error) {
  console.error(`setup: ${error.message}`);
  console.log('0 passed, 1 failed');
  process.exit(1);
}

const abort = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => abort.abort());

const rows = [];
for (const { name, limit, run } of suites) {
  if (abort.signal.aborted) break;
  console.log(`\n=== ${name}`);
  const begin = performance.now();
  const result = await run(filters, { limit, native, signal: abort.signal });
  if (result.passed + result.failed + result.skipped === 0) {
    result.failed = 1;
    result.notes.push('no test ran');
  }
  if (abort.signal.aborted) {
    result.failed += 1;
    result.notes.push('interrupted');
  }
  rows.push({ name, seconds: (performance.now() - begin) / 1000, ...result });
}

const cells = rows.map(({ name, passed, failed, skipped, seconds }) => [
  name,
  ...[passed, failed, skipped].map(String),
  seconds.toFixed(1),
]);
console.log();
for (const [name, ...numbers] of [['suite', 'passed', 'failed', 'skipped', 'seconds'], ...cells]) {
  console.log(name.padEnd(8) + numbers.map((text) => text.padStart(9)).join(''));
}
for (const { name, notes } of rows) for (const note of notes) console.log(`${name}: ${note}`);

const sum = (key) => rows.reduce((total, row) => total + row[key], 0);
const skipped = sum('skipped');
process.exitCode = sum('failed') + skipped > 0 ? 1 : 0;
const tail = skipped > 0 ? `, ${skipped} skipped` : '';
console.log(`\n${sum('passed')} passed, ${sum('failed')} failed${tail}`);
