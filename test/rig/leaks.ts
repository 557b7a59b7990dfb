import { readFile, readdir, readlink } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { runChecked } from '../../src/adapters/lab/process.ts';

/*
 * What tests may leave behind on a machine, as lists of words that can be compared. Two scopes:
 * `machine` looks at everything and is right where the tests have the machine (a guest, or
 * namespaces of their own) to themselves; `own` looks at what can only be this process's.
 */

export type Scope = 'machine' | 'own';

/** Each entry identifies one thing, and reads well in a failure. */
export type MachineState = {
  readonly namespaces: readonly string[];
  readonly links: readonly string[];
  readonly addresses: readonly string[];
  readonly routes: readonly string[];
  readonly nftables: readonly string[];
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
    const left = difference(after[what], before[what]);
    const lost = MAY_END.has(what) ? [] : difference(before[what], after[what]);
    return [
      ...left.map((entry): Leak => ({ what, how: 'left', entry })),
      ...lost.map((entry): Leak => ({ what, how: 'lost', entry })),
    ];
  });
}

export function formatLeaks(leaks: readonly Leak[]): string {
  return leaks.map(({ what, how, entry }) => `${what}: ${how}: ${entry}`).join('\n');
}

/** Entries of `from` that `without` has not, counting duplicates. */
function difference(from: readonly string[], without: readonly string[]): readonly string[] {
  const rest = [...without];
  return from.filter((entry) => {
    const index = rest.indexOf(entry);
    if (index >= 0) rest.splice(index, 1);
    return index < 0;
  });
}

export async function snapshot(scope: Scope): Promise<MachineState> {
  const own = scope === 'own';
  // First: its helper processes and their pipes have to be gone when those are looked at.
  const network = own ? NO_NETWORK : await networkState();
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

type NetworkState = Pick<MachineState, 'links' | 'addresses' | 'routes' | 'nftables'>;
const NO_NETWORK: NetworkState = { links: [], addresses: [], routes: [], nftables: [] };

async function networkState(): Promise<NetworkState> {
  const [links, routes, ruleset] = await Promise.all([
    json(['ip', '-j', '-d', 'addr']),
    json(['ip', '-j', 'route', 'show', 'table', 'all']),
    json(['nft', '-j', '-s', 'list', 'ruleset']),
  ]);
  return {
    links: records(links).map((link) => {
      const info = record(link['linkinfo'])['info_kind'];
      return words([link['ifname'], info, 'mtu', link['mtu'], 'alias', link['ifalias']]);
    }),
    addresses: records(links).flatMap((link) =>
      records(link['addr_info']).map((found) =>
        words([link['ifname'], found['local'], found['prefixlen']]),
      ),
    ),
    routes: records(routes).map((route) =>
      words([route['type'], route['dst'], route['gateway'], route['dev'], route['table']]),
    ),
    nftables: records(record(ruleset)['nftables'])
      .filter((entry) => !('metainfo' in entry))
      .map((entry) => JSON.stringify(entry)),
  };
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

async function json(argv: readonly string[]): Promise<unknown> {
  const { stdout } = await runChecked(argv);
  return stdout.trim() === '' ? [] : JSON.parse(stdout);
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  // An object's properties may be anything: that is what the type says.
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

function records(value: unknown): readonly Readonly<Record<string, unknown>>[] {
  return Array.isArray(value) ? value.map(record) : [];
}

function words(values: readonly unknown[]): string {
  return values
    .map((value) => (typeof value === 'string' || typeof value === 'number' ? String(value) : '-'))
    .join(' ');
}
