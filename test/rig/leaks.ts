import { readFile, readdir, readlink } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { inventory, surplus, type Inventory } from '../../src/adapters/lab/inventory.ts';

/*
 * What tests may leave behind on a machine, as lists of words that can be compared. Two scopes:
 * `machine` looks at everything and is right where the tests have the machine (a guest, or
 * namespaces of their own) to themselves; `own` looks at what can only be this process's.
 */

export type Scope = 'machine' | 'own';

/** Each entry identifies one thing, and reads well in a failure. */
export type MachineState = Inventory & {
  readonly namespaces: readonly string[];
  readonly processes: readonly string[];
  readonly descriptors: readonly string[];
  readonly files: readonly string[];
  readonly settings: readonly string[];
};

export type Leak = {
  readonly what: keyof MachineState;
  /** `left`: there now and not before; `lost`: there before and not now. */
  readonly how: 'left' | 'lost';
  readonly entry: string;
};

/** Things whose end is no leak: others start and stop processes and close descriptors. */
const MAY_END: ReadonlySet<keyof MachineState> = new Set(['processes', 'descriptors']);

/** What changed from one state to a later one. */
export function compareStates(before: MachineState, after: MachineState): readonly Leak[] {
  const kinds = Object.keys(before) as readonly (keyof MachineState)[];
  return kinds.flatMap((what) => {
    const left = surplus(after[what], before[what]);
    const lost = MAY_END.has(what) ? [] : surplus(before[what], after[what]);
    return [
      ...left.map((entry): Leak => ({ what, how: 'left', entry })),
      ...lost.map((entry): Leak => ({ what, how: 'lost', entry })),
    ];
  });
}

export function formatLeaks(leaks: readonly Leak[]): string {
  return leaks.map(({ what, how, entry }) => `${what}: ${how}: ${entry}`).join('\n');
}

const NO_NETWORK: Inventory = { links: [], addresses: [], routes: [], nftables: [] };

export async function snapshot(scope: Scope): Promise<MachineState> {
  const own = scope === 'own';
  // First: its helper processes and their pipes have to be gone when those are looked at.
  const network = own ? NO_NETWORK : await inventory();
  const [namespaces, processes, descriptors, files, settings] = await Promise.all([
    readdir('/run/netns').catch(() => []),
    own ? descendants() : everyProcess(),
    openDescriptors(),
    own ? [] : stateFiles(),
    own ? [] : networkSettings(),
  ]);
  const seen = own ? namespaces.filter((name) => name.includes(`-${process.pid}-`)) : namespaces;
  return { ...network, namespaces: seen, processes, descriptors, files, settings };
}

/** How long what is on its way out (a removed namespace's links, an ended child) may take. */
const SETTLE_MS = 5_000;
const POLL_MS = 50;

/** Resolves once nothing differs from `before`; rejects with what does after five seconds. */
export async function assertNoLeaks(before: MachineState, scope: Scope): Promise<void> {
  const deadline = performance.now() + SETTLE_MS;
  for (;;) {
    const leaks = compareStates(before, await snapshot(scope));
    if (leaks.length === 0) return;
    if (performance.now() > deadline) throw new Error(`left behind:\n${formatLeaks(leaks)}`);
    await delay(POLL_MS);
  }
}

async function everyProcess(): Promise<readonly string[]> {
  const found = await Promise.all((await pids()).map(describeProcess));
  // No command line: a kernel thread, or one that has ended. Other test workers come and go.
  return found.flatMap((text) => (text === undefined || text.includes('vitest') ? [] : [text]));
}

/** Processes started by this one that still live. */
async function descendants(): Promise<readonly string[]> {
  const listed = await Promise.all(
    (await pids()).map(async (pid) => ({ pid, parent: await parentOf(pid) })),
  );
  const family = new Set([process.pid]);
  for (let size = 0; size !== family.size;) {
    size = family.size;
    for (const { pid, parent } of listed) if (family.has(parent)) family.add(pid);
  }
  family.delete(process.pid);
  const described = await Promise.all([...family].map(describeProcess));
  return described.flatMap((text) => (text === undefined ? [] : [text]));
}

async function pids(): Promise<readonly number[]> {
  return (await readdir('/proc')).filter((name) => /^[0-9]+$/.test(name)).map(Number);
}

async function parentOf(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  return Number(/^PPid:\s*([0-9]+)/m.exec(status)?.[1] ?? 0);
}

async function describeProcess(pid: number): Promise<string | undefined> {
  const line = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
  return line === '' ? undefined : `${pid} ${line.replaceAll('\0', ' ').trim()}`;
}

/** Descriptors that stand for something: sockets, pipes, devices, namespaces, BPF objects. */
async function openDescriptors(): Promise<readonly string[]> {
  const folder = '/proc/self/fd';
  const links = await Promise.all(
    (await readdir(folder)).map(async (fd) => readlink(path.join(folder, fd)).catch(() => '')),
  );
  return links.filter((link) => /^(socket|pipe|net|mnt|anon_inode:bpf|\/dev\/net\/)/.test(link));
}

/** Where tunnels are remembered: across a crash, and across a reboot. */
const STATE_FOLDERS = ['/run/ipipou', '/var/lib/ipipou'];

async function stateFiles(): Promise<readonly string[]> {
  const listed = STATE_FOLDERS.map(async (folder) => {
    const names = await readdir(folder, { recursive: true }).catch(() => []);
    return names.map((name) => path.join(folder, name));
  });
  return (await Promise.all(listed)).flat();
}

const SETTINGS = [
  'net/ipv4/ip_forward',
  'net/ipv4/conf/all/rp_filter',
  'net/ipv4/conf/all/forwarding',
];

async function networkSettings(): Promise<readonly string[]> {
  const read = SETTINGS.map(async (name) => {
    const value = await readFile(`/proc/sys/${name}`, 'utf8').catch(() => 'absent');
    return `${name} = ${value.trim()}`;
  });
  return Promise.all(read);
}
