import { loadavg, release } from 'node:os';
import { parseArgs } from 'node:util';
import { setTimeout as delay } from 'node:timers/promises';
import { up, SERVER_ADDRESS, type Topology } from '../src/adapters/lab/topology.ts';
import { generateKeyPair } from '../src/adapters/crypto.ts';
import { formatBase64 } from '../src/core/base64.ts';
import { Hosts, type Daemon } from '../test/rig/daemon.ts';
import { ELSEWHERE, median, tcpRate, underFlood } from './under-flood.ts';

/*
 * What a flood of SYNs, or of UDP, from forged addresses at an exposed service does to other peers. A lab
 * (src/adapters/lab/topology.ts) with a server and two clients: `data`, which has a TCP stream to the server by
 * the tunnel, and `home`, where a service listens that the server exposes.
 *
 *   quiet      no flood
 *   elsewhere  the flood, to a MAC address that is not the server's: what sending and taking in as many packets costs
 *              this machine, whatever the server does
 *   closed     the flood, to a port of the server where nothing is exposed: what any host has of it
 *   exposed    the flood, to the exposed port, with the default limits
 *   unlimited  the same with `rate none`
 *
 * For each, in turn: Gbit/s of the stream, its ratio to the same round's `quiet` and `elsewhere`, and the entries of the
 * server's conntrack table afterwards. Medians. Wants a machine with nothing else to do.
 *
 * usage: node .cache/bench/bench/exposed-flood.js [--plane bpf] [--packets datagrams] [--rounds N] [--seconds S] [--rate PPS]
 */

const { values: options } = parseArgs({
  options: {
    plane: { type: 'string', default: 'bpf' },
    packets: { type: 'string', default: 'syns' },
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '3' },
    rate: { type: 'string', default: '50000' },
  },
});

const [serverKey, dataKey, homeKey] = [generateKeyPair(), generateKeyPair(), generateKeyPair()];
const packets = options.packets === 'datagrams' ? 'datagrams' : 'syns';
const EXPOSED = `expose ${['tcp', 'udp'].map((name) => `${name}/443, ${name}/444 rate none`).join(', ')}`;
const COMMON = [`dataplane ${options.plane}`, 'auth-secret topsecret', 'verb 1'];
const SERVER = [
  'server',
  'fou-dev eth0',
  'tunl-ip 172.28.0.0',
  `auth-key-b64 ${formatBase64(serverKey.privateSeed)}`,
  'reply-on-auth-ok',
  ...COMMON,
  ...['peer data', 'tunl-peer-ip 172.28.0.1'],
  `auth-remote-pubkey-b64 ${formatBase64(dataKey.publicKey)}`,
  ...['peer home', 'tunl-peer-ip 172.28.0.2', EXPOSED],
  `auth-remote-pubkey-b64 ${formatBase64(homeKey.publicKey)}`,
];

const CASES: Readonly<Record<string, { readonly mac?: string; readonly to: number } | undefined>> =
  {
    quiet: undefined,
    elsewhere: { mac: ELSEWHERE, to: 443 },
    closed: { to: 80 },
    exposed: { to: 443 },
    unlimited: { to: 444 },
  };

type Row = Readonly<Record<'rate' | 'toQuiet' | 'toElsewhere' | 'pps' | 'entries', number>>;

async function main(): Promise<void> {
  const { plane, rounds, seconds, rate } = options;
  console.log(
    `kernel ${release()}, plane ${plane}, ${rate} ${packets}/s, ${rounds} rounds of ${seconds} s, load ${loadavg()[0]}`,
  );
  await using lab = await up({ clients: 2 });
  await using hosts = await Hosts.in(lab);
  // Answers to visitors that are nobody leave the server and end there.
  await lab.exec(lab.server, ['ip', 'route', 'add', '198.18.0.0/15', 'via', '203.0.113.2']);
  await lab.exec(lab.router, ['ip', 'route', 'add', 'blackhole', '198.18.0.0/15']);
  const server = await hosts.start(lab.server, SERVER);
  await server.ready();
  const clients: Daemon[] = [];
  for (const [index, { privateSeed }] of [dataKey, homeKey].entries()) {
    const lines = ['client', 'fou-local @eth0', `fou-remote ${SERVER_ADDRESS}:10000`];
    lines.push(`tunl-ip 172.28.0.${index + 1}`, 'tunl-peer-ip 172.28.0.0', ...COMMON);
    lines.push(`auth-key-b64 ${formatBase64(privateSeed)}`, 'return-path tunnel');
    lines.push(`auth-remote-pubkey-b64 ${formatBase64(serverKey.publicKey)}`);
    clients.push(await hosts.start(lab.client(index), lines));
  }
  const serve = `for (const port of [443, 444]) {
    require('node:net').createServer().listen(port);
    require('node:dgram').createSocket('udp4').bind(port);
  }`;
  lab.spawn(lab.client(1), [process.execPath, '-e', serve]);
  for (const client of clients) await client.established();
  await delay(1000);

  const rows = new Map<string, Row[]>();
  for (let round = 0; round < Number(rounds); round += 1) {
    const rates = new Map<string, number>();
    for (const [name, change] of Object.entries(CASES)) {
      const row = await measure(lab, change);
      rates.set(name, row.rate);
      const to = (other: string): number => row.rate / (rates.get(other) ?? Number.NaN);
      const list = rows.get(name) ?? [];
      list.push({ ...row, toQuiet: to('quiet'), toElsewhere: to('elsewhere') });
      rows.set(name, list);
    }
  }
  console.log('\n| | Gbit/s | to quiet | to elsewhere | packets/s | conntrack |');
  console.log('| --- | --- | --- | --- | --- | --- |');
  for (const [name, list] of rows) {
    const of = (key: keyof Row, digits: number): string =>
      median(list.map((row) => row[key])).toFixed(digits);
    console.log(
      `| ${name} | ${of('rate', 2)} | ${of('toQuiet', 2)} | ${of('toElsewhere', 2)} | ${of('pps', 0)} | ${of('entries', 0)} |`,
    );
  }
  await Promise.all([server, ...clients].map(async (daemon) => daemon.stop()));
}

async function measure(
  lab: Topology,
  change: (typeof CASES)[string],
): Promise<Pick<Row, 'rate' | 'pps' | 'entries'>> {
  await lab.exec(lab.server, ['conntrack', '-F']);
  if (change === undefined)
    return {
      rate: await tcpRate(lab, Number(options.seconds)),
      pps: 0,
      entries: await entries(lab),
    };
  const { result, perSecond } = await underFlood(
    lab,
    {
      packets,
      rate: Number(options.rate),
      toPort: change.to,
      ...(change.mac !== undefined && { mac: change.mac }),
    },
    () => tcpRate(lab, Number(options.seconds)),
  );
  return { rate: result, pps: perSecond, entries: await entries(lab) };
}

async function entries(lab: Topology): Promise<number> {
  const path = '/proc/sys/net/netfilter/nf_conntrack_count';
  return Number((await lab.exec(lab.server, ['cat', path])).stdout);
}

await main();
