import { randomBytes } from 'node:crypto';
import { parseArgs } from 'node:util';
import { generateKeyPair } from '../src/adapters/crypto.ts';
import { systemClock } from '../src/adapters/system/clock.ts';
import type { Path } from '../src/core/addr.ts';
import { EXTENSION } from '../src/core/auth/extensions.ts';
import { encodePublicKey } from '../src/core/public-key.ts';
import { packetSeconds } from '../src/core/auth/schemes.ts';
import { hintOfKey } from '../src/core/auth/trailer.ts';
import { encodeAuth } from '../src/core/auth/v1.ts';
import type { PeerConfig } from '../src/core/config/tunnel-config.ts';
import { millis } from '../src/core/units.ts';
import type { Clock } from '../src/ports/clock.ts';
import {
  configOf,
  NO_MEMORY,
  openScene,
  pathOf,
  requestOf,
  SECRET,
  type Scene,
} from './idle-tunnel.ts';

/*
 * What a tunnel of many peers costs the daemon, on a plane that does nothing:
 *
 *   add      syncPeers from one peer to all of them, milliseconds
 *   at rest  bytes a peer, configured by a file, admitted and idle: heap and buffers after a collection
 *   auth     one authentication packet with a hint on its own path, with real keys (verified, answered
 *            with a signature), microseconds of processor time; beside it the same without signatures
 *   roam     the same from another address each time
 *   unknown  a packet with a hint that nobody has, microseconds
 *
 * usage: node --expose-gc .cache/bench/bench/many-peers.js [--peers 1,1000,100000]
 */

const SAMPLES = 300;

/** The system's, but it can be set ahead: the gate lets so many in a second. Nobody is woken. */
let ahead = 0;
const clock: Clock = {
  now() {
    const { monotonic, unix } = systemClock.now();
    return { monotonic: millis(monotonic + ahead), unix: millis(unix + ahead) };
  },
  callAt: () => () => undefined,
};

const server = generateKeyPair();

/** A packet of a key's owner that nobody has verified. */
function unsignedPacket(key: Uint8Array): Uint8Array {
  const fields = {
    unixSeconds: packetSeconds(clock.now().unix),
    salt: randomBytes(4),
    extensions: [{ type: EXTENSION.hint, value: hintOfKey(key) }],
  };
  const signature = randomBytes(64);
  signature[0] = 0;
  return encodeAuth({ secret: SECRET }, fields, () => signature);
}

function bytesInUse(): number {
  if (globalThis.gc === undefined) throw new Error('run with --expose-gc');
  for (let round = 0; round < 4; round++) globalThis.gc();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** Microseconds of processor time for each of `SAMPLES` packets. */
async function timePackets(
  scene: Scene,
  packetOf: (sample: number) => { readonly path: Path; readonly payload: Uint8Array },
): Promise<number> {
  const packets = Array.from({ length: SAMPLES }, (_unused, sample) => packetOf(sample));
  const begin = process.cpuUsage();
  for (const packet of packets) await scene.listener.packet(packet);
  const { user, system } = process.cpuUsage(begin);
  return (user + system) / SAMPLES;
}

type Row = Readonly<Record<string, string | number>>;

async function measure(count: number): Promise<Row> {
  const pairs = Array.from({ length: Math.min(count, SAMPLES) }, generateKeyPair);
  const before = bytesInUse();
  // Those without a pair never prove anything for real.
  const keys = Array.from({ length: count }, (_u, n) => pairs[n]?.publicKey ?? randomBytes(32));
  const config = configOf(keys, server);
  keys.length = 0;
  const [first] = config.peers;
  if (!first) throw new Error('no peers');
  const scene = await openScene({ ...config, peers: [first] }, { clock, memory: NO_MEMORY });
  const added = await timeAdding(scene, config.peers);
  scene.proofs.real = false;
  await admitAll(scene, config.peers);
  const atRest = (bytesInUse() - before) / count;
  const admitted = scene.plane.admitted;
  scene.proofs.real = true;
  const rows = await timeAll(scene, pairs);
  await scene.tunnel.close();
  return {
    peers: count,
    'add, ms': added.toFixed(0),
    admitted,
    'at rest, bytes a peer': count > 1 ? atRest.toFixed(0) : '-',
    ...rows,
  };
}

async function timeAdding(scene: Scene, peers: readonly PeerConfig[]): Promise<number> {
  const begin = performance.now();
  await scene.tunnel.syncPeers(peers);
  return performance.now() - begin;
}

async function admitAll(scene: Scene, peers: readonly PeerConfig[]): Promise<void> {
  for (const [index, { proof }] of peers.entries()) {
    const key = proof.kind === 'ed25519' ? proof.peerPublicKey : undefined;
    const before = scene.plane.admitted;
    for (let turn = 0; scene.plane.admitted === before; turn++) {
      if (turn > 0) ahead += 1000;
      const payload = unsignedPacket(key ? encodePublicKey(key) : new Uint8Array(32));
      await scene.listener.packet({ path: pathOf(index, 0), payload });
    }
  }
}

async function timeAll(
  scene: Scene,
  pairs: readonly { readonly privateSeed: Uint8Array; readonly publicKey: Uint8Array }[],
): Promise<Row> {
  const request = (sample: number): Uint8Array => {
    const pair = pairs[sample % pairs.length];
    if (!pair) throw new Error('no keys');
    return requestOf(pair, server.publicKey, clock.now().unix);
  };
  const peerOf = (sample: number): number => sample % pairs.length;
  const sent = scene.plane.sent;
  // With one peer its own budget of 5 a second is what is measured after the first ten.
  const auth = await timePackets(scene, (sample) => ({
    path: pathOf(peerOf(sample), 0),
    payload: request(sample),
  }));
  const answered = scene.plane.sent - sent;
  const roam = await timePackets(scene, (sample) => ({
    path: pathOf(peerOf(sample), 1),
    payload: request(sample),
  }));
  scene.proofs.real = false;
  const bare = await timePackets(scene, (sample) => ({
    path: pathOf(peerOf(sample), 1),
    payload: unsignedPacket(pairs[sample % pairs.length]?.publicKey ?? new Uint8Array(32)),
  }));
  const unknown = await timePackets(scene, () => ({
    path: pathOf(5, 9),
    payload: unsignedPacket(randomBytes(32)),
  }));
  return {
    answered,
    'auth, us': auth.toFixed(0),
    'roam, us': roam.toFixed(0),
    'auth without signatures, us': bare.toFixed(0),
    'unknown, us': unknown.toFixed(1),
  };
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { peers: { type: 'string', default: '1,1000,100000' } },
  });
  const rows: Row[] = [];
  for (const count of values.peers.split(',').map(Number)) rows.push(await measure(count));
  const columns = Object.keys(rows[0] ?? {});
  console.log(`Node ${process.version}\n`);
  console.log(`| ${columns.join(' | ')} |\n|${' --- |'.repeat(columns.length)}`);
  for (const row of rows) console.log(`| ${columns.map((column) => row[column]).join(' | ')} |`);
}

await main();
