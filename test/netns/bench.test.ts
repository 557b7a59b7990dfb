import { existsSync, readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Program, run } from '../../src/adapters/lab/process.ts';
import { ratiosOf } from '../../src/bench/analysis.ts';
import { CONTESTANTS } from '../../src/bench/contestants/table.ts';
import { decodeResults, type Results } from '../../src/bench/results.ts';
import { median } from '../../src/bench/statistics.ts';
import { millis } from '../../src/core/units.ts';
import { IPIPOU } from '../rig/daemon.ts';
import { patience } from '../rig/patience.ts';

/** The drawing of the topology is at the head of src/adapters/lab/topology.ts. */

const TIMEOUT = millis(600_000);
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

/** What runs leave in folders that all share. */
function leftovers(): readonly string[] {
  const folders = ['/run/netns', tmpdir(), '/run/wireguard', '/run/sshd'];
  return folders
    .flatMap((folder) => (existsSync(folder) ? [folder, ...readdirSync(folder)] : []))
    .filter((name) => /^ipipou-(bench-|[0-9]+-[0-9]+-)|^wg.*\.sock$|^\/run\/sshd$/.test(name));
}

/** Command lines of all processes whose network namespace has one of these inodes. */
function processesIn(inodes: readonly number[]): readonly string[] {
  return readdirSync('/proc')
    .filter((name) => /^[0-9]+$/.test(name))
    .flatMap((pid) => {
      try {
        const inode = Number(/[0-9]+/.exec(readlinkSync(`/proc/${pid}/ns/net`))?.[0]);
        return inodes.includes(inode) ? [readFileSync(`/proc/${pid}/cmdline`, 'utf8')] : [];
      } catch {
        // It has ended meanwhile.
        return [];
      }
    });
}

function runsIn(namespace: string, program: RegExp): boolean {
  const inode = statSync(`/run/netns/${namespace}`, { throwIfNoEntry: false })?.ino;
  return inode !== undefined && processesIn([inode]).some((line) => program.test(line));
}

/** Far from every timeout of a contest, and enough for a busy machine. */
const SOON = 10_000;
const POLL = 5;

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await delay(POLL);
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
  'tunnels carry over a link of IPv6',
  async () => {
    const only = 'bare,ipipou-bpf,ipipou-tun,vxlan';
    const { results } = await bench('--links', 'ipv6', '--rounds', '1', '--only', only);
    expect(results.samples.map(({ contestant }) => contestant)).toEqual(present(results));
    for (const { contestant, values, missing } of results.samples) {
      expect(missing, contestant).toEqual({});
      expect(values['tcpDown'], contestant).toBeGreaterThan(0.1);
    }
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

/** Moments of the sweep over clients; `namespace` is one of the contest's, by the end of its name. */
const MOMENTS = [
  { when: 'its links are made', namespace: 'srv', program: undefined },
  { when: 'clients start', namespace: 'c2', program: /wireguard-go|main\.js/ },
  { when: 'it measures', namespace: 'c0', program: /iperf3/ },
] as const;

describe('an interrupted contest cleans up soon and fails', () => {
  const interrupts = MOMENTS.flatMap(
    (moment) =>
      [
        { ...moment, who: 'ipipou-tun', group: undefined, whom: 'the process alone' },
        { ...moment, who: 'wireguard-go', group: 'own', whom: 'everything at the terminal' },
      ] as const,
  );
  test.each(interrupts)(
    'while $when ($who), twice, $whom',
    async ({ namespace, program, who, group }) => {
      const before = leftovers();
      const argv = [process.execPath, IPIPOU, 'bench', '--links', 'peers', '--only', who];
      const contest = new Program(argv, group === undefined ? {} : { group });
      const own = (): readonly string[] =>
        readdirSync('/run/netns').filter((name) => name.startsWith(`ipipou-${contest.pid}-`));
      await until(() => {
        if (!contest.running) throw new Error(contest.output());
        // The first lab is for looking around: turns have the later ones.
        const found = own().find(
          (name) => !/-1-[a-z0-9]+$/.test(name) && name.endsWith(`-${namespace}`),
        );
        return found !== undefined && (program === undefined || runsIn(found, program));
      });
      const inodes = own().map((name) => statSync(`/run/netns/${name}`).ino);
      const began = performance.now();
      contest.signal('SIGINT');
      await until(() => own().length < inodes.length || !contest.running);
      const { code, stdout, stderr } = await contest.stop('SIGINT');
      expect(performance.now() - began).toBeLessThan(patience(SOON));
      expect({ code, stdout }, stderr).toEqual({ code: 1, stdout: '' });
      expect(stderr).toMatch(/bench: interrupted\n$/);
      expect(leftovers()).toEqual(before);
      expect(processesIn(inodes)).toEqual([]);
    },
    TIMEOUT,
  );
});
