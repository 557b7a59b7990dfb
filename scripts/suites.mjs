// The suites, in the order in which `npm test` counts them up. Each runs alone by its name.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { tellPace } from './pace.mjs';
import { PROJECT } from './setup.mjs';
import { sharesOf } from './shares.mjs';
import { speaker, watchOutput } from './watchdog.mjs';

const RESULTS = path.join(PROJECT, '.cache/results');
const BIN = path.join(PROJECT, 'node_modules/.bin');
const VITEST = path.join(PROJECT, 'node_modules/vitest/vitest.mjs');
const PROGRESS = path.join(PROJECT, 'scripts/progress-reporter.mjs');

/**
 * `needs`: the purpose to set up for. `limit`: the suite is killed when nothing began or ended for so many
 * seconds of a processor of its own (watchdog.mjs): a suite that goes on may take as long as the machine
 * makes it. `beside`: it does not wait for the others, nor they for it, where there are two processors.
 * `run(filters, { limit, native, signal, marked })`: resolves to { passed, failed, skipped, notes };
 * `marked`: each line of its output says whose it is.
 */
export const SUITES = [
  { name: 'format', needs: 'code', limit: 120, run: check(['prettier', '--check', '.']) },
  { name: 'lint', needs: 'code', limit: 120, run: check(['oxlint', '--type-aware']) },
  { name: 'types', needs: 'code', limit: 120, run: check(['tsc', '--noEmit', '-p', '.']) },
  { name: 'unit', needs: 'code', limit: 120, run: vitest('unit') },
  { name: 'sim', needs: 'code', limit: 240, run: vitest('sim') },
  { name: 'netns', needs: 'netns', limit: 600, run: vitest('netns', { secluded: true, parts: 2 }) },
  { name: 'vm', needs: 'test', limit: 900, beside: true, run: virtualMachine },
];

/** A tool that passes or fails as a whole. */
function check([tool, ...args]) {
  return async (_, { limit, signal, marked }) => {
    const write = speaker(marked && tool);
    const { code, stalled } = await start([path.join(BIN, tool), ...args], {
      ...{ limit, signal, write },
    });
    const failed = code === 0 ? 0 : 1;
    return { passed: 1 - failed, failed, skipped: 0, notes: stalled ? [stalled] : [] };
  };
}

/**
 * `parts`: all files together are run in so many processes side by side, where there are processors for it.
 * Most of what tests of the kernel do is wait, and what is secluded does not see the others.
 */
function vitest(project, { secluded = false, config = [], parts = 1 } = {}) {
  return (filters, { limit, signal, marked }) =>
    inParts(project, filters, parts, async (name, chosen, several) => {
      const results = resultsFile(name);
      const command = [process.execPath, VITEST, 'run', ...config, ...reporters(results)];
      if (config.length === 0) command.push('--project', project);
      command.push(...chosen);
      const { code, stalled } = await start(secluded ? seclude(command) : command, {
        ...{ limit, signal, write: speaker((marked || several) && name) },
        env: secluded ? { IPIPOU_TEST_PRIVATE: '1' } : {},
      });
      return count(results, stalled ?? (code === 0 ? '' : `exit code ${code}`));
    });
}

/** Calls `run(name, filters, several)` with a share of the suite's files for each part, all at once. */
async function inParts(suite, filters, parts, run) {
  const whole = filters.length > 0 || parts === 1 || availableParallelism() === 1;
  if (whole) return run(suite, filters, false);
  const shares = sharesOf(suite, parts);
  return together(
    await Promise.all(shares.map((files, index) => run(`${suite}-${index + 1}`, files, true))),
  );
}

/** What several runs found, as if they were one. */
export function together(runs) {
  const sum = (key) => runs.reduce((total, run) => total + run[key], 0);
  return {
    ...{ passed: sum('passed'), failed: sum('failed'), skipped: sum('skipped') },
    notes: runs.flatMap(({ notes }) => notes),
  };
}

/** Two guests, each with a share of the files; `native` runs them on this machine, whose kernel must have FOU. */
async function virtualMachine(filters, options) {
  const { limit, native, signal, marked } = options;
  const config = ['--config', 'vitest.vm.config.ts'];
  if (native) return vitest('vm', { secluded: true, config })(filters, options);
  const compiled = await start([path.join(BIN, 'tsc'), '-p', 'test/vm/rig'], {
    limit: 120,
    ...{ signal, write: speaker(marked && 'vm') },
  });
  if (compiled.code !== 0) return failure('the rig does not compile');
  const { runInVm } = await import(path.join(PROJECT, '.cache/rig/machine.js'));
  const pace = tellPace(path.join(RESULTS, 'pace'));
  try {
    return await inParts('vm', filters, 2, (name, chosen, several) =>
      guest(runInVm, {
        ...{ name, config, chosen, limit, signal },
        write: speaker((marked || several) && name),
      }),
    );
  } finally {
    pace.stop();
  }
}

/**
 * With one processor: emulating two costs so much more (what they share has to be atomic) that another guest is
 * worth more than a second processor.
 */
async function guest(runInVm, { name, config, chosen, limit, signal, write }) {
  const results = resultsFile(name);
  const inside = (file) => `/run/vm/out/${path.basename(file)}`;
  const hung = new AbortController();
  const output = watchOutput({ limit, write, kill: () => hung.abort() });
  try {
    const ended = await runInVm({
      command: [
        ...[process.execPath, VITEST, 'run', ...config],
        ...[...reporters(inside(results)), ...chosen],
      ],
      cpus: 1,
      outDir: RESULTS,
      signal: AbortSignal.any([signal, hung.signal]),
      env: { IPIPOU_TEST_PRIVATE: '1', CI: '1', IPIPOU_TEST_PACE: inside('pace') },
      onStdout: output.push,
      onStderr: output.complain,
    });
    if (ended.kind !== 'exited') write(ended.console);
    const problem = ended.kind !== 'exited' ? `the guest: ${ended.kind}` : ended.code;
    return count(results, problem === 0 ? '' : `exit code or end: ${problem}`);
  } catch (error) {
    return failure(output.stalled() ?? error.message);
  } finally {
    output.stop();
  }
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
export async function start([file, ...args], { limit, signal, every, write, env = {} }) {
  const options = { cwd: PROJECT, stdio: ['ignore', 'pipe', 'pipe'], detached: true };
  const colour = process.stdout.isTTY ? { FORCE_COLOR: '1' } : {};
  const child = spawn(file, args, { ...options, env: { ...process.env, ...colour, ...env } });
  const kill = () => child.pid && process.kill(-child.pid, 'SIGKILL');
  const output = watchOutput({ limit, every, write, kill });
  child.stdout.setEncoding('utf8').on('data', output.push);
  child.stderr.setEncoding('utf8').on('data', output.complain);
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
