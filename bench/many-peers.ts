import { randomBytes } from 'node:crypto';
import { parseArgs } from 'node:util';
import { generateKeyPair, openSessionCrypto } from '../src/adapters/crypto.ts';
import { systemClock } from '../src/adapters/system/clock.ts';
import { openTunnel, type Tunnel, type TunnelPorts } from '../src/app/tunnel.ts';
import { outerIpv4FromNumber, innerIpv4FromNumber, type Path } from '../src/core/addr.ts';
import { decodePublicKey, encodePublicKey } from '../src/core/auth/public-key.ts';
import { packetSeconds, schemeOf } from '../src/core/auth/schemes.ts';
import { EXTENSION } from '../src/core/auth/extensions.ts';
import { encodeAuth, hintOfKey } from '../src/core/auth/v1.ts';
import { formatBase64 } from '../src/core/config/base64.ts';
import { parseArguments } from '../src/core/config/parse-argv.ts';
import { parseConfigFile } from '../src/core/config/parse-file.ts';
import { resolveConfig } from '../src/core/config/resolve.ts';
import type { Clock } from '../src/ports/clock.ts';
import type { PeerConfig, Proof, TunnelConfig } from '../src/core/config/tunnel-config.ts';
import type { SessionCrypto } from '../src/core/session/types.ts';
import { millis, port, seconds } from '../src/core/units.ts';
import type {
  DataPlane,
  PeerDescription,
  PlaneContext,
  PlaneFactory,
  PlaneListener,
} from '../src/ports/data-plane.ts';

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
const server = generateKeyPair();
const SECRET = new TextEncoder().encode('topsecret');

/** A plane that carries nothing, and knows that nothing came. */
class IdlePlane implements DataPlane {
  readonly name = 'tun';
  readonly capabilities = { maxPeers: undefined };
  readonly adopted = new Map<never, never>();
  admitted = 0;
  sent = 0;

  async admit(): Promise<void> {
    this.admitted += 1;
  }

  async send(): Promise<void> {
    this.sent += 1;
  }

  async configure(): Promise<void> {}
  async watch(): Promise<void> {}

  async remove(): Promise<void> {}
  async evict(): Promise<void> {}
  async limitMtu(): Promise<void> {}
  async refresh(): Promise<void> {}
  async close(): Promise<void> {}

  async counters(): Promise<PeerDescription> {
    return this.describePeer();
  }

  async describe() {
    return { device: 'ipipou0', mtu: 1472, refused: {} };
  }

  async describePeer(): Promise<PeerDescription> {
    const none = { rxPackets: 0n, rxBytes: 0n, txPackets: 0n, txBytes: 0n, heardAt: millis(0) };
    return { ...none, device: 'ipipou0', mtu: 1472, localAlt: undefined, refused: {} };
  }
}

/** The system's, but it can be set ahead: the gate lets so many in a second. Nobody is woken. */
let ahead = 0;
const clock: Clock = {
  now() {
    const { monotonic, unix } = systemClock.now();
    return { monotonic: millis(monotonic + ahead), unix: millis(unix + ahead) };
  },
  callAt: () => () => undefined,
};

type Scene = {
  readonly tunnel: Tunnel;
  readonly listener: PlaneListener;
  readonly plane: IdlePlane;
  /** `real`: whether signatures are looked at; else every packet is genuine. */
  readonly proofs: { real: boolean };
};

async function openScene(config: TunnelConfig): Promise<Scene> {
  const plane = new IdlePlane();
  const proofs = { real: true };
  let context: PlaneContext | undefined;
  const factory: PlaneFactory = {
    name: 'tun',
    capabilities: plane.capabilities,
    probe: async () => [],
    clean: async () => undefined,
    open: async (given) => {
      context = given;
      return plane;
    },
  };
  const crypto = (proof: Proof): SessionCrypto => {
    const real = openSessionCrypto(proof);
    if (proofs.real) return real;
    return { ...real, sign: () => randomBytes(64), verify: () => true };
  };
  const ports: TunnelPorts = {
    planes: [factory],
    sessionCrypto: crypto,
    clock,
    log: () => undefined,
    resolver: { resolve: async () => [] },
    host: {
      firstAddress: async () => undefined,
      routeTo: async () => undefined,
      onChange: () => () => undefined,
    },
    runs: {
      list: () => [],
      find: () => undefined,
      stateOf: () => undefined,

      claim: () => ({
        previous: undefined,
        controlPath: '',
        process: { pid: 1, startTime: '' },
        write: () => undefined,
        intact: () => true,
        renew: () => undefined,
        release: () => undefined,
      }),
    },
    memory: {
      open: async () => ({
        damage: [],
        load: () => undefined,
        note: () => undefined,
        forget: () => undefined,
        flush: async () => undefined,
        close: async () => undefined,
      }),
    },
    control: { listen: async () => async () => undefined },
    notify: { ready: () => undefined, status: () => undefined, stopping: () => undefined },
  };
  const tunnel = await openTunnel(config, { configPath: undefined, log: 'stderr' }, ports);
  if (!context) throw new Error('the plane was not opened');
  return { tunnel, listener: context.listener, plane, proofs };
}

function configOf(keys: readonly Uint8Array[]): TunnelConfig {
  const lines = [
    'server',
    `auth-key-b64 ${formatBase64(server.privateSeed)}`,
    'auth-secret topsecret',
    'auth-lifetime 86400',
    'reply-on-auth-ok',
    'tunl-ip 10.0.0.1',
  ];
  for (const [index, key] of keys.entries()) {
    lines.push(`peer p${index}`, `auth-remote-pubkey-b64 ${formatBase64(key)}`);
    lines.push(`tunl-peer-ip ${innerIpv4FromNumber(0x0a_01_00_00 + index)}`);
  }
  const file = parseConfigFile(lines.join('\n'), 'bench.conf');
  const resolved = resolveConfig({ commandLine: parseArguments([]), files: [file] });
  if (!('config' in resolved)) throw new Error(resolved.action);
  return resolved.config;
}

const local = { ip: outerIpv4FromNumber(0xc6_33_64_01), port: port(10_000) };
const pathOf = (index: number, turn: number): Path => ({
  local,
  remote: { ip: outerIpv4FromNumber(0x64_40_00_00 + index), port: port(20_000 + turn) },
});

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
  const config = configOf(keys);
  keys.length = 0;
  const [first] = config.peers;
  if (!first) throw new Error('no peers');
  const scene = await openScene({ ...config, peers: [first] });
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
    const proof: Proof = {
      kind: 'ed25519',
      privateSeed: pair?.privateSeed,
      peerPublicKey: decodePublicKey(server.publicKey),
      secret: SECRET,
      maxTimeDiscrepancy: seconds(0),
    };
    const time = packetSeconds(clock.now().unix);
    const payload = schemeOf(proof).build(openSessionCrypto(proof), time);
    if (!payload) throw new Error('nothing to send');
    return payload;
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
