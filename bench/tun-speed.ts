import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { release, tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { inside, ipBatch, removeNamespaces } from '../src/adapters/lab/namespaces.ts';
import { Program, run, runChecked } from '../src/adapters/lab/process.ts';
import { generateKeyPair } from '../src/adapters/crypto.ts';
import { formatBase64 } from '../src/core/base64.ts';
import { millis } from '../src/core/units.ts';
import { IPIPOU } from '../test/rig/daemon.ts';

/*
 * How fast one TCP stream is through tunnels in user space, in alternation, over one cable (1500 bytes):
 *
 *     s   v0 10.9.0.1/24  <──────────>  v0 10.9.0.2/24   c
 *         ipipou        172.28.0.0 ┄ 172.28.0.1   MTU 1472
 *         wireguard-go  172.28.1.0 ┄ 172.28.1.1   MTU 1440 (as much as fits)
 *         openvpn       172.28.2.0 ┄ 172.28.2.1   MTU 1472, no cipher, no authentication
 *
 * Twice: with super-packets on the cable, as two hosts on one machine have it, and with every frame by
 * itself (tso and gso off), as a network card has it that cannot cut.
 *
 * With --integrity, a list of levels, also tunnels of ipipou whose packets carry tags, at 172.28.3.0 (header) and
 * 172.28.4.0 (full), MTU 1456, in turns with the others.
 *
 * usage: node .cache/bench/bench/tun-speed.js [--rounds N] [--seconds S] [--integrity header,full]
 */

type Tunnel = {
  readonly name: string;
  readonly address: string;
  /** Starts both ends; or says why not. */
  readonly start: (place: Place) => Promise<readonly Program[]>;
};

/** Two namespaces, and a folder for files. */
type Place = { readonly s: string; readonly c: string; readonly folder: string };

const SETTLE = millis(20_000);

const PLAIN = 'ipipou tun';

/** Tunnels that prove packets, by the numbers of their devices. */
const TAGGED: Readonly<Record<string, number>> = { header: 3, full: 4 };

const TUNNELS: readonly Tunnel[] = [
  { name: 'bare', address: '10.9.0.1', start: async () => [] },
  { name: PLAIN, address: '172.28.0.0', start: (place) => startIpipou(place, 0) },
  { name: 'wireguard-go', address: '172.28.1.0', start: startWireguard },
  { name: 'openvpn none', address: '172.28.2.0', start: startOpenvpn },
];

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string', default: '5' },
      seconds: { type: 'string', default: '2' },
      integrity: { type: 'string', default: '' },
    },
  });
  const tunnels = [...TUNNELS, ...values.integrity.split(',').filter(Boolean).map(taggedTunnel)];
  const folder = await mkdtemp(path.join(tmpdir(), 'ipipou-speed-'));
  const place = { s: `ipipou-tsp-${process.pid}-s`, c: `ipipou-tsp-${process.pid}-c`, folder };
  const programs: Program[] = [];
  try {
    await layCable(place);
    const ready: Tunnel[] = [];
    for (const tunnel of tunnels) {
      try {
        programs.push(...(await tunnel.start(place)));
        await answers(place.c, tunnel.address);
        ready.push(tunnel);
      } catch (error) {
        console.log(`${tunnel.name} is left out: ${reason(error)}`);
      }
    }
    console.log(`kernel ${release()}, Node ${process.version}, TCP, one stream, Gbit/s\n`);
    await measureAll('super-packets', place, ready, values);
    await Promise.all([place.s, place.c].map((name) => cutFrames(name)));
    await measureAll('single frames', place, ready, values);
  } finally {
    await Promise.all(programs.map((program) => program.stop()));
    await removeNamespaces([place.s, place.c]);
    await rm(folder, { recursive: true, force: true });
  }
}

async function measureAll(
  what: string,
  place: Place,
  tunnels: readonly Tunnel[],
  { rounds, seconds }: { readonly rounds: string; readonly seconds: string },
): Promise<void> {
  const samples = new Map<string, number[]>(tunnels.map(({ name }) => [name, []]));
  for (let round = 1; round <= Number(rounds); round += 1) {
    for (const { name, address } of tunnels) {
      const rate = await measure(place, address, seconds);
      process.stderr.write(`${what}, round ${round}, ${name}: ${rate.toFixed(2)}\n`);
      samples.get(name)?.push(rate);
    }
  }
  const medianOf = (name: string) => median(samples.get(name) ?? []);
  const against = tunnels.filter(({ name }) => name !== PLAIN);
  console.log(`| ${what} | median (min–max) | of bare | ${PLAIN} is |`);
  console.log('| --- | --- | --- | --- |');
  for (const { name } of tunnels) {
    const list = samples.get(name) ?? [];
    const share = `${((medianOf(name) / medianOf('bare')) * 100).toFixed(0)} %`;
    const times = against.some((other) => other.name === name)
      ? `${(medianOf(PLAIN) / medianOf(name)).toFixed(2)} times this`
      : '';
    const range = `${Math.min(...list).toFixed(2)}–${Math.max(...list).toFixed(2)}`;
    console.log(`| ${name} | ${medianOf(name).toFixed(2)} (${range}) | ${share} | ${times} |`);
  }
  console.log('');
  for (const { name } of tunnels.filter((tunnel) => tunnel.name.startsWith(`${PLAIN} `))) {
    console.log(`${name}: ${(medianOf(name) / medianOf(PLAIN)).toFixed(2)} of ${PLAIN}`);
  }
}

function taggedTunnel(level: string): Tunnel {
  const number = TAGGED[level];
  if (number === undefined) {
    throw new Error(`--integrity ${level}: levels are ${Object.keys(TAGGED).join(' and ')}`);
  }
  const start = (place: Place) => startIpipou(place, number, level);
  return { name: `${PLAIN} ${level}`, address: `172.28.${number}.0`, start };
}

/** Gbit/s that arrive of one TCP stream from c to s. */
async function measure(place: Place, address: string, seconds: string): Promise<number> {
  await using server = new Program(
    inside(place.s, ['iperf3', '-s', '-1', '-B', address, '--forceflush']),
  );
  await server.waitFor(/listening/);
  const argv = ['iperf3', '-J', '-t', seconds, '-O', '0.5', '-c', address];
  const { stdout } = await runChecked(inside(place.c, argv), { timeout: millis(60_000) });
  const report = JSON.parse(stdout) as { end: { sum_received: { bits_per_second: number } } };
  return report.end.sum_received.bits_per_second / 1e9;
}

async function layCable({ s, c }: Place): Promise<void> {
  await ipBatch(undefined, [
    `netns add ${s}`,
    `netns add ${c}`,
    `link add v0 netns ${s} type veth peer name v0 netns ${c}`,
  ]);
  for (const [namespace, address] of [
    [s, '10.9.0.1'],
    [c, '10.9.0.2'],
  ] as const) {
    const lines = ['link set lo up', `addr add ${address}/24 dev v0`, 'link set v0 up'];
    await ipBatch(namespace, lines);
  }
}

async function cutFrames(namespace: string): Promise<void> {
  const argv = ['ethtool', '-K', 'v0', 'tso', 'off', 'gso', 'off', 'gro', 'on'];
  await runChecked(inside(namespace, argv));
}

async function startIpipou(
  place: Place,
  number: number,
  integrity?: string,
): Promise<readonly Program[]> {
  await stat(IPIPOU);
  const port = 10_000 + number;
  const common = [`number ${number}`, 'dataplane tun', `fou-local-port ${port}`];
  const [ofServer, ofClient] = integrity === undefined ? TOKEN : proofs(integrity);
  const [there, here] = [`172.28.${number}.0`, `172.28.${number}.1`];
  const server = ['server', ...common, ...ofServer, `tunl-ip ${there}`, `tunl-peer-ip ${here}`];
  const client = ['client', ...common, ...ofClient, `tunl-ip ${here}`, `tunl-peer-ip ${there}`];
  const start = async (namespace: string, lines: readonly string[]) => {
    const file = path.join(place.folder, `${namespace}-${number}.conf`);
    await writeFile(file, `${lines.join('\n')}\n`, { mode: 0o600 });
    const env = {
      IPIPOU_RUN_DIR: path.join(place.folder, 'run'),
      IPIPOU_STATE_DIR: path.join(place.folder, namespace),
    };
    return new Program(inside(namespace, [process.execPath, IPIPOU, '--config', file]), { env });
  };
  return [
    await start(place.s, [...server, 'fou-local-ip 10.9.0.1']),
    await start(place.c, [...client, `fou-remote 10.9.0.1:${port}`, 'keepalive 1']),
  ];
}

const TOKEN = [['auth-token bench'], ['auth-token bench']] as const;

/** What each side says of keys and tags. */
function proofs(integrity: string): readonly [readonly string[], readonly string[]] {
  const [server, client] = [generateKeyPair(), generateKeyPair()];
  const lines = (own: KeyPair, other: KeyPair) => [
    `auth-key-b64 ${formatBase64(own.privateSeed)}`,
    `auth-remote-pubkey-b64 ${formatBase64(other.publicKey)}`,
    `integrity ${integrity}`,
  ];
  return [[...lines(server, client), 'reply-on-auth-ok'], lines(client, server)];
}

type KeyPair = ReturnType<typeof generateKeyPair>;

async function startWireguard(place: Place): Promise<readonly Program[]> {
  await runChecked(['wireguard-go', '--version']);
  const keys = await Promise.all([wireguardKeys(place, 's'), wireguardKeys(place, 'c')]);
  const ends = [
    { namespace: place.s, inner: '172.28.1.0', other: '172.28.1.1', remote: '10.9.0.2' },
    { namespace: place.c, inner: '172.28.1.1', other: '172.28.1.0', remote: '10.9.0.1' },
  ];
  const programs: Program[] = [];
  for (const [index, { namespace, inner, other, remote }] of ends.entries()) {
    // Its control sockets lie in one folder for all namespaces: names must differ.
    const device = `wg${index}x${process.pid % 100_000}`;
    const argv = inside(namespace, ['wireguard-go', '-f', device]);
    const env = { WG_I_PREFER_BUGGY_USERSPACE_TO_POLISHED_KMOD: '1' };
    programs.push(new Program(argv, { env }));
    await until(async () => stat(`/var/run/wireguard/${device}.sock`));
    const own = ['private-key', keys[index]?.file ?? '', 'listen-port', '51820'];
    const peer = ['peer', keys[1 - index]?.publicKey ?? '', 'endpoint', `${remote}:51820`];
    const allowed = ['allowed-ips', `${other}/32`];
    await runChecked(inside(namespace, ['wg', 'set', device, ...own, ...peer, ...allowed]));
    await ipBatch(namespace, [
      `addr add ${inner} peer ${other} dev ${device}`,
      `link set ${device} mtu 1440 up`,
    ]);
  }
  return programs;
}

async function wireguardKeys(place: Place, who: string) {
  const { stdout } = await runChecked(['wg', 'genkey']);
  const file = path.join(place.folder, `${who}.key`);
  await writeFile(file, stdout, { mode: 0o600 });
  const publicKey = (await runChecked(['wg', 'pubkey'], { input: stdout })).stdout.trim();
  return { file, publicKey };
}

async function startOpenvpn(place: Place): Promise<readonly Program[]> {
  await run(['openvpn', '--version']);
  const end = (namespace: string, local: string, remote: string, from: string, to: string) => {
    const outer = ['--local', local, '--remote', remote, '--port', '1194', '--proto', 'udp4'];
    const inner = ['--dev', 'tunv', '--dev-type', 'tun', '--ifconfig', from, to];
    const plain = ['--cipher', 'none', '--auth', 'none', '--tun-mtu', '1472', '--mssfix', '0'];
    return new Program(inside(namespace, ['openvpn', ...outer, ...inner, ...plain]));
  };
  return [
    end(place.s, '10.9.0.1', '10.9.0.2', '172.28.2.0', '172.28.2.1'),
    end(place.c, '10.9.0.2', '10.9.0.1', '172.28.2.1', '172.28.2.0'),
  ];
}

/** Resolves when `address` answers. */
async function answers(namespace: string, address: string): Promise<void> {
  await until(async () => runChecked(inside(namespace, ['ping', '-c1', '-W1', address])));
}

async function until(act: () => Promise<unknown>): Promise<void> {
  const deadline = Date.now() + SETTLE;
  for (;;) {
    try {
      await act();
      return;
    } catch (error) {
      if (Date.now() > deadline) throw error;
    }
  }
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message.replaceAll(/\s+/g, ' ') : String(error);
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

await main();
