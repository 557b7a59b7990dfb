import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { loadavg, release } from 'node:os';
import { parseArgs } from 'node:util';
import { ipBatch } from '../src/adapters/lab/namespaces.ts';
import {
  addToIp,
  innerIpv4FromNumber,
  outerIpv4FromNumber,
  type Family,
  type InnerIp,
  type OuterIp,
} from '../src/core/addr.ts';
import { TAG_KEY_LENGTH, type TagLevel } from '../src/core/tag/types.ts';
import { detachFilter } from '../src/adapters/planes/bpf/bpf-calls.ts';
import { port } from '../src/core/units.ts';
import { overheadOf } from '../src/core/wire/overhead.ts';
import {
  BPF_PORT,
  BpfPair,
  INNER as INNER4,
  INNER6,
  OUTER as OUTER4,
  OUTER6,
  type BpfHost,
} from '../test/rig/bpf-pair.ts';
import { inner, ip } from '../test/rig/addresses.ts';
import { inNamespace } from '../test/rig/in-namespace.ts';
import { PairSessions, readyForTags } from '../test/rig/tag-load.ts';

/*
 * What the programs of the `bpf` plane cost, without a daemon: two namespaces over one veth, and in
 * every round, in turn,
 *
 *   bare    the outer addresses themselves, so a path of the outer family
 *   bpf     the tunnel
 *   vxlan   the kernel's VXLAN between the same addresses, without UDP checksum
 *
 * The scenarios of peers have the tunnel alone, with so many peers admitted. Medians over the rounds, and
 * of each round's ratio to its own first run. `cpu` is the whole machine's busy time (/proc/stat), so it
 * wants a machine with nothing else to do.
 *
 * `--outside` and `--inside` say of which family the outer and the inner packets are; IPv4 where nothing is said.
 * Without `--checksum` outer datagrams have none, over IPv6 neither (RFC 6935), which is not what a tunnel does there
 * by itself.
 *
 * With `--integrity` there are besides, in the scenarios without crowds, the tunnel whose packets are cut up as those
 * with tags are, but have none (`cut`), and the tunnel at that level: what is paid for cutting, and for the tag. In
 * those of peers all have tags of the (first) level, and keys of their own.
 *
 * usage: node .cache/bench/bench/bpf-path.js [--rounds N] [--seconds S] [--scenarios LIST] [--checksum]
 *          [--outside ipv4|ipv6] [--inside ipv4|ipv6] [--integrity header|full|header,full]
 */

const SCENARIOS = {
  'tcp-super': { frames: false, run: tcp, unit: 'Gbit/s' },
  'tcp-frames': { frames: true, run: tcp, unit: 'Gbit/s' },
  'udp-64': { frames: false, run: udp(64), unit: 'kpps' },
  'udp-1400': { frames: false, run: udp(1400), unit: 'kpps' },
  ping: { frames: false, run: ping, unit: 'µs' },
  'peers-tcp': { frames: true, run: tcp, unit: 'Gbit/s', crowds: true },
  'peers-udp': { frames: false, run: udp(64), unit: 'kpps', crowds: true },
} as const;
type Scenario = keyof typeof SCENARIOS;

/** `rate` in the scenario's unit; `cpu` in nanoseconds for a byte (of a packet, for ping). */
type Sample = { readonly rate: number; readonly cpu: number };
type Contestant = { readonly name: string; readonly pair: BpfPair; readonly target: string };

const PEER_COUNTS = [1, 1000, 100_000];

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '2' },
    scenarios: { type: 'string', default: Object.keys(SCENARIOS).join(',') },
    checksum: { type: 'boolean', default: false },
    outside: { type: 'string', default: 'ipv4' },
    inside: { type: 'string', default: 'ipv4' },
    integrity: { type: 'string', default: 'none' },
  },
});
const [OUTSIDE, INSIDE] = [options.outside, options.inside].map(familyNamed) as [Family, Family];
const OUTER = OUTSIDE === 'ipv4' ? OUTER4 : OUTER6;
const INNER = INSIDE === 'ipv4' ? INNER4 : INNER6;
const VXLAN = INSIDE === 'ipv4' ? ['192.168.77.1', '192.168.77.2'] : ['fd77::1', 'fd77::2'];

const LEVELS = options.integrity
  .split(',')
  .filter((level) => level !== 'none')
  .map(levelNamed);

function levelNamed(name: string): TagLevel {
  if (name === 'header' || name === 'full') return name;
  throw new Error(`no level of integrity ${name}`);
}

function familyNamed(name: string): Family {
  if (name === 'ipv4' || name === 'ipv6') return name;
  throw new Error(`no family ${name}`);
}

async function main(): Promise<void> {
  console.log(
    `kernel ${release()}, ${options.rounds} rounds of ${options.seconds} s, load ${loadavg()[0]}, ${INSIDE} in ${OUTSIDE}`,
  );
  for (const name of options.scenarios.split(',')) {
    if (!(name in SCENARIOS)) throw new Error(`no scenario ${name}`);
    await measure(name as Scenario);
  }
}

async function measure(name: Scenario): Promise<void> {
  await using all = await contestants(name);
  const { run, unit } = SCENARIOS[name];
  const samples = new Map<string, Sample[]>();
  for (let round = 0; round < Number(options.rounds); round++) {
    for (const contestant of all.list) {
      const before = await busy();
      const sample = await run(contestant.pair, contestant.target);
      const cpu = ((await busy()) - before) / sample.amount;
      const list = samples.get(contestant.name) ?? [];
      list.push({ rate: sample.rate, cpu });
      samples.set(contestant.name, list);
    }
  }
  const first = samples.values().next().value ?? [];
  console.log(`\n${name}${options.checksum ? ', UDP checksums' : ''}\n`);
  console.log(`| | ${unit} | to the first | cpu ns/unit | to the first |`);
  console.log('| --- | --- | --- | --- | --- |');
  for (const [who, list] of samples) {
    const ratio = (key: keyof Sample): string =>
      median(list.map((sample, i) => sample[key] / (first[i]?.[key] ?? Number.NaN))).toFixed(3);
    const value = (key: keyof Sample): string =>
      median(list.map((sample) => sample[key])).toFixed(2);
    console.log(
      `| ${who} | ${value('rate')} | ${ratio('rate')} | ${value('cpu')} | ${ratio('cpu')} |`,
    );
  }
}

async function contestants(
  name: Scenario,
): Promise<AsyncDisposable & { readonly list: readonly Contestant[] }> {
  const list: Contestant[] = [];
  const pairs: BpfPair[] = [];
  const dispose = async (): Promise<void> => {
    for (const pair of pairs) await pair[Symbol.asyncDispose]();
  };
  const crowds = 'crowds' in SCENARIOS[name];
  try {
    for (const count of crowds ? PEER_COUNTS : [1]) {
      const pair = await openPair(count, SCENARIOS[name].frames);
      pairs.push(pair);
      if (crowds && LEVELS[0]) await prove(pair, LEVELS[0], middleOf(count));
      if (crowds) list.push({ name: `${count} peers`, pair, target: INNER[1] });
      else {
        list.push({ name: 'bare', pair, target: OUTER[1] });
        list.push({ name: 'bpf', pair, target: INNER[1] });
        for (const how of LEVELS.length > 0 ? (['cut', ...LEVELS] as const) : []) {
          const other = await openPair(1, SCENARIOS[name].frames);
          pairs.push(other);
          await prove(other, how);
          list.push({ name: how, pair: other, target: INNER[1] });
        }
        list.push({ name: 'vxlan', pair, target: VXLAN[1] ?? '' });
      }
    }
    return { list, [Symbol.asyncDispose]: dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
}

const NO_CHECKSUM = { ipv4: 'noudpcsum', ipv6: 'udp6zerocsumtx udp6zerocsumrx' } as const;

async function openPair(peers: number, frames: boolean): Promise<BpfPair> {
  const config = { udpChecksum: options.checksum, udpChecksum6: options.checksum };
  const pair = await BpfPair.open({
    ...{ maxPeers: peers, config, outerIps: OUTER, tagRoom: 2 * peers + 16 },
    inside: INSIDE === 'ipv4' ? ['ipv4'] : ['ipv4', 'ipv6'],
  });
  for (const side of [0, 1] as const) {
    const other = side === 0 ? 1 : 0;
    if (frames) await pair.sure(side, ...'ethtool -K v0 tso off gso off gro on'.split(' '));
    if (peers > 1) pair.hosts[side] = fill(side === 0 ? pair.a : pair.b, side, peers);
    else {
      await ipBatch(pair.namespaces[side], [
        `link add vx type vxlan id 1 local ${OUTER[side]} remote ${OUTER[other]} dstport 4789 dev v0 ${NO_CHECKSUM[OUTSIDE]}`,
        'link set vx up',
        INSIDE === 'ipv4'
          ? `addr add ${VXLAN[side]}/24 dev vx`
          : `addr add ${VXLAN[side]}/64 dev vx nodad`,
      ]);
    }
  }
  await pair.startServer();
  return pair;
}

/** Has all packets pass to the far end, in single ones, and carry tags where that is asked for. */
async function prove(pair: BpfPair, how: 'cut' | TagLevel, index = 0): Promise<void> {
  await readyForTags(pair, 1500 - overheadOf(OUTSIDE));
  if (how !== 'cut') new PairSessions(pair, how, index).next();
  // Without the program on its egress the tunnel device passes all to the far end.
  else
    for (const { namespace, hooks } of [pair.a, pair.b]) {
      const [egress] = hooks;
      if (egress) inNamespace(namespace, () => detachFilter(egress));
    }
}

/** Where the peer is that is measured. */
function middleOf(count: number): number {
  return Math.floor(count / 2);
}

/** Keys of that level for a peer that nobody is; what leads to them. Indexes of their own, beyond those of sessions. */
function tagsOut({ programs }: BpfHost, index: number): number | undefined {
  const [level] = LEVELS;
  if (!level) return undefined;
  const key = { index: 0x80_0000 + index, key: randomBytes(TAG_KEY_LENGTH) };
  return programs.tags.prepare(index, undefined, { level, send: key, receive: [key] }).number;
}

/** Other peers around the one that is measured, whose place is in the middle; what the host has become. */
function fill(host: BpfHost, side: 0 | 1, count: number): BpfHost {
  const { programs, outer } = host;
  const middle = middleOf(count);
  const remote = OUTER[side === 0 ? 1 : 0];
  const innerMtu = 1500 - overheadOf(OUTSIDE);
  const common = { localIp: OUTER[side], innerMtu, outerDevice: outer };
  const others = Array.from({ length: count }, (_, index) => index).filter(
    (index) => index !== middle && index !== 0,
  );
  const innerAt = (index: number): InnerIp =>
    INSIDE === 'ipv4'
      ? innerIpv4FromNumber(0x0a80_0000 + index)
      : addToIp(inner('fd80::'), index + 1);
  const outerAt = (index: number): OuterIp =>
    OUTSIDE === 'ipv4'
      ? outerIpv4FromNumber(0xc633_0000 + index)
      : addToIp(ip('2001:db8:51::'), index + 1);
  programs.evict(0);
  programs.admitMany(
    others.map((index) => [
      index,
      {
        ...common,
        remoteIp: outerAt(index),
        remotePort: port(1024 + (index % 60_000)),
        anySource: false,
        innerIp: INSIDE === 'ipv4' ? innerAt(index) : undefined,
        tagsOut: tagsOut(host, index),
      },
    ]),
  );
  programs.setHosts(others.map((index) => [innerAt(index), index]));
  const own = INNER[side === 0 ? 1 : 0];
  const innerIp = INSIDE === 'ipv4' ? own : undefined;
  const peer = { ...common, remoteIp: remote, remotePort: BPF_PORT, anySource: false, innerIp };
  programs.admit(middle, peer);
  programs.setHost(own, middle);
  const hosts = { hasHosts: INSIDE === 'ipv4', hasHosts6: INSIDE === 'ipv6' };
  const config = { ...host.config, ...hosts, defaultPeer: undefined };
  programs.configure(config);
  return { ...host, config };
}

type Run = { readonly rate: number; readonly amount: number };

async function tcp(pair: BpfPair, target: string): Promise<Run> {
  const argv = ['iperf3', '-J', '-c', target, '-t', options.seconds];
  const bytes = received(await pair.sure(0, ...argv)).bytes;
  return { rate: (bytes * 8) / Number(options.seconds) / 1e9, amount: bytes };
}

function udp(length: number) {
  return async (pair: BpfPair, target: string): Promise<Run> => {
    const argv = ['iperf3', '-J', '-u', '-b0', '-l', String(length), '-c', target];
    const { packets = 0, lost_packets: lost = 0 } = received(
      await pair.sure(0, ...argv, '-t', options.seconds),
    );
    const arrived = packets - lost;
    return { rate: arrived / Number(options.seconds) / 1000, amount: arrived };
  };
}

async function ping(pair: BpfPair, target: string): Promise<Run> {
  const argv = ['ping', '-q', '-c2000', '-i0', target];
  const said = await pair.sure(0, ...argv);
  const average = Number(/= [\d.]+\/([\d.]+)\//.exec(said)?.[1]);
  return { rate: average * 1000, amount: 2000 };
}

type Received = {
  readonly bytes: number;
  readonly packets?: number;
  readonly lost_packets?: number;
};

function received(json: string): Received {
  type End = { sum?: Received; sum_received: Received };
  const { end } = JSON.parse(json) as { end: End };
  // `sum` is there for UDP alone, and has the losses that the receiver told.
  return end.sum ?? end.sum_received;
}

/** Busy nanoseconds of all processors since the start. */
async function busy(): Promise<number> {
  const [line = ''] = (await readFile('/proc/stat', 'utf8')).split('\n', 1);
  const [, user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = line
    .split(/\s+/)
    .map(Number);
  return (user + nice + system + irq + softirq) * 1e7;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

await main();
