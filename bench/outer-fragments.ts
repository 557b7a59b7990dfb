import { loadavg, release } from 'node:os';
import { parseArgs } from 'node:util';
import { up, type Topology } from '../src/adapters/lab/topology.ts';
import { median } from '../src/bench/statistics.ts';
import { millis } from '../src/core/units.ts';
import { changed, DESCRIBED, Hosts } from '../test/rig/daemon.ts';

/*
 * What 1500 bytes inside cost where they leave in fragments: one TCP stream by a tunnel on `tun`, with the MTU of the path
 * and with `mtu 1500` and `outer-fragments`, by turns. Gbit/s, and the ratio to the same round's; medians.
 *
 * usage: node .cache/bench/bench/outer-fragments.js [--rounds N] [--seconds S]
 */
const { values: options } = parseArgs({
  options: { rounds: { type: 'string', default: '5' }, seconds: { type: 'string', default: '3' } },
});

const CASES = { whole: [], fragments: ['mtu 1500', 'outer-fragments'] } as const;

async function main(): Promise<void> {
  const { rounds, seconds } = options;
  console.log(`kernel ${release()}, ${rounds} rounds of ${seconds} s, load ${loadavg()[0]}\n`);
  await using lab = await up({ clients: 1 });
  await using hosts = await Hosts.in(lab);
  const rates: Record<keyof typeof CASES, number[]> = { whole: [], fragments: [] };
  for (let round = 0; round < Number(rounds); round += 1) {
    for (const name of ['whole', 'fragments'] as const) {
      const lines = ['dataplane tun', ...CASES[name]];
      const server = await hosts.start(lab.server, changed(DESCRIBED.server, ...lines));
      const client = await hosts.start(lab.client(), changed(DESCRIBED.client, ...lines));
      await client.established();
      rates[name].push(await tcp(lab));
      await Promise.all([server, client].map(async (daemon) => daemon.stop()));
    }
  }
  const ratios = rates.fragments.map((rate, round) => rate / (rates.whole[round] ?? Number.NaN));
  console.log('| | Gbit/s | to whole |\n| --- | --- | --- |');
  console.log(`| whole | ${median(rates.whole).toFixed(2)} | |`);
  console.log(
    `| fragments | ${median(rates.fragments).toFixed(2)} | ${median(ratios).toFixed(2)} |`,
  );
}

/** Gbit/s of one TCP stream from the client to the server. */
async function tcp(lab: Topology): Promise<number> {
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
  const done = await lab.exec(lab.client(), argv, { timeout: millis(60_000) });
  await listener.end(millis(5000)).catch(() => undefined);
  const report = JSON.parse(done.stdout) as {
    end?: { sum_received?: { bits_per_second: number } };
  };
  return (report.end?.sum_received?.bits_per_second ?? 0) / 1e9;
}

await main();
