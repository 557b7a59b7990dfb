import { readFile } from 'node:fs/promises';
import { loadavg, release } from 'node:os';
import { parseArgs } from 'node:util';
import { setTimeout as delay } from 'node:timers/promises';
import { up, SERVER_ADDRESS, type Topology } from '../src/adapters/lab/topology.ts';
import { generateKeyPair } from '../src/adapters/crypto.ts';
import { formatBase64 } from '../src/core/base64.ts';
import { millis, port } from '../src/core/units.ts';
import { Hosts, type Daemon } from '../test/rig/daemon.ts';
import { floodCommand, floodSent, type FloodSpec } from '../test/rig/flood.ts';

/*
 * What a flood of forged packets does to a server and its clients. A lab (src/adapters/lab/topology.ts) with
 * a server and three clients: `data`, which has a TCP stream to the server, `key` and `token`, which move.
 *
 *   quiet      no flood
 *   elsewhere  the flood, to a MAC address that is not the server's: what sending and taking in as many
 *              packets costs this machine, whatever the tunnel does
 *   flood      the flood, to the tunnel's port: random signatures and hints, forged sources
 *
 * For each, in turn: Gbit/s of the TCP stream, its ratio to the same round's `quiet`, and processor time of the
 * server's daemon, which says the most where other programs run as well. Then with the flood
 * how long clients take to get in whom the router has given another port: one whose requests carry the hint
 * of its key, and one with a token, which have none. `hinted` is the same for the first with a flood that
 * has its hint. Medians; `-` = not within ten seconds. Wants a machine with nothing else to do.
 *
 * usage: node .cache/bench/bench/flood.js [--plane bpf] [--rounds N] [--seconds S] [--rate PPS] [--moves N]
 */

const { values: options } = parseArgs({
  options: {
    plane: { type: 'string', default: 'bpf' },
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '3' },
    rate: { type: 'string', default: '50000' },
    moves: { type: 'string', default: '5' },
  },
});

const PORT = 10_000;
/** Nobody's: the kernel drops what is sent to it after a glance. */
const ELSEWHERE = '02:00:00:00:00:99';
const GIVE_UP = 10_000;
const POLL = 20;
const [serverKey, dataKey, moverKey] = [generateKeyPair(), generateKeyPair(), generateKeyPair()];
const CLIENTS = ['data', 'key', 'token'] as const;
type Client = (typeof CLIENTS)[number];

const b64 = formatBase64;
const COMMON = [`dataplane ${options.plane}`, 'auth-secret topsecret', 'verb 1'];
const SERVER = [
  'server',
  'fou-dev eth0',
  'tunl-ip 172.28.0.0',
  `auth-key-b64 ${b64(serverKey.privateSeed)}`,
  'reply-on-auth-ok',
  ...COMMON,
  ...['peer data', 'tunl-peer-ip 172.28.0.1', `auth-remote-pubkey-b64 ${b64(dataKey.publicKey)}`],
  ...['peer key', 'tunl-peer-ip 172.28.0.2', `auth-remote-pubkey-b64 ${b64(moverKey.publicKey)}`],
  ...['peer token', 'tunl-peer-ip 172.28.0.3', 'auth-token a-token-of-thirty-two-characters'],
];
const PROOF: Record<Client, string> = {
  data: `auth-key-b64 ${b64(dataKey.privateSeed)}`,
  key: `auth-key-b64 ${b64(moverKey.privateSeed)}`,
  token: 'auth-token a-token-of-thirty-two-characters',
};

type Scene = {
  readonly lab: Topology;
  readonly server: Daemon;
  readonly clients: readonly Daemon[];
};

type Row = Readonly<Record<'rate' | 'ratio' | 'pps' | 'daemon', number>>;

async function main(): Promise<void> {
  const { plane, rounds, seconds, rate } = options;
  console.log(
    `kernel ${release()}, plane ${plane}, ${rate} packets/s, ${rounds} rounds of ${seconds} s, load ${loadavg()[0]}`,
  );
  await using lab = await up({ clients: CLIENTS.length });
  await using hosts = await Hosts.in(lab);
  const server = await hosts.start(lab.server, SERVER);
  await server.ready();
  const clients: Daemon[] = [];
  for (const [index, name] of CLIENTS.entries()) {
    const lines = ['client', 'fou-local @eth0', `fou-remote ${SERVER_ADDRESS}:${PORT}`];
    lines.push(`tunl-ip 172.28.0.${index + 1}`, 'tunl-peer-ip 172.28.0.0', PROOF[name], ...COMMON);
    clients.push(await hosts.start(lab.client(index), lines));
  }
  const scene = { lab, server, clients };
  for (const name of CLIENTS) await arrival(scene, name, undefined, performance.now());
  await throughput(scene);
  await moves(scene);
  await Promise.all([server, ...clients].map(async (daemon) => daemon.stop()));
}

async function throughput(scene: Scene): Promise<void> {
  const specs = { quiet: undefined, elsewhere: { mac: ELSEWHERE }, flood: {} };
  const rows = new Map<string, Row[]>();
  for (let round = 0; round < Number(options.rounds); round++) {
    let quiet = Number.NaN;
    for (const [name, change] of Object.entries(specs)) {
      const from = performance.now();
      const before = await processorTime(scene.server);
      const { result: rate, sent } = await during(scene, change, () => tcp(scene));
      if (change === undefined) quiet = rate;
      const list = rows.get(name) ?? [];
      const seconds = (performance.now() - from) / 1000;
      const daemon = ((await processorTime(scene.server)) - before) / seconds;
      list.push({ rate, ratio: rate / quiet, pps: sent / seconds, daemon });
      rows.set(name, list);
    }
  }
  console.log(
    '\n| | Gbit/s | to quiet | packets/s | daemon, ms/s |\n| --- | --- | --- | --- | --- |',
  );
  for (const [name, list] of rows) {
    const of = (key: keyof Row): number => median(list.map((row) => row[key]));
    console.log(
      `| ${name} | ${of('rate').toFixed(2)} | ${of('ratio').toFixed(2)} | ${of('pps').toFixed(0)} | ${of('daemon').toFixed(0)} |`,
    );
  }
}

async function moves(scene: Scene): Promise<void> {
  const hint = Buffer.from(moverKey.publicKey.subarray(0, 8)).toString('hex');
  const cases: readonly [string, Client, Partial<FloodSpec> | undefined][] = [
    ['key, quiet', 'key', undefined],
    ['key, flood', 'key', {}],
    ['token, flood', 'token', {}],
    [
      'key, hinted flood of one source, 100/s',
      'key',
      { hint, rate: 100, source: '198.18.0.9' as never },
    ],
    ['key, hinted flood', 'key', { hint }],
  ];
  console.log('\n| who moves | in, ms | longest | in time |\n| --- | --- | --- | --- |');
  for (const [title, who, change] of cases) {
    const times: (number | undefined)[] = [];
    for (let move = 0; move < Number(options.moves); move++) {
      const { result } = await during(scene, change, () => moveOf(scene, who));
      times.push(result);
      // Budgets fill again, and whoever did not get in does.
      await arrival(scene, who, undefined, performance.now());
      await delay(2000);
    }
    const sorted = times.map((time) => time ?? Number.POSITIVE_INFINITY);
    const show = (time: number): string => (Number.isFinite(time) ? time.toFixed(0) : '-');
    const inTime = times.filter((time) => time !== undefined).length;
    console.log(
      `| ${title} | ${show(median(sorted))} | ${show(Math.max(...sorted))} | ${inTime}/${times.length} |`,
    );
  }
}

/** Milliseconds that a daemon has run, of every thread (proc(5): ticks of 10 ms, fields 14 and 15). */
async function processorTime({ program }: Daemon): Promise<number> {
  const stat = await readFile(`/proc/${program.pid}/stat`, 'utf8');
  const [, fields = ''] = stat.split(') ');
  const [user = 0, system = 0] = fields.split(' ').slice(11, 13).map(Number);
  return (user + system) * 10;
}

/** `work` under a flood, or without one. */
async function during<T>(
  { lab }: Scene,
  change: Partial<FloodSpec> | undefined,
  work: () => Promise<T>,
): Promise<{ readonly result: T; readonly sent: number }> {
  if (change === undefined) return { result: await work(), sent: 0 };
  const { stdout } = await lab.exec(lab.server, ['cat', '/sys/class/net/eth0/address']);
  const flood = lab.spawn(
    lab.router,
    floodCommand({
      ...{ device: 'wan', mac: stdout.trim(), packets: 'requests', count: 0, sources: 65_536 },
      ...{ to: { ip: SERVER_ADDRESS, port: port(PORT) }, rate: Number(options.rate), ...change },
    }),
  );
  try {
    await flood.waitFor(/flooding/);
    await delay(500);
    const result = await work();
    return { result, sent: await floodSent(flood, true) };
  } finally {
    await flood[Symbol.asyncDispose]();
  }
}

/** Gbit/s of one TCP stream from the client to the server. */
async function tcp({ lab }: Scene): Promise<number> {
  const listener = lab.spawn(lab.server, [
    'iperf3',
    '-s',
    '-1',
    '-B',
    '172.28.0.0',
    '--forceflush',
  ]);
  await listener.waitFor(/listening/);
  const argv = ['iperf3', '-J', '-t', options.seconds, '-c', '172.28.0.0'];
  const done = await lab.exec(lab.client(0), argv, { timeout: millis(60_000) });
  await listener.end(millis(5000)).catch(() => undefined);
  const report = JSON.parse(done.stdout) as {
    end?: { sum_received?: { bits_per_second: number } };
  };
  return (report.end?.sum_received?.bits_per_second ?? 0) / 1e9;
}

/** The router deals out other ports, and the client authenticates; milliseconds until the server has it. */
async function moveOf(scene: Scene, who: Client): Promise<number | undefined> {
  const before = await whereIs(scene, who);
  await scene.lab.remapNat();
  const from = performance.now();
  scene.clients[CLIENTS.indexOf(who)]?.program.signal('SIGUSR1');
  return arrival(scene, who, before, from);
}

/** Milliseconds from `from` until the server has a client anywhere but `before`. */
async function arrival(
  scene: Scene,
  who: Client,
  before: string | undefined,
  from: number,
): Promise<number | undefined> {
  while (performance.now() - from < GIVE_UP) {
    const now = await whereIs(scene, who);
    if (now !== undefined && now !== before) return performance.now() - from;
    await delay(POLL);
  }
  return undefined;
}

async function whereIs({ server }: Scene, who: Client): Promise<string | undefined> {
  const { path } = await server.peer(who);
  return path && `${path.remote.ip}:${path.remote.port}`;
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

await main();
