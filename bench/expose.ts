import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { cpus, loadavg, release, tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { Program } from '../src/adapters/lab/process.ts';
import { SERVER_ADDRESS, up, type Topology } from '../src/adapters/lab/topology.ts';
import { replaceMarked } from '../src/core/config/text/markdown.ts';
import { median } from '../src/bench/statistics.ts';
import { millis } from '../src/core/units.ts';
import { changed, DESCRIBED, Hosts } from '../test/rig/daemon.ts';
import { WAYS, type Scene } from './expose-ways.ts';

/*
 * Ways to reach a web server behind NAT at a server's address: exposed by ipipou, by proxies on the server that go
 * through a tunnel of ipipou's, by `ssh -R`, and by WireGuard with rules of one's own. A lab (src/adapters/lab/topology.ts)
 * for each; nginx and iperf3 at home, the visitor on the server's network.
 *
 *   throughput   one TCP stream from the visitor to the service, Gbit/s (iperf3)
 *   connections  a second, each with one request, 32 at a time
 *   latency      of a connection with a request and its answer, one at a time, median, ms
 *   CPU          of the programs of this way, at both ends, ms a second of the stream; what the kernel does is not in it
 *   address      whether nginx has the visitor's address in its log
 *
 * Rounds of all ways, one after the other, and medians: some minutes. With --docs the table goes into docs/BENCHMARKS.md.
 * Wants a machine with nothing else to do, and Debian's nginx, haproxy, socat, wireguard-go and openssh-server.
 *
 * usage: npm run bench:expose [-- [--seconds S] [--rounds N] [--only NAME] [--docs]]
 */

const { values: options } = parseArgs({
  options: {
    seconds: { type: 'string', default: '2' },
    rounds: { type: 'string', default: '3' },
    only: { type: 'string' },
    docs: { type: 'boolean', default: false },
  },
});

const VISITOR = '203.0.113.80';
const VISITS = path.resolve(
  import.meta.dirname.replace('/.cache/bench/', '/'),
  'expose-visitor.mjs',
);

const DOCUMENT = path.resolve(
  import.meta.dirname.replace('/.cache/bench/', '/'),
  '../docs/BENCHMARKS.md',
);

type Row = Readonly<Record<'rate' | 'perSecond' | 'latency' | 'cpu', number>> & {
  readonly kept: boolean;
};

async function main(): Promise<void> {
  const whole = await mkdtemp(path.join(tmpdir(), 'ipipou-bench-expose-'));
  await chmod(whole, 0o755);
  const load = loadavg()[0]?.toFixed(1);
  const { seconds, rounds, only } = options;
  const facts = `Linux ${release()}, ${cpus().length} × ${cpus()[0]?.model.trim()}, Node ${process.versions.node}, ${rounds} rounds of ${seconds} s, medians; load ${load} at the beginning; ${new Date().toISOString().slice(0, 10)}.`;
  console.log(`${facts}\n`);
  const rows = new Map<string, Row[]>();
  try {
    for (let round = 0; round < Number(rounds); round += 1) {
      for (const [name, way] of Object.entries(WAYS)) {
        if (only !== undefined && only !== name) continue;
        // A folder for each turn, by whose last letters it is known: keys are made, and logs begin, anew.
        const folder = await mkdtemp(path.join(whole, 'turn-'));
        await chmod(folder, 0o755);
        const row = await measure(folder, way);
        rows.set(name, [...(rows.get(name) ?? []), row]);
        console.error(name, row);
      }
    }
  } finally {
    await rm(whole, { recursive: true, force: true });
  }
  const table = tableOf(rows);
  console.log(table);
  if (!options.docs) return;
  const text = await readFile(DOCUMENT, 'utf8');
  await writeFile(DOCUMENT, replaceMarked(text, 'bench expose', `${table}\n\n${facts}`));
}

function tableOf(rows: ReadonlyMap<string, readonly Row[]>): string {
  const lines = [...rows].map(([name, list]) => {
    const of = (key: 'rate' | 'perSecond' | 'latency' | 'cpu', digits: number): string =>
      median(list.map((row) => row[key])).toFixed(digits);
    const kept = list.every((row) => row.kept) ? 'yes' : 'no';
    return `| ${name} | ${of('rate', 2)} | ${of('perSecond', 0)} | ${of('latency', 2)} | ${of('cpu', 0)} | ${kept} |`;
  });
  return [
    '| | Gbit/s | connections/s | latency, ms | CPU, ms/s | address kept |',
    '| --- | --- | --- | --- | --- | --- |',
    ...lines,
  ].join('\n');
}

async function measure(folder: string, way: (typeof WAYS)[string]): Promise<Row> {
  await using lab = await up({ clients: 1 });
  await using hosts = await Hosts.in(lab);
  await sure(lab, lab.router, 'ip', 'addr', 'add', `${VISITOR}/24`, 'dev', 'wan');
  await serve(lab, way.home === 'server' ? lab.server : lab.client(), folder);
  const scene: Scene = {
    ...{ lab, folder },
    sure: async (namespace, ...argv) => sure(lab, namespace, ...argv),
    async tunnel(plane, ...expose) {
      const server = await hosts.start(
        lab.server,
        changed(DESCRIBED.server, `dataplane ${plane}`, ...expose),
      );
      const client = await hosts.start(
        lab.client(),
        changed(DESCRIBED.client, `dataplane ${plane}`, 'return-path tunnel'),
      );
      await client.established();
      return [server.program, client.program];
    },
  };
  const programs = await way.open(scene);
  await reached(lab);
  const visits = async (concurrency: number) => {
    const argv = [process.execPath, VISITS, SERVER_ADDRESS, '80', VISITOR, options.seconds];
    const { stdout } = await lab.exec(lab.router, [...argv, String(concurrency)]);
    return JSON.parse(stdout) as { perSecond: number; median: number };
  };
  const { median: latency } = await visits(1);
  const { perSecond } = await visits(32);
  const before = await processorTime(programs);
  const rate = await stream(lab);
  const cpu = ((await processorTime(programs)) - before) / Number(options.seconds);
  const log = await readFile(`${folder}/access.log`, 'utf8');
  const kept = log.trim().split('\n').at(-1) === VISITOR;
  return { rate, perSecond, latency, cpu, kept };
}

async function sure(lab: Topology, namespace: string, ...argv: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await lab.exec(namespace, argv);
  if (code !== 0) throw new Error(`${argv.join(' ')}: ${stderr}`);
  return stdout;
}

/** Web server and iperf3. */
async function serve(lab: Topology, namespace: string, folder: string): Promise<void> {
  const config = [
    `daemon off; user root; error_log stderr; pid ${folder}/nginx.pid;`,
    'events { worker_connections 4096; }',
    `http { log_format who '$remote_addr'; access_log ${folder}/access.log who;`,
    'server { listen 80; listen [::]:80; location / { return 200 home; } } }',
  ];
  await writeFile(`${folder}/nginx.conf`, config.join('\n'));
  lab.spawn(namespace, ['nginx', '-c', `${folder}/nginx.conf`]);
  lab.spawn(namespace, ['iperf3', '-s']);
}

async function reached(lab: Topology): Promise<void> {
  const deadline = performance.now() + 30_000;
  for (;;) {
    const argv = ['curl', '-s', '-m', '2', '--interface', VISITOR, `http://${SERVER_ADDRESS}/`];
    const { stdout } = await lab.exec(lab.router, argv);
    if (stdout === 'home') return;
    if (performance.now() > deadline) throw new Error('the service is not reached');
    await delay(200);
  }
}

/** Gbit/s. */
async function stream(lab: Topology): Promise<number> {
  const argv = ['iperf3', '-J', '-t', options.seconds, '-B', VISITOR, '-c', SERVER_ADDRESS];
  const { stdout } = await lab.exec(lab.router, argv, { timeout: millis(60_000) });
  const report = JSON.parse(stdout) as { end?: { sum_received?: { bits_per_second: number } } };
  return (report.end?.sum_received?.bits_per_second ?? 0) / 1e9;
}

/** Milliseconds that programs and their children have run, those that have ended too (proc(5): ticks of 10 ms, fields 14 to 17). */
async function processorTime(programs: readonly Program[]): Promise<number> {
  const pids = await Promise.all(programs.map(async ({ pid }) => family(String(pid))));
  const times = pids.flat().map(async (pid) => {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
    const fields = (stat.split(') ')[1] ?? '').split(' ').slice(11, 15);
    return fields.reduce((sum, ticks) => sum + Number(ticks) * 10, 0);
  });
  return (await Promise.all(times)).reduce((sum, time) => sum + time, 0);
}

async function family(pid: string): Promise<readonly string[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '');
  const children = text.split(' ').filter((child) => child !== '');
  return [pid, ...(await Promise.all(children.map(async (child) => family(child)))).flat()];
}

await main();
