import { readFile } from 'node:fs/promises';
import { release } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { generateKeyPair, openSessionCrypto, type KeyPair } from '../src/adapters/crypto.ts';
import { ROUTER_WAN_ADDRESS6, SERVER_ADDRESS6 } from '../src/adapters/lab/ipv6.ts';
import { NAT_ADDRESSES, SERVER_ADDRESS, up, type Topology } from '../src/adapters/lab/topology.ts';
import { controlClient } from '../src/adapters/control/client.ts';
import {
  addToIp,
  innerIpv4FromNumber,
  outerIpv4FromNumber,
  parseOuterIp,
  type InnerIp,
  type OuterIp,
} from '../src/core/addr.ts';
import { decodePublicKey } from '../src/core/public-key.ts';
import { packetSeconds, schemeOf } from '../src/core/auth/schemes.ts';
import { formatBase64 } from '../src/core/base64.ts';
import { millis, port, seconds } from '../src/core/units.ts';
import { Hosts, type Daemon } from '../test/rig/daemon.ts';
import { NamespaceSocket } from '../test/rig/namespace-sockets.ts';

/*
 * What peers cost a whole daemon, started from its config file as its users start it:
 *
 *   ready    from the start of the process until its control socket answers, seconds (with Node's own)
 *   resident what `ps` shows (VmRSS), MiB: when it is ready, and once it no longer changes
 *   PSS      the same without what other processes share (Pss of /proc/PID/smaps_rollup), MiB, at the end
 *   a peer   resident memory above that of the first row's daemon, bytes for each further peer
 *   admitted the same two when every peer has authenticated, with a key and from an address of its own
 *   list     how long `peers` requests for all of them take, page by page, seconds
 *
 * Kernel memory (maps, routes) is in none of them.
 *
 * With `--ipv6 half` every second peer has an inner address of IPv6 besides, and comes from one of IPv6, each
 * from a network of 64 bits of its own.
 *
 * usage: node .cache/bench/bench/daemon-memory.js [--peers 1,100000] [--plane bpf] [--admit] [--ipv6 none|half|all]
 */

const READY_TIMEOUT = millis(120_000);
/** Settled: for so long (milliseconds) the resident memory has not changed by more than a hundredth. */
const STILL = 10_000;
const SETTLE_TIMEOUT = 60_000;
/** Peers that authenticate together: what the daemon lets through in a second is a thousand. */
const TOGETHER = 400;

const SECRET = 'topsecret';
const server = { ip: SERVER_ADDRESS, port: port(10_000) };
const server6 = { ip: SERVER_ADDRESS6, port: port(10_000) };
/** Where peers on IPv6 come from, a network of 64 bits each; and what they have inside. */
const NETWORK6 = '2001:db8:4000::/36';
const INNER6 = 'fd28::1:0' as InnerIp;

function clientOn6(index: number): OuterIp {
  const word = (value: number): string => value.toString(16);
  const text = `2001:db8:4${word(index >> 16).padStart(3, '0')}:${word(index & 0xffff)}::1`;
  const ip = parseOuterIp(text);
  if (ip === undefined) throw new RangeError(text);
  return ip;
}

const serverKeys = generateKeyPair();

type Weight = { readonly resident: number; readonly proportional: number };

type Sample = {
  readonly peers: number;
  readonly ready: number;
  readonly atFirst: Weight;
  readonly settled: Weight;
  readonly admitted: Weight | undefined;
  readonly list: number;
};

/** Which peers are on IPv6. */
type Share = 'none' | 'half' | 'all';

function isOn6(share: Share, index: number): boolean {
  return share === 'all' || (share === 'half' && index % 2 === 1);
}

function configOf(keys: readonly KeyPair[], plane: string, share: Share): readonly string[] {
  const lines = [
    'server',
    `dataplane ${plane}`,
    'fou-dev eth0',
    `auth-key-b64 ${formatBase64(serverKeys.privateSeed)}`,
    `auth-secret ${SECRET}`,
    'auth-lifetime 3600',
    'reply-on-auth-ok',
    `tunl-ip 10.0.0.1${share === 'none' ? '' : ', fd28::1'}`,
  ];
  for (const [index, { publicKey }] of keys.entries()) {
    lines.push(`peer client-${index}`, `auth-remote-pubkey-b64 ${formatBase64(publicKey)}`);
    const inner = innerIpv4FromNumber(0x0a_01_00_00 + index);
    const inner6 = isOn6(share, index) ? `, ${addToIp(INNER6, index)}` : '';
    lines.push(`tunl-peer-ip ${inner}${inner6}`);
  }
  return lines;
}

/** Bytes, of one process. */
async function weigh(pid: number): Promise<Weight> {
  const rollup = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8');
  const kib = (field: string) =>
    Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(rollup)?.[1]);
  return { resident: kib('Rss') * 1024, proportional: kib('Pss') * 1024 };
}

async function settle(pid: number): Promise<Weight> {
  const deadline = Date.now() + SETTLE_TIMEOUT;
  let last = await weigh(pid);
  for (let since = Date.now(); Date.now() < Math.min(since + STILL, deadline);) {
    await delay(200);
    const now = await weigh(pid);
    if (Math.abs(now.resident - last.resident) < last.resident / 100) continue;
    last = now;
    since = Date.now();
  }
  return weigh(pid);
}

/** Has every peer authenticate. The router is a plain neighbour for that, with all their addresses. */
async function admitAll(
  lab: Topology,
  daemon: Daemon,
  keys: readonly KeyPair[],
  share: Share,
): Promise<void> {
  const addresses = '100.64.0.0/10';
  await lab.exec(lab.router, ['nft', 'flush', 'ruleset']);
  await lab.exec(lab.router, ['ip', 'route', 'replace', 'local', addresses, 'dev', 'lo']);
  const way = ['via', NAT_ADDRESSES[0]];
  await lab.exec(lab.server, ['ip', 'route', 'replace', addresses, ...way]);
  if (share !== 'none') {
    await lab.exec(lab.router, ['ip', '-6', 'route', 'replace', 'local', NETWORK6, 'dev', 'lo']);
    await lab.exec(lab.router, ['sysctl', '-qw', 'net.ipv6.ip_nonlocal_bind=1']);
    const via = ['via', ROUTER_WAN_ADDRESS6];
    await lab.exec(lab.server, ['ip', '-6', 'route', 'replace', NETWORK6, ...via]);
  }
  for (let first = 0; first < keys.length; first += TOGETHER) {
    const together = keys.slice(first, first + TOGETHER);
    const sockets = together.map(({ privateSeed }, index) => {
      const peer = first + index;
      const on6 = isOn6(share, peer);
      const ip = on6 ? clientOn6(peer) : outerIpv4FromNumber(0x64_40_00_00 + peer);
      const socket = NamespaceSocket.udp(lab.router, { ip, port: port(20_000) });
      socket.send(on6 ? server6 : server, requestOf(privateSeed));
      return socket;
    });
    const so = first + together.length;
    await daemon.until(`carrying ${so}`, ({ establishedCount }) => establishedCount === so);
    for (const socket of sockets) socket[Symbol.dispose]();
  }
}

function requestOf(privateSeed: Uint8Array): Uint8Array {
  const proof = {
    kind: 'ed25519',
    privateSeed,
    peerPublicKey: decodePublicKey(serverKeys.publicKey),
    secret: new TextEncoder().encode(SECRET),
    maxTimeDiscrepancy: seconds(0),
  } as const;
  const time = packetSeconds(millis(Date.now()));
  const request = schemeOf(proof).build(openSessionCrypto(proof), time);
  if (request === undefined) throw new Error('nothing to send');
  return request;
}

/** Asks for every peer, as `ipipou show --json` does. */
async function listAll(control: string): Promise<number> {
  let count = 0;
  for (let after: string | undefined; ;) {
    const request = { request: 'peers', ...(after !== undefined && { after }) } as const;
    const reply = await controlClient.ask(control, request);
    if (!reply.ok) throw new Error(reply.error);
    count += reply.peers?.length ?? 0;
    after = reply.peers?.at(-1)?.id;
    if (reply.more !== true) return count;
  }
}

async function measure(
  lab: Topology,
  peers: number,
  { plane, admit, ipv6 }: { readonly plane: string; readonly admit: boolean; readonly ipv6: Share },
): Promise<Sample> {
  await using hosts = await Hosts.in(lab);
  const keys = Array.from({ length: peers }, generateKeyPair);
  const lines = configOf(keys, plane, ipv6);
  const began = performance.now();
  await using daemon = await hosts.start(lab.server, lines);
  const { pid } = await daemon.ready(READY_TIMEOUT);
  const ready = performance.now() - began;
  const atFirst = await weigh(pid);
  const settled = await settle(pid);
  if (admit) await admitAll(lab, daemon, keys, ipv6);
  const admitted = admit ? await settle(pid) : undefined;
  const asked = performance.now();
  const listed = await listAll(daemon.control);
  if (listed !== peers) throw new Error(`${listed} peers of ${peers}`);
  const list = performance.now() - asked;
  await daemon.stop();
  return { peers, ready, atFirst, settled, admitted, list };
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      peers: { type: 'string', default: '1,100000' },
      plane: { type: 'string', default: 'bpf' },
      admit: { type: 'boolean', default: false },
      ipv6: { type: 'string', default: 'none' },
    },
  });
  const ipv6 = (['none', 'half', 'all'] as const).find((share) => share === values.ipv6);
  if (ipv6 === undefined) throw new Error('--ipv6 takes none, half or all');
  await using lab = await up(ipv6 === 'none' ? {} : { families: 'both' });
  const samples: Sample[] = [];
  for (const peers of values.peers.split(',').map(Number)) {
    samples.push(await measure(lab, peers, { ...values, ipv6 }));
  }
  const [base] = samples;
  const mib = (bytes: number) => (bytes / 1024 ** 2).toFixed(1);
  const aPeer = (pick: (sample: Sample) => number, sample: Sample) =>
    base && sample.peers > base.peers
      ? ((pick(sample) - pick(base)) / (sample.peers - base.peers)).toFixed(0)
      : '';
  console.log(
    `kernel ${release()}, Node ${process.version}, dataplane ${values.plane}, IPv6: ${ipv6}\n`,
  );
  console.log(
    '| peers | ready, s | resident when ready, MiB | bytes a peer | settled, MiB | bytes a peer | PSS, MiB | admitted, MiB | bytes a peer | list, s |',
  );
  console.log(`|${' --- |'.repeat(10)}`);
  for (const sample of samples) {
    const cells = [
      sample.peers,
      (sample.ready / 1000).toFixed(2),
      mib(sample.atFirst.resident),
      aPeer(({ atFirst }) => atFirst.resident, sample),
      mib(sample.settled.resident),
      aPeer(({ settled }) => settled.resident, sample),
      mib(sample.settled.proportional),
      sample.admitted ? mib(sample.admitted.resident) : '',
      sample.admitted ? aPeer(({ admitted }) => admitted?.resident ?? 0, sample) : '',
      (sample.list / 1000).toFixed(2),
    ];
    console.log(`| ${cells.join(' | ')} |`);
  }
}

await main();
