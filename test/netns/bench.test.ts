import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Program, run } from '../../src/adapters/lab/process.ts';
import { ratiosOf } from '../../src/bench/analysis.ts';
import { CONTESTANTS } from '../../src/bench/contestants/table.ts';
import { decodeResults, type Results } from '../../src/bench/results.ts';
import { median } from '../../src/bench/statistics.ts';
import { millis } from '../../src/core/units.ts';
import { IPIPOU } from '../rig/daemon.ts';

/** The drawing of the topology is at the head of src/adapters/lab/topology.ts. */

const TIMEOUT = millis(180_000);
let folder = '';

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'ipipou-test-bench-'));
});

afterAll(async () => rm(folder, { recursive: true }));

async function bench(...args: readonly string[]) {
  const file = path.join(folder, 'results.json');
  const argv = [process.execPath, IPIPOU, 'bench', ...args, '--out', file];
  const { code, stdout, stderr } = await run(argv, { timeout: TIMEOUT });
  expect({ code }, `${stdout}\n${stderr}`).toEqual({ code: 0 });
  const decoded = decodeResults(readFileSync(file, 'utf8'));
  if (!decoded.ok) throw new Error(decoded.reason);
  return { stdout, results: decoded.value };
}

function leftovers(): readonly string[] {
  const names = [...readdirSync('/run/netns'), ...readdirSync(tmpdir())];
  return names.filter((name) => /^ipipou-(bench-|[0-9]+-[0-9]+-)/.test(name));
}

/** Those that ran, by name. */
function present({ contestants }: Results): readonly string[] {
  return contestants.filter((each) => each.unavailable === undefined).map(({ name }) => name);
}

test(
  'every contestant starts, carries, and stops cleanly, or says why it cannot',
  async () => {
    const before = leftovers();
    const { stdout, results } = await bench('--quick');
    expect(results.contestants.map(({ name }) => name)).toEqual(CONTESTANTS.map((c) => c.name));
    const here = present(results);
    const everywhere = ['bare', 'ipipou-tun', 'openvpn', 'fastd-null', 'bare-again'];
    expect(here).toEqual(expect.arrayContaining(everywhere));
    // WireGuard is the kernel's or wireguard-go, never both.
    expect(here.filter((name) => name.startsWith('wireguard'))).toHaveLength(1);
    for (const { contestant, values, missing } of results.samples) {
      expect(missing, contestant).toEqual({});
      expect(values['tcpUp'], contestant).toBeGreaterThan(0.1);
      expect(values['tcpDown'], contestant).toBeGreaterThan(0.1);
      expect(values['pingAvg'], contestant).toBeGreaterThan(0);
    }
    expect(results.samples.map(({ contestant }) => contestant)).toEqual(here);
    expect(stdout).toMatch(/bare path again/);
    expect(leftovers()).toEqual(before);
  },
  TIMEOUT,
);

test(
  'the bare path is its own equal, and one that is slowed on purpose shows it',
  async () => {
    const only = ['--only', 'bare,ipipou-tun,bare-again', '--slow', 'ipipou-tun=5'];
    const { stdout, results } = await bench('--links', 'slow', '--rounds', '3', ...only);
    const ratio = (name: string): number => median(ratiosOf(results, 'slow', name, 'tcpUpMany'));
    expect(ratio('bare-again')).toBeGreaterThan(0.9);
    expect(ratio('bare-again')).toBeLessThan(1.1);
    // 5 of 20 Mbit/s.
    expect(ratio('ipipou-tun')).toBeGreaterThan(0.15);
    expect(ratio('ipipou-tun')).toBeLessThan(0.35);
    expect(stdout).toMatch(/slowed on purpose: ipipou-tun to 5 Mbit\/s/);
  },
  TIMEOUT,
);

test(
  'an interrupted contest cleans up and fails',
  async () => {
    const before = leftovers();
    const argv = [process.execPath, IPIPOU, 'bench', '--quick', '--only', 'bare,ipipou-tun'];
    const contest = new Program(argv);
    await contest.waitFor(/ipipou-tun/, TIMEOUT);
    const { code, stderr } = await contest.stop('SIGINT');
    expect(code).toBe(1);
    expect(stderr).toMatch(/interrupted/);
    expect(leftovers()).toEqual(before);
  },
  TIMEOUT,
);
