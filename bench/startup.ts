import { readFile } from 'node:fs/promises';
import { release } from 'node:os';
import { parseArgs } from 'node:util';
import { runChecked } from '../src/adapters/lab/process.ts';
import { up, SERVER_ADDRESS, type Topology } from '../src/adapters/lab/topology.ts';
import { port } from '../src/core/units.ts';
import { DESCRIBED, Hosts, changed, type Daemon } from '../test/rig/daemon.ts';
import { innerAddresses } from '../test/rig/addresses.ts';
import { addStockPeer, removeStockPeer, repointStockPeer } from '../test/vm/stock-peer.ts';

/*
 * How long until packets flow, in milliseconds, and what the daemon weighs at rest:
 *
 *   start   from the start of the client's process to the first reply through the tunnel
 *   roam    from a change of the client's own address to the first reply that comes through again
 *
 * Contestants take turns in every round. `recipe` is the same tunnel made with bare `ip` commands
 * (its start is that of `ip -batch` on the client, its server is pointed by hand beforehand; it
 * cannot notice a roam: what is shown is how long re-pointing both ends by hand takes).
 *
 * usage: node .cache/bench/bench/startup.js [--rounds N] [--planes fou,tun]
 */

const inner = innerAddresses(0);
/** Seconds between probes: also the resolution of what is measured. */
const PROBE = 0.01;

type Sample = { readonly start: number; readonly roam: number; readonly memory: number };

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string', default: '5' },
      planes: { type: 'string', default: 'fou,tun' },
    },
  });
  const planes = values.planes.split(',');
  const rounds = Number(values.rounds);
  const contestants = new Map<string, () => Promise<Sample>>();
  if (planes.includes('fou')) {
    await runChecked(['modprobe', '-a', 'fou', 'ipip', 'nft_queue', 'nfnetlink_queue', 'tun']);
    contestants.set('recipe', measureRecipe);
  }
  for (const plane of planes) contestants.set(`ipipou ${plane}`, () => measurePlane(plane));

  const samples = new Map<string, Sample[]>();
  for (let round = 1; round <= rounds; round++) {
    for (const [name, measure] of contestants) {
      const sample = await measure();
      process.stderr.write(`round ${round} ${name} ${JSON.stringify(sample)}\n`);
      samples.set(name, [...(samples.get(name) ?? []), sample]);
    }
  }
  console.log(
    `kernel ${release()}, Node ${process.version}, ${rounds} rounds, medians (min–max)\n`,
  );
  console.log('| | start, ms | roam, ms | daemon at rest, MiB (PSS) |');
  console.log('| --- | --- | --- | --- |');
  for (const [name, list] of samples) {
    const cells = (['start', 'roam', 'memory'] as const).map((key) =>
      spread(list.map((sample) => sample[key])),
    );
    console.log(`| ${name} | ${cells.join(' | ')} |`);
  }
}

async function measurePlane(plane: string): Promise<Sample> {
  await using lab = await up();
  await using hosts = await Hosts.in(lab);
  await using server = await hosts.start(
    lab.server,
    changed(DESCRIBED.server, `dataplane ${plane}`),
  );
  await server.ready();
  const probe = await probing(lab);
  const began = Date.now();
  await using client = await hosts.start(
    lab.client(),
    changed(DESCRIBED.client, `dataplane ${plane}`),
  );
  const start = (await probe.nextReplyAfter(began)) - began;
  await client.established();
  const moved = Date.now();
  await lab.changeClientAddress();
  const roam = (await probe.nextReplyAfter(Date.now())) - moved;
  const memory = await proportionalSize(client);
  await probe.stop();
  return { start, roam, memory };
}

async function measureRecipe(): Promise<Sample> {
  await using lab = await up();
  const ends = {
    device: 'tun',
    outerDevice: 'eth0',
    localPort: port(10_000),
    remotePort: port(10_000),
  };
  let server = {
    ...ends,
    namespace: lab.server,
    local: SERVER_ADDRESS,
    remote: lab.natAddress(),
    innerIp: inner.server,
    innerPeerIp: inner.client,
  };
  await addStockPeer(server);
  const client = {
    ...ends,
    namespace: lab.client(),
    local: lab.clientAddress(),
    remote: SERVER_ADDRESS,
    innerIp: inner.client,
    innerPeerIp: inner.server,
  };
  const probe = await probing(lab);
  const began = Date.now();
  await addStockPeer(client);
  const start = (await probe.nextReplyAfter(began)) - began;
  const moved = Date.now();
  const local = await lab.changeClientAddress();
  await removeStockPeer(client);
  await addStockPeer({ ...client, local });
  server = await repointStockPeer(server, { remote: lab.natAddress(), remotePort: port(10_000) });
  const roam = (await probe.nextReplyAfter(Date.now())) - moved;
  await probe.stop();
  return { start, roam, memory: 0 };
}

/** Pings the server's inner address from the client all the time; tells when replies come. */
async function probing(lab: Topology) {
  const ping = lab.spawn(lab.client(), ['ping', '-D', `-i${PROBE}`, inner.server]);
  await ping.waitFor(/PING/);
  const repliesAfter = (time: number): number | undefined => {
    for (const [, at] of ping.stdout.matchAll(/^\[(\d+\.\d+)\] \d+ bytes from/gm)) {
      const millis = Number(at) * 1000;
      if (millis > time) return millis;
    }
    return undefined;
  };
  return {
    async nextReplyAfter(time: number): Promise<number> {
      await ping.waitFor(() => repliesAfter(time) !== undefined);
      return repliesAfter(time) ?? Number.NaN;
    },
    stop: async () => ping.stop('SIGINT'),
  };
}

/** MiB that the daemon alone accounts for (Pss of /proc/PID/smaps_rollup). */
async function proportionalSize(daemon: Daemon): Promise<number> {
  const { pid } = await daemon.ready();
  const rollup = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8');
  const kib = /^Pss:\s+(\d+) kB/m.exec(rollup)?.[1];
  return Number(kib) / 1024;
}

function spread(values: readonly number[]): string {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (index: number) => (sorted[index] ?? Number.NaN).toFixed(0);
  return `${at(Math.floor(sorted.length / 2))} (${at(0)}–${at(sorted.length - 1)})`;
}

await main();
