// The suites, in the order in which `npm test` runs them. Each runs alone by its name.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { PROJECT } from './setup.mjs';
import { processorShare, watchOutput } from './watchdog.mjs';

const RESULTS = path.join(PROJECT, '.cache/results');
const BIN = path.join(PROJECT, 'node_modules/.bin');
const VITEST = path.join(PROJECT, 'node_modules/vitest/vitest.mjs');
const PROGRESS = path.join(PROJECT, 'scripts/progress-reporter.mjs');

/**
 * `needs`: the purpose to set up for. `limit`: the suite is killed when nothing began or ended for so many
 * seconds of a processor of its own (watchdog.mjs): a suite that goes on may take as long as the machine
 * makes it. `run(filters, { limit, native, signal })`: resolves to { passed, failed, skipped, notes }.
 */
export const SUITES = [
  { name: 'format', needs: 'code', limit: 120, run: check(['prettier', '--check', '.']) },
  { name: 'lint', needs: 'code', limit: 120, run: check(['oxlint', '--type-aware']) },
  { name: 'types', needs: 'code', limit: 120, run: check(['tsc', '--noEmit', '-p', '.']) },
  { name: 'unit', needs: 'code', limit: 120, run: vitest('unit') },
  { name: 'sim', needs: 'code', limit: 240, run: vitest('sim') },
  { name: 'netns', needs: 'netns', limit: 240, run: vitest('netns', { secluded: true, parts: 2 }) },
  { name: 'vm', needs: 'test', limit: 300, run: virtualMachine },
];

/** A tool that passes or fails as a whole. */
function check([tool, ...args]) {
  return async (_, { limit, signal }) => {
    const { code, stalled } = await start([path.join(BIN, tool), ...args], { limit, signal });
    const failed = code === 0 ? 0 : 1;
    return { passed: 1 - failed, failed, skipped: 0, notes: stalled ? [stalled] : [] };
  };
}

/**
 * `parts`: all files together are run in so many processes side by side, where there are processors for them.
 * Most of what tests of the kernel do is wait, and what is secluded does not see the others.
 */
function vitest(project, { secluded = false, config = [], parts = 1 } = {}) {
  return async (filters, { limit, signal }) => {
    const number = filters.length > 0 ? 1 : Math.min(parts, availableParallelism());
    const run = async (part) => {
      const results = resultsFile(number === 1 ? project : `${project}-${part}`);
      const command = [
        process.execPath,
        VITEST,
        'run',
        ...config,
        ...reporters(results),
        ...filters,
      ];
      if (config.length === 0) command.push('--project', project);
      if (number > 1) command.push(`--shard=${part}/${number}`);
      const { code, stalled } = await start(secluded ? seclude(command) : command, {
        ...{ limit, signal },
        env: secluded ? { IPIPOU_TEST_PRIVATE: '1' } : {},
      });
      return count(results, stalled ?? (code === 0 ? '' : `exit code ${code}`));
    };
    return together(
      await Promise.all(Array.from({ length: number }, (_, index) => run(index + 1))),
    );
  };
}

/** What several runs found, as if they were one. */
export function together(runs) {
  const sum = (key) => runs.reduce((total, run) => total + run[key], 0);
  return {
    ...{ passed: sum('passed'), failed: sum('failed'), skipped: sum('skipped') },
    notes: runs.flatMap(({ notes }) => notes),
  };
}

/** One guest for all files; `native` runs them on this machine, whose kernel must have FOU. */
async function virtualMachine(filters, { limit, native, signal }) {
  const config = ['--config', 'vitest.vm.config.ts'];
  if (native) return vitest('vm', { secluded: true, config })(filters, { limit, signal });
  const compiled = await start([path.join(BIN, 'tsc'), '-p', 'test/vm/rig'], {
    limit: 120,
    signal,
  });
  if (compiled.code !== 0) return failure('the rig does not compile');
  const { runInVm } = await import(path.join(PROJECT, '.cache/rig/machine.js'));
  const results = resultsFile('vm');
  const guestResults = `/run/vm/out/${path.basename(results)}`;
  const hung = new AbortController();
  const output = watchOutput({ limit, kill: () => hung.abort() });
  try {
    const ended = await runInVm({
      command: [process.execPath, VITEST, 'run', ...config, ...reporters(guestResults), ...filters],
      outDir: RESULTS,
      signal: AbortSignal.any([signal, hung.signal]),
      env: { IPIPOU_TEST_PRIVATE: '1', CI: '1', IPIPOU_TEST_PACE: String(guestPace()) },
      onStdout: output.push,
    });
    if (ended.kind !== 'exited') console.error(ended.console);
    const problem = ended.kind !== 'exited' ? `the guest: ${ended.kind}` : ended.code;
    return count(results, problem === 0 ? '' : `exit code or end: ${problem}`);
  } catch (error) {
    return failure(output.stalled() ?? error.message);
  } finally {
    output.stop();
  }
}

/** How many times as long as on a quiet machine things in the guest may take; it cannot see this one's load. */
function guestPace() {
  return Math.max(2, 1 / processorShare());
}

function resultsFile(name) {
  mkdirSync(RESULTS, { recursive: true });
  const file = path.join(RESULTS, `${name}.json`);
  rmSync(file, { force: true });
  return file;
}

function reporters(file) {
  return ['default', PROGRESS, 'json']
    .map((name) => `--reporter=${name}`)
    .concat(`--outputFile.json=${file}`);
}

/**
 * What vitest's JSON report says. A file that failed without a failed test (it could not be loaded,
 * or left something behind) counts as one failure; so does a bad end that the report does not explain.
 */
export function count(file, problem) {
  if (!existsSync(file)) return failure(`no results: ${problem || 'ended silently'}`);
  const files = JSON.parse(readFileSync(file, 'utf8')).testResults;
  if (files.length === 0) return failure('no test ran');
  const tests = files.flatMap(({ assertionResults }) => assertionResults);
  const passed = tests.filter(({ status }) => status === 'passed').length;
  const failedTests = tests.filter(({ status }) => status === 'failed').length;
  const brokenFiles = files.filter(
    ({ status, assertionResults }) =>
      status === 'failed' && !assertionResults.some((test) => test.status === 'failed'),
  );
  const explained = failedTests + brokenFiles.length;
  const failed = explained === 0 && problem ? 1 : explained;
  const notes = brokenFiles.map(({ name }) => `${path.relative(PROJECT, name)} failed as a whole`);
  if (failed > explained) notes.push(problem);
  return { passed, failed, skipped: tests.length - passed - failedTests, notes };
}

function failure(note) {
  return { passed: 0, failed: 1, skipped: 0, notes: [note] };
}

/** A command in network, mount and process namespaces of its own: nothing of it reaches the machine. */
function seclude(command) {
  const prepare = [
    'mount -t tmpfs tmpfs /run',
    'mkdir /run/netns',
    'mkdir -p /var/lib/ipipou',
    'mount -t tmpfs tmpfs /var/lib/ipipou',
    'mount -t sysfs sysfs /sys',
    'ip link set lo up',
    'exec "$@"',
  ].join(' && ');
  const flags = ['--mount', '--net', '--pid', '--fork', '--kill-child', '--mount-proc'];
  return ['unshare', ...flags, '--', 'sh', '-c', prepare, 'sh', ...command];
}

/**
 * Runs a command in a process group of its own, killed when it makes no progress for `limit` (watchdog.mjs)
 * or by the signal. `stalled`: the words of the watchdog, where it had to.
 */
export async function start([file, ...args], { limit, signal, every, env = {} }) {
  const options = { cwd: PROJECT, stdio: ['ignore', 'pipe', 'inherit'], detached: true };
  const colour = process.stdout.isTTY ? { FORCE_COLOR: '1' } : {};
  const child = spawn(file, args, { ...options, env: { ...process.env, ...colour, ...env } });
  const kill = () => child.pid && process.kill(-child.pid, 'SIGKILL');
  const output = watchOutput({ limit, every, kill });
  child.stdout.setEncoding('utf8').on('data', output.push);
  signal.addEventListener('abort', kill);
  try {
    const code = await new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    return { code, stalled: output.stalled() };
  } finally {
    output.stop();
    signal.removeEventListener('abort', kill);
  }
}
