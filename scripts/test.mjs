// npm test [-- [--native] [SUITE [FILTER…]]]: readies the machine, runs every suite or one, counts.
// Suites that do not wait for each other run side by side; what they say is marked by their names.
// Exit code 0 only if something ran in every suite and all of it passed: what is skipped fails.
import { availableParallelism } from 'node:os';
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

const several = suites.length > 1;

async function rowOf({ name, limit, run }) {
  console.log(`\n=== ${name}`);
  const begin = performance.now();
  const result = await run(filters, { limit, native, signal: abort.signal, marked: several });
  if (result.passed + result.failed + result.skipped === 0) {
    result.failed = 1;
    result.notes.push('no test ran');
  }
  if (abort.signal.aborted) {
    result.failed += 1;
    result.notes.push('interrupted');
  }
  const { passed, failed, skipped } = result;
  const seconds = (performance.now() - begin) / 1000;
  const also = skipped > 0 ? `, ${skipped} skipped` : '';
  if (several) console.log(`\n=== ${name}: ${passed} passed, ${failed} failed${also}`);
  return { name, seconds, ...result };
}

async function inTurn(lane) {
  const done = [];
  for (const suite of lane) if (!abort.signal.aborted) done.push(await rowOf(suite));
  return done;
}

const apart = availableParallelism() > 1 ? suites.filter(({ beside }) => beside) : [];
const rest = suites.filter((suite) => !apart.includes(suite));
const lanes = await Promise.all([rest, ...apart.map((suite) => [suite])].map(inTurn));
const rows = lanes.flat();

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
