import { randomBytes } from 'node:crypto';
import { loadavg, release } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { up, SERVER_ADDRESS, type Topology } from '../src/adapters/lab/topology.ts';
import { generateKeyPair } from '../src/adapters/crypto.ts';
import { formatBase64 } from '../src/core/base64.ts';
import { innerIpv4FromNumber } from '../src/core/addr.ts';
import { millis } from '../src/core/units.ts';
import { Hosts, IPIPOU, type Daemon } from '../test/rig/daemon.ts';

/*
 * What it takes to be told of a daemon with many peers: seconds of wall clock and of processor for each command, and
 * for a scrape; and what scrapes cost traffic: Gbit/s of a client's stream by the tunnel without, with one and with ten
 * a second, in turn, and the ratio to the same round's without. A lab (src/adapters/lab/topology.ts); one client is real.
 *
 * usage: node .cache/bench/bench/show.js [--plane bpf] [--peers 1000,100000] [--rounds N] [--seconds S]
 */

const { values: options } = parseArgs({
  options: {
    plane: { type: 'string', default: 'bpf' },
    peers: { type: 'string', default: '1000,100000' },
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '3' },
  },
});

const rounds = Number(options.rounds);
const serverKey = generateKeyPair();
const clientKey = generateKeyPair();
const METRICS = '127.0.0.1:9586';

function serverLines(count: number): readonly string[] {
  const sections = Array.from({ length: count }, (_, index) => [
    `peer p${index}`,
    `tunl-peer-ip ${innerIpv4FromNumber(0x0a00_0001 + index)}`,
    `auth-remote-pubkey-b64 ${formatBase64(index === 0 ? clientKey.publicKey : randomBytes(32))}`,
  ]);
  return [
    ...['server', 'fou-dev eth0', 'tunl-ip 10.255.255.1', 'auth-secret topsecret', 'verb 1'],
    ...[`auth-key-b64 ${formatBase64(serverKey.privateSeed)}`, 'reply-on-auth-ok'],
    `dataplane ${options.plane}`,
    ...sections.flat(),
  ];
}

const CLIENT = [
  ...['client', 'fou-local @eth0', `fou-remote ${SERVER_ADDRESS}:10000`, 'tunl-ip 10.0.0.1'],
  ...['tunl-peer-ip 10.255.255.1', 'auth-secret topsecret', `dataplane ${options.plane}`],
  `auth-key-b64 ${formatBase64(clientKey.privateSeed)}`,
  `auth-remote-pubkey-b64 ${formatBase64(serverKey.publicKey)}`,
];

/** Seconds of the wall clock and of the processor; the lines that came. */
type Taken = { readonly wall: number; readonly cpu: number; readonly lines: number };

async function take(lab: Topology, hosts: Hosts, script: string): Promise<Taken> {
  const whole = `TIMEFORMAT='%R %U %S'; time { ${script}; }`;
  const env = hosts.env(lab.server);
  const { stdout, stderr } = await lab.exec(lab.server, ['bash', '-c', whole], {
    env,
    timeout: millis(120_000),
  });
  const [wall = 0, user = 0, system = 0] = (stderr.trim().split('\n').at(-1) ?? '')
    .split(' ')
    .map(Number);
  return { wall, cpu: user + system, lines: Number(stdout) };
}

async function measure(count: number): Promise<void> {
  await using lab = await up();
  await using hosts = await Hosts.in(lab);
  const began = Date.now();
  await using server = await hosts.start(lab.server, serverLines(count));
  await server.ready(millis(120_000));
  console.log(`\n${count} peers; the daemon was ready after ${(Date.now() - began) / 1000} s\n`);
  await using client = await hosts.start(lab.client(), CLIENT);
  await client.established();
  const ipipou = `${process.execPath} ${IPIPOU}`;
  const commands = {
    show: `${ipipou} show | wc -l`,
    'show to a reader that takes ten lines': `${ipipou} show | head -10 | wc -l`,
    'show --limit 50 --after p500': `${ipipou} show ipipou0 --limit 50 --after p500 | wc -l`,
    'show p7': `${ipipou} show p7 | wc -l`,
    'show transfer': `${ipipou} show ipipou0 transfer | wc -l`,
    'show --json': `${ipipou} show --json | wc -l`,
    status: `${ipipou} status | wc -l`,
    metrics: `${ipipou} metrics | wc -l`,
  };
  console.log('| command | wall, s | processor, s | lines |\n| --- | --- | --- | --- |');
  for (const [name, script] of Object.entries(commands)) {
    const taken: Taken[] = [];
    for (let round = 0; round < rounds; round += 1) taken.push(await take(lab, hosts, script));
    const of = (key: 'wall' | 'cpu'): string => spread(taken.map((one) => one[key]));
    console.log(`| ${name} | ${of('wall')} | ${of('cpu')} | ${taken[0]?.lines} |`);
  }
  if (count <= 10_000) await scrapes(lab, hosts, server);
}

async function scrapes(lab: Topology, hosts: Hosts, server: Daemon): Promise<void> {
  const env = hosts.env(lab.server);
  const command = [process.execPath, IPIPOU, 'metrics', '--listen', METRICS];
  await using exporter = lab.spawn(lab.server, command, { env });
  await exporter.waitFor(/metrics at/);
  const url = `http://${METRICS}/metrics`;
  const curl = `curl -s -o /dev/null -w '%{time_total} ' ${url}`;
  const timed = await lab.exec(lab.server, ['bash', '-c', `for i in $(seq 20); do ${curl}; done`]);
  const times = timed.stdout.trim().split(' ').map(Number);
  console.log(`\na scrape over HTTP: ${spread(times)} s`);
  await using listener = lab.spawn(lab.server, ['iperf3', '-s', '--forceflush']);
  await listener.waitFor(/listening/);
  const rates = [0, 1, 10];
  const rows = new Map<number, number[]>(rates.map((rate) => [rate, []]));
  for (let round = 0; round < rounds; round += 1) {
    for (const rate of rates) {
      const loop = `while :; do curl -s -o /dev/null ${url}; sleep ${1 / (rate || 1)}; done`;
      const scraper = rate === 0 ? undefined : lab.spawn(lab.server, ['bash', '-c', loop]);
      rows.get(rate)?.push(await stream(lab));
      await scraper?.stop('SIGKILL');
      await delay(200);
    }
  }
  const bare = rows.get(0) ?? [];
  for (const [rate, speeds] of rows) {
    const ratios = speeds.map((speed, round) => speed / (bare[round] ?? Number.NaN));
    console.log(`${rate} scrapes a second: ${spread(speeds)} Gbit/s, ratio ${spread(ratios)}`);
  }
  await server.status();
}

async function stream(lab: Topology): Promise<number> {
  const iperf = ['iperf3', '-c', '10.255.255.1', '-t', options.seconds, '-J'];
  const { stdout } = await lab.exec(lab.client(), iperf);
  const { end } = JSON.parse(stdout) as {
    readonly end: { readonly sum_received: { readonly bits_per_second: number } };
  };
  return end.sum_received.bits_per_second / 1e9;
}

function spread(values: readonly number[]): string {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (place: number): string => (sorted[place] ?? Number.NaN).toFixed(3);
  return `${at(Math.floor(sorted.length / 2))} (${at(0)}–${at(sorted.length - 1)})`;
}

console.log(
  `kernel ${release()}, Node ${process.version}, plane ${options.plane}, ${rounds} rounds, load ${loadavg()[0]?.toFixed(1)}`,
);
for (const count of options.peers.split(',').map(Number)) await measure(count);
