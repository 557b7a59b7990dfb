import { loadavg, release } from 'node:os';
import { parseArgs } from 'node:util';
import { setTimeout as delay } from 'node:timers/promises';
import { generateKeyPair } from '../src/adapters/crypto.ts';
import { up } from '../src/adapters/lab/topology.ts';
import { formatBase64 } from '../src/core/base64.ts';
import { millis } from '../src/core/units.ts';
import { changed, DESCRIBED, Hosts } from '../test/rig/daemon.ts';

/*
 * How long a tunnel is silent after the NAT between client and server has forgotten its mapping and gives the client
 * another port, while data flows: a ping every 2 ms, of 100 bytes. In the lab of src/adapters/lab/topology.ts; for each plane
 * and `integrity`, milliseconds between the last answer before and the first one after: median, and the most of nine in
 * ten; behind it the same of a ping that nothing happened to, since a busy machine has silences of its own. The router's own work (nft, conntrack) is in it. Wants a machine with nothing else to do.
 *
 * usage: npm run build && tsc -p bench && node .cache/bench/bench/recovery.js [--planes bpf,tun] [--remaps N]
 */

const { values: options } = parseArgs({
  options: {
    planes: { type: 'string', default: 'bpf,tun' },
    remaps: { type: 'string', default: '20' },
  },
});

const LEVELS = ['none', 'header', 'full'] as const;
const INTERVAL = 2;
/** A move is looked at for three seconds. */
const SETTLE = 3500;
const BEFORE = 200;
/** What is not over by then is given up. */
const GIVE_UP = millis(8000);
/** Characters that a ping prints until it has gone on for long enough. */
const ENOUGH = 10_000;
const keys = generateKeyPair();

console.log(`Linux ${release()}, load ${loadavg()[0]?.toFixed(1)}; ms, median and 90 %`);
for (const plane of options.planes.split(',')) {
  for (const level of LEVELS) {
    const { found, still } = await measure(plane, level, Number(options.remaps));
    console.log(`${plane} ${level}: ${summary(found)}; nothing: ${summary(still)}`);
  }
}

function summary(silences: readonly number[]): string {
  const sorted = silences.toSorted((a, b) => a - b);
  const at = (part: number): string =>
    (sorted[Math.floor(part * (sorted.length - 1))] ?? Number.NaN).toFixed(1);
  return `${at(0.5)} ${at(0.9)} (${sorted.length} of ${options.remaps})`;
}

async function measure(plane: string, level: string, remaps: number) {
  await using lab = await up();
  await using hosts = await Hosts.in(lab);
  const lines = [`dataplane ${plane}`, 'session v2', `integrity ${level}`, 'verb 1'];
  const own = `auth-key-b64 ${formatBase64(keys.privateSeed)}`;
  await using server = await hosts.start(lab.server, changed(DESCRIBED.server, own, ...lines));
  await server.ready();
  const theirs = `auth-remote-pubkey-b64 ${formatBase64(keys.publicKey)}`;
  const ofClient = changed(DESCRIBED.client, theirs, ...lines);
  await using client = await hosts.start(lab.client(), ofClient);
  await Promise.all([client.established(), server.established()]);
  const argv = ['ping', '-D', '-n', '-i', String(INTERVAL / 1000), '-s', '100', '172.28.0.0'];
  const found: number[] = [];
  const still: number[] = [];
  for (let count = 0; count < remaps; count += 1) {
    await delay(SETTLE);
    for (const remap of [false, true]) {
      const ping = lab.spawn(lab.client(), argv, { group: 'own' });
      await delay(BEFORE);
      if (remap) await lab.remapNat();
      const seen = ping.stdout.length;
      const goesOn = (output: string): boolean => output.length > seen + ENOUGH;
      await ping.waitFor(goesOn, GIVE_UP).catch(() => undefined);
      const { stdout } = await ping.stop('SIGINT');
      const silence = longestSilence(stdout);
      if (silence !== undefined) (remap ? found : still).push(silence);
    }
  }
  return { found, still };
}

/** The longest time between two answers, milliseconds. */
function longestSilence(output: string): number | undefined {
  const times = [...output.matchAll(/^\[([0-9.]+)\] .* icmp_seq=/gm)].map(
    ([, at]) => Number(at) * 1000,
  );
  const gaps = times.slice(1).map((at, index) => at - (times[index] ?? at));
  return gaps.length === 0 ? undefined : Math.max(...gaps);
}
