import { rm } from 'node:fs/promises';
import { millis } from '../core/units.ts';
import type { ProfileLine } from './results.ts';
import type { Site } from './site.ts';

/* Where the processors' time goes, by perf(1), sampled by the clock: guests have no counters. */

/** Samples a second and processor. */
const FREQUENCY = '499';
const LINES = 15;
/** How long perf may take to record and write, or to make a report. */
const TIMEOUT = millis(120_000);

/** Samples the whole machine while the client runs a load; rejects where there is no perf. */
export async function profiled(
  site: Site,
  load: readonly string[],
): Promise<readonly ProfileLine[]> {
  const file = site.path('perf.data');
  const limits = { timeout: TIMEOUT, group: 'own' } as const;
  // -B -N: without build ids, which take seconds to gather where all is emulated. The load is
  // perf's to start: it takes seconds to get ready where there are BPF programs to describe.
  const how = ['-a', '-B', '-N', '-e', 'cpu-clock', '-F', FREQUENCY, '-o', file];
  const record = ['perf', 'record', ...how, '--', ...load];
  const recorded = await site.lab.exec(site.lab.client(), record, limits);
  const show = ['--stdio', '--no-children', '--sort', 'symbol', '--percent-limit', '1'];
  const report = ['perf', 'report', '-i', file, ...show];
  const { stdout, stderr } = await site.lab.exec(site.lab.client(), report, limits);
  await rm(file, { force: true });
  const lines = parseProfile(stdout);
  if (lines.length === 0) {
    const words = `${recorded.stderr.trim()} ${stderr.trim()}`;
    throw new Error(`perf: ${words.replaceAll(/\s+/g, ' ')}`);
  }
  return lines;
}

/** Lines of `perf report --stdio --sort symbol`: "    12.34%  [k] copy_page". Idle time is left out. */
export function parseProfile(text: string): readonly ProfileLine[] {
  const all = [...text.matchAll(/^\s*([0-9.]+)%\s+(?:\[.\]\s+)?(\S+)/gm)].map(
    ([, share = '0', symbol = '']) => ({ share: Number(share), symbol }),
  );
  return all.filter(({ symbol }) => !IDLE.test(symbol)).slice(0, LINES);
}

const IDLE = /idle|^pv_native_safe_halt$|^native_safe_halt$|^default_idle/;
