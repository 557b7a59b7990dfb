import { parseArgs } from 'node:util';
import { PeerSlot } from '../src/app/peer-slot.ts';
import { generateKeyPair, openSessionCrypto } from '../src/adapters/crypto.ts';
import { sealControl } from '../src/core/handshake/control.ts';
import { createInit } from '../src/core/handshake/init.ts';
import { packetKind } from '../src/core/handshake/layout.ts';
import { readResponse } from '../src/core/handshake/response.ts';
import { decodePublicKey } from '../src/core/public-key.ts';
import { createSession, step } from '../src/core/session/step.ts';
import { SessionTable, type Outcome } from '../src/core/session/table.ts';
import type { Integrity } from '../src/core/tag/types.ts';
import { millis, port, seconds } from '../src/core/units.ts';
import { configOf, pathOf, SECRET } from './idle-tunnel.ts';

/*
 * What new keys of 100 000 peers cost a server: the session core with real keys and a simulated clock. A SAMPLE of peers
 * makes a handshake, as far apart in time as those of PEERS peers would be, and then another one each: the server's
 * processor time for each of those, and for the end of the former keys, times PEERS a REKEY, is its share of one core. So
 * that share is extrapolated, and without what the daemon does around the core (socket, disk, the plane's maps). Heap and
 * buffers after a collection, with sessions of the sample less without.
 *
 * usage: node --expose-gc .cache/bench/bench/rekey.js [--sample 1000] [--integrity none|full]
 */

const PEERS = 100_000;
/** What a server tells clients. */
const REKEY = seconds(900);
const APART = (REKEY * 1000) / PEERS;
const ROUNDS = 3;
/** After that former keys are gone. */
const FORMER = 31_000;

const { values } = parseArgs({
  options: {
    sample: { type: 'string', default: '1000' },
    integrity: { type: 'string', default: 'none' },
  },
});
const sample = Number(values.sample);
const integrity: Integrity = values.integrity === 'full' ? 'full' : 'none';

const server = generateKeyPair();
const clients = Array.from({ length: sample }, generateKeyPair);
const listed = configOf(
  clients.map(({ publicKey }) => publicKey),
  server,
).peers.map((peer) => ({ ...peer, auth: { ...peer.auth, session: 'v2', integrity } as const }));

let now = 0;
const instant = () => ({ monotonic: millis(now), unix: millis(1_795_000_000_000 + now) });
const table = new SessionTable<PeerSlot>({
  core: { create: createSession, step },
  role: 'server',
  localPort: port(10_000),
  crypto: openSessionCrypto,
  recall: () => ({ memory: undefined, adopted: undefined }),
  cookieSecret: new Uint8Array(16),
  planeIntegrity: ['none', 'header', 'full'],
});
const slots = listed.map((peer) => new PeerSlot(peer));
for (const slot of slots) table.directory.add(slot);

/** Of the server's alone, microseconds. */
let used = 0;

function timed(work: () => readonly Outcome<PeerSlot>[]): Uint8Array | undefined {
  const before = process.cpuUsage();
  const outcomes = work();
  const { user, system } = process.cpuUsage(before);
  used += user + system;
  const sent = outcomes.flatMap(({ effects }) => effects.filter(({ kind }) => kind === 'send'));
  return sent.map((effect) => ('payload' in effect ? effect.payload : undefined))[0];
}

/** One handshake of a peer, as its client makes it. */
function handshake(index: number): void {
  const pair = clients[index];
  const keys = openSessionCrypto({
    ...{ kind: 'ed25519', privateSeed: pair?.privateSeed, secret: SECRET },
    ...{ peerPublicKey: decodePublicKey(server.publicKey), maxTimeDiscrepancy: seconds(300) },
  }).secure;
  const own = keys?.clientKeys();
  if (!keys || !own) throw new Error('no keys');
  const path = pathOf(index, 0);
  const payload = {
    ...{ counter: BigInt(instant().unix), capabilities: 0, integrity, lowestVersion: 2, mtu: 1480 },
    ...{ source: path.remote, destination: path.local, epoch: 1, keepalive: seconds(25) },
  } as const;
  const { packet, pending } = createInit(keys.noise, own, { index: index + 1, payload });
  const response = timed(() => table.receive(path, packet, instant()));
  if (!response || packetKind(response) !== 'response')
    throw new Error(`no RESPONSE: ${JSON.stringify(table.refused)}`);
  const read = readResponse(keys.noise, pending, response);
  if (!read.ok) throw new Error(read.reason);
  const { challenge } = read.value.payload;
  if (read.value.payload.rekeyAfter !== REKEY) throw new Error('keys of another life');
  const control = sealControl(keys.noise, read.value.session, [
    { kind: 'path-response', challenge },
    { kind: 'ping', id: 0 },
  ]);
  const pong = timed(() => table.receive(path, control.packet, instant()));
  if (!pong || packetKind(pong) !== 'control') throw new Error('no PONG');
}

function bytesInUse(): number {
  if (globalThis.gc === undefined) throw new Error('run with --expose-gc');
  for (let round = 0; round < 4; round += 1) globalThis.gc();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** A handshake of every peer of the sample; then the former keys of all have their end. Microseconds a peer. */
function all(apart = APART): number {
  used = 0;
  for (let index = 0; index < sample; index += 1) {
    handshake(index);
    now += apart;
  }
  now += FORMER;
  for (const slot of slots) timed(() => table.advance(slot, { kind: 'wake' }, instant()));
  return used / sample;
}

// What is compiled, and made of keys that are kept, is so once for all.
handshake(0);
now += FORMER;
const before = bytesInUse();
// Strangers have a budget.
all(1000);
const first = bytesInUse() - before;
const costs: number[] = [];
for (let round = 0; round < ROUNDS; round += 1) {
  now += REKEY * 1000;
  costs.push(all());
}
const after = bytesInUse() - before;
const median = costs.toSorted((a, b) => a - b)[costs.length >> 1] ?? 0;
const share = (median * PEERS) / REKEY / 1e6;
console.log(`integrity ${integrity}, ${sample} peers, ${table.established} established`);
console.log(`a peer's session, heap and buffers: ${(first / sample).toFixed(0)} bytes`);
console.log(`the same after ${costs.length} times new keys: ${(after / sample).toFixed(0)} bytes`);
console.log(
  `new keys, of the server's core: ${costs.map((cost) => cost.toFixed(0)).join(', ')} µs`,
);
console.log(
  `${PEERS} peers with new keys every ${REKEY} s, extrapolated: ${(100 * share).toFixed(1)} % of a core`,
);
