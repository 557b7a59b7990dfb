// Shares the files of a suite out among runs side by side, by how long each took when that was written down.
//   node scripts/shares.mjs     writes down what the last runs of `npm test` took, in test/seconds.json
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath, pathToFileURL } from 'node:url';

const PROJECT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const RESULTS = path.join(PROJECT, '.cache/results');
const SECONDS = path.join(PROJECT, 'test/seconds.json');

/** `files` in so many shares that take about as long as each other; none is empty where there are files enough. */
export function shareOut(files, seconds, number) {
  const known = files.flatMap((file) => seconds[file] ?? []).toSorted((a, b) => a - b);
  const usual = known[known.length >> 1] ?? 1;
  const weight = (file) => seconds[file] ?? usual;
  const shares = Array.from({ length: number }, () => ({ files: [], weight: 0 }));
  for (const file of files.toSorted((a, b) => weight(b) - weight(a) || a.localeCompare(b))) {
    const least = shares.reduce((best, share) => (share.weight < best.weight ? share : best));
    least.files.push(file);
    least.weight += weight(file);
  }
  return shares.map((share) => share.files).filter((share) => share.length > 0);
}

/** All test files of a suite, in shares. */
export function sharesOf(suite, number) {
  const files = readdirSync(path.join(PROJECT, 'test', suite), { recursive: true })
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => path.posix.join('test', suite, name));
  return shareOut(files, JSON.parse(readFileSync(SECONDS, 'utf8')), number);
}

/** What vitest's reports say of each file of the suites that are shared out, and what is known of others. */
function writeDown(suites) {
  const known = JSON.parse(readFileSync(SECONDS, 'utf8'));
  const reports = existsSync(RESULTS) ? readdirSync(RESULTS) : [];
  const files = reports
    .filter((name) => suites.some((suite) => name.startsWith(suite)))
    .flatMap((name) => JSON.parse(readFileSync(path.join(RESULTS, name), 'utf8')).testResults);
  for (const { name, startTime, endTime } of files) {
    known[path.relative(PROJECT, name)] = Math.ceil((endTime - startTime) / 1000);
  }
  const there = Object.entries(known).filter(([file]) => existsSync(path.join(PROJECT, file)));
  const sorted = Object.fromEntries(there.toSorted(([a], [b]) => a.localeCompare(b)));
  writeFileSync(SECONDS, `${JSON.stringify(sorted, undefined, 2)}\n`);
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  writeDown(['netns', 'vm']);
}
