import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { compareResults, formatComparison } from '../../bench/compare.ts';
import { runContest } from '../../bench/contest.ts';
import { lacksProgram } from '../../bench/contestants/requirements.ts';
import { CONTESTANTS } from '../../bench/contestants/table.ts';
import { formatMarkdownReport, formatTerminalReport } from '../../bench/document.ts';
import { decodeOutside } from '../../bench/facts.ts';
import { measureInGuest } from '../../bench/guest.ts';
import { misuse, parseBenchOptions, type BenchOptions } from '../../bench/options.ts';
import { decodeResults, encodeResults, RESULTS_MAX, type Results } from '../../bench/results.ts';
import { IpipouError } from '../../core/errors.ts';
import { EXIT, type ExitCode } from '../../core/exit-codes.ts';
import type { CommandContext } from '../command.ts';
import { progressLine } from './progress.ts';

/** What the contest itself needs, beyond what contestants need. */
const TOOLS = ['ip', 'nft', 'tc', 'ethtool', 'conntrack', 'sysctl', 'iperf3', 'ping'];

/** Measures here or in a guest, and prints the tables. */
export async function measure(
  args: readonly string[],
  context: CommandContext,
  requireRoot: () => void,
): Promise<ExitCode> {
  const options = parseBenchOptions(args);
  if (options.list) {
    const lines = CONTESTANTS.map(
      ({ name, title, remark }) => `${name.padEnd(14)} ${title}: ${remark}`,
    );
    context.stdout(`${lines.join('\n')}\n`);
    return EXIT.ok;
  }
  const results = await uninterrupted(context.signal, async () =>
    options.vm ? measureInGuest(options, context) : measureHere(options, context, requireRoot),
  );
  if (options.out !== undefined) {
    await mkdir(path.dirname(path.resolve(options.out)), { recursive: true });
    await writeFile(options.out, encodeResults(results));
  }
  context.stdout(options.json ? encodeResults(results) : formatTerminalReport(results));
  return results.failures.length > 0 ? EXIT.generic : EXIT.ok;
}

/** What fails because everything was taken down in the middle of it has one reason. */
async function uninterrupted<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!signal.aborted) throw error;
    throw new IpipouError('generic', 'bench: interrupted', { cause: error });
  }
}

async function measureHere(
  options: BenchOptions,
  context: CommandContext,
  requireRoot: () => void,
): Promise<Results> {
  requireRoot();
  const lacking = await lacksProgram(...TOOLS);
  if (lacking !== undefined) {
    const hint = 'npm run bench in a clone installs what is missing';
    throw new IpipouError('generic', `bench: ${lacking}`, { hint });
  }
  const outside =
    options.outside === undefined
      ? undefined
      : decodeOutside(await readFile(options.outside, 'utf8'));
  const progress = progressLine(context.stderr, process.stderr.isTTY);
  try {
    return await runContest({
      ...options,
      ...{ outside, signal: context.signal, onProgress: (at) => progress.show(at) },
    });
  } finally {
    progress.end();
  }
}

/** Prints the tables of a file once more. */
export async function showFile(
  args: readonly string[],
  context: CommandContext,
): Promise<ExitCode> {
  const files = args.filter((arg) => arg !== '--markdown');
  const [file] = files;
  if (file === undefined || files.length > 1) throw misuse('show: expected one file');
  const format = args.includes('--markdown') ? formatMarkdownReport : formatTerminalReport;
  context.stdout(format(await readResults(file)));
  return EXIT.ok;
}

export async function compareFiles(
  args: readonly string[],
  context: CommandContext,
): Promise<ExitCode> {
  const [before, after, ...rest] = args;
  if (before === undefined || after === undefined || rest.length > 0) {
    throw misuse('compare: expected two files');
  }
  const compared = compareResults(await readResults(before), await readResults(after));
  context.stdout(formatComparison(compared));
  return EXIT.ok;
}

/** Draws every chart that the files have figures for. */
export async function drawFiles(
  args: readonly string[],
  context: CommandContext,
): Promise<ExitCode> {
  const at = args.indexOf('--out');
  const folder = at < 0 ? undefined : args[at + 1];
  const files = at < 0 ? args : args.toSpliced(at, 2);
  if (folder === undefined || files.length === 0) {
    throw misuse('charts: expected files and --out FOLDER');
  }
  const { drawCharts } = await import('../../bench/draw.ts');
  await mkdir(folder, { recursive: true });
  for (const file of files) {
    const results = await readResults(file);
    const prefix = path.basename(file, '.json');
    for (const { name, svg } of await drawCharts(results)) {
      const target = path.join(folder, `${prefix}-${name}.svg`);
      await writeFile(target, svg);
      context.stdout(`${target}\n`);
    }
  }
  return EXIT.ok;
}

async function readResults(file: string): Promise<Results> {
  const fail = (reason: string): IpipouError =>
    new IpipouError('arguments', `bench: ${file}: ${reason}`);
  const size = await stat(file).then(
    (found) => found.size,
    (error: unknown) => {
      throw fail(error instanceof Error ? error.message : String(error));
    },
  );
  if (size > RESULTS_MAX) throw fail(`longer than ${RESULTS_MAX} bytes`);
  const decoded = decodeResults(await readFile(file, 'utf8'));
  if (!decoded.ok) throw fail(decoded.reason);
  return decoded.value;
}
