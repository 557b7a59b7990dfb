import { readFile } from 'node:fs/promises';
import { loadavg, release } from 'node:os';
import { parseArgs } from 'node:util';
import { setTimeout as delay } from 'node:timers/promises';
import { up, SERVER_ADDRESS, type Topology } from '../src/adapters/lab/topology.ts';
import { dhPairOf, noiseCrypto } from '../src/adapters/crypto-noise.ts';
import { serverKeysOf } from '../src/core/handshake/keys.ts';
import { generateKeyPair } from '../src/adapters/crypto.ts';
import { formatBase64 } from '../src/core/base64.ts';
import { Hosts, type Daemon } from '../test/rig/daemon.ts';
import type { FloodSpec } from '../test/rig/flood.ts';
import { ELSEWHERE, median, tcpRate, underFlood } from './under-flood.ts';

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
 * `--kind` says what the flood is of: requests of session 1; first messages of session 2 whose mac1 is right (`inits`) or
 * wrong (`forged`); what is as long as its packets (`junk`). With the last three, whoever has keys speaks session 2, and how
 * long a client takes to connect that was never there is measured as well: from when it is ready.
 *
 * usage: node .cache/bench/bench/flood.js [--plane bpf] [--rounds N] [--seconds S] [--rate PPS] [--moves N]
 *                                          [--kind requests|inits|forged|junk]
 */

const { values: options } = parseArgs({
  options: {
    plane: { type: 'string', default: 'bpf' },
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '3' },
    rate: { type: 'string', default: '50000' },
    moves: { type: 'string', default: '5' },
    kind: { type: 'string', default: 'requests' },
  },
});

const PORT = 10_000;
const GIVE_UP = 10_000;
const POLL = 20;
const [serverKey, dataKey, moverKey] = [generateKeyPair(), generateKeyPair(), generateKeyPair()];
const CLIENTS = ['data', 'key', 'token'] as const;
type Client = (typeof CLIENTS)[number];

const mac1 = Buffer.from(serverKeysOf(noiseCrypto, dhPairOf(serverKey.privateSeed)).mac1).toString(
  'hex',
);
const FLOODS = {
  requests: { packets: 'requests', mac1: undefined },
  inits: { packets: 'inits', mac1 },
  forged: { packets: 'inits', mac1: undefined },
  junk: { packets: 'junk', mac1: undefined },
} as const;
if (!Object.hasOwn(FLOODS, options.kind)) throw new Error(`--kind ${options.kind}`);
const kind = options.kind as keyof typeof FLOODS; // it is one of them
const secure = kind !== 'requests';

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

const SERVER_PUBLIC = `auth-remote-pubkey-b64 ${b64(serverKey.publicKey)}`;

type Scene = {
  readonly lab: Topology;
  readonly server: Daemon;
  readonly clients: readonly Daemon[];
};

type Row = Readonly<Record<'rate' | 'ratio' | 'pps' | 'daemon', number>>;

async function main(): Promise<void> {
  const { plane, rounds, seconds, rate } = options;
  console.log(
    `kernel ${release()}, plane ${plane}, ${rate} packets/s asked for, ${rounds} rounds of ${seconds} s, load ${loadavg()[0]}`,
  );
  await using lab = await up({ clients: CLIENTS.length });
  await using hosts = await Hosts.in(lab);
  const server = await hosts.start(lab.server, SERVER);
  await server.ready();
  const clients: Daemon[] = [];
  for (const [index, name] of CLIENTS.entries()) {
    const lines = ['client', 'fou-local @eth0', `fou-remote ${SERVER_ADDRESS}:${PORT}`];
    lines.push(`tunl-ip 172.28.0.${index + 1}`, 'tunl-peer-ip 172.28.0.0', PROOF[name], ...COMMON);
    if (secure && name !== 'token') lines.push(SERVER_PUBLIC);
    clients.push(await hosts.start(lab.client(index), lines));
  }
  const scene = { lab, server, clients };
  for (const name of CLIENTS) await arrival(scene, name, undefined, performance.now());
  await throughput(scene);
  await moves(scene);
  if (secure) await connections(scene, hosts);
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
      const { result: rate, perSecond: pps } = await during(scene, change, () =>
        tcpRate(scene.lab, Number(options.seconds)),
      );
      if (change === undefined) quiet = rate;
      const list = rows.get(name) ?? [];
      const seconds = (performance.now() - from) / 1000;
      const daemon = ((await processorTime(scene.server)) - before) / seconds;
      list.push({ rate, ratio: rate / quiet, pps, daemon });
      rows.set(name, list);
    }
  }
  console.log(
    '\n| | Gbit/s | to quiet | packets/s | daemon, ms/s |\n| --- | --- | --- | --- | --- |',
  );
  let least = Infinity;
  for (const [name, list] of rows) {
    for (const { pps } of list) if (name !== 'quiet') least = Math.min(least, pps);
    const of = (key: keyof Row): number => median(list.map((row) => row[key]));
    console.log(
      `| ${name} | ${of('rate').toFixed(2)} | ${of('ratio').toFixed(2)} | ${of('pps').toFixed(0)} | ${of('daemon').toFixed(0)} |`,
    );
  }
  const short = least < 0.95 * Number(options.rate) ? ': too few, these figures are of less' : '';
  console.log(
    `\npackets/s that came in, at the least: ${least.toFixed(0)} of ${options.rate}${short}`,
  );
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

/** How long the second client takes to connect when it begins anew under the flood. */
async function connections(scene: Scene, hosts: Hosts): Promise<void> {
  await scene.clients[1]?.stop();
  const lines = [
    ...['client', 'fou-local @eth0', `fou-remote ${SERVER_ADDRESS}:${PORT}`, SERVER_PUBLIC],
    ...['tunl-ip 172.28.0.2', 'tunl-peer-ip 172.28.0.0', PROOF.key, ...COMMON],
  ];
  const times: number[] = [];
  for (let round = 0; round < Number(options.moves); round += 1) {
    await scene.lab.remapNat();
    const { result } = await during(scene, {}, async () => {
      const client = await hosts.start(scene.lab.client(1), lines);
      await client.ready();
      const from = performance.now();
      await client.established();
      const took = performance.now() - from;
      await client.stop();
      return took;
    });
    times.push(result);
  }
  const shown = [median(times), Math.max(...times)].map((time) => time.toFixed(0));
  console.log(`\nconnects, ${kind}: ${shown[0]} ms, longest ${shown[1]} ms of ${times.length}`);
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
): Promise<{ readonly result: T; readonly perSecond: number }> {
  const { packets, mac1 } = FLOODS[kind];
  const common = { packets, rate: Number(options.rate), toPort: PORT, ...(mac1 && { mac1 }) };
  return underFlood(lab, change && { ...common, ...change }, work);
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

await main();
