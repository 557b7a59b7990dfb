import { randomBytes } from 'node:crypto';
import { openSessionCrypto } from '../src/adapters/crypto.ts';
import { openTunnel, type Tunnel, type TunnelPorts } from '../src/app/tunnel.ts';
import { innerIpv4FromNumber, outerIpv4FromNumber, type Path } from '../src/core/addr.ts';
import { decodePublicKey } from '../src/core/public-key.ts';
import { packetSeconds, schemeOf } from '../src/core/auth/schemes.ts';
import { formatBase64 } from '../src/core/base64.ts';
import { parseArguments } from '../src/core/config/parse-argv.ts';
import { parseConfigFile } from '../src/core/config/parse-file.ts';
import { resolveConfig } from '../src/core/config/resolve.ts';
import type { Proof, TunnelConfig } from '../src/core/config/tunnel-config.ts';
import type { SessionCrypto } from '../src/core/session/types.ts';
import { millis, port, seconds, type Millis } from '../src/core/units.ts';
import type { Clock } from '../src/ports/clock.ts';
import type {
  DataPlane,
  PeerDescription,
  PlaneContext,
  PlaneFactory,
  PlaneListener,
} from '../src/ports/data-plane.ts';
import type { MemoryStore } from '../src/ports/run-store.ts';

/* A server of many peers on a plane that does nothing. */

export const SECRET = new TextEncoder().encode('topsecret');

type KeyPair = { readonly privateSeed: Uint8Array; readonly publicKey: Uint8Array };

/** Memory that is not kept. */
export const NO_MEMORY: MemoryStore = {
  open: async () => ({
    damage: [],
    load: () => undefined,
    learn: () => undefined,
    note: () => undefined,
    forget: () => undefined,
    flush: async () => undefined,
    close: async () => undefined,
  }),
};

/** A plane that carries nothing, and knows that nothing came. */
export class IdlePlane implements DataPlane {
  readonly name = 'tun';
  readonly capabilities = { maxPeers: undefined, integrity: ['none'], counting: 'exact' } as const;
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

export type Scene = {
  readonly tunnel: Tunnel;
  readonly listener: PlaneListener;
  readonly plane: IdlePlane;
  /** `real`: whether signatures are looked at; else every packet is genuine. */
  readonly proofs: { real: boolean };
};

export async function openScene(
  config: TunnelConfig,
  { clock, memory }: { readonly clock: Clock; readonly memory: MemoryStore },
): Promise<Scene> {
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
    tell: () => undefined,
    groupNumber: () => undefined,
    reach: {
      open: async () => ({
        expose: async () => undefined,
        counts: () => [],
        lead: async () => undefined,
        keepOutside: async () => undefined,
        lookingUp: (work) => work(),
        facts: () => [],
        close: async () => undefined,
      }),
      require: async () => undefined,
      killSwitch: () => {
        throw new Error('none is asked for');
      },
      clean: async () => undefined,
    },
    resolver: { resolve: async () => [] },
    host: {
      hasDevice: async () => true,
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
        statusPath: '',
        share: () => undefined,
        sessions: () => ({ load: () => undefined, keep: () => undefined }),
        process: { pid: 1, startTime: '' },
        write: () => undefined,
        intact: () => true,
        renew: () => undefined,
        release: () => undefined,
      }),
    },
    memory,
    control: { listen: async () => async () => undefined },
    notify: { ready: () => undefined, status: () => undefined, stopping: () => undefined },
  };
  const tunnel = await openTunnel(config, { configPath: undefined, log: 'stderr' }, ports);
  if (!context) throw new Error('the plane was not opened');
  return { tunnel, listener: context.listener, plane, proofs };
}

/** A server's config of peers with these public keys. */
export function configOf(keys: readonly Uint8Array[], server: KeyPair): TunnelConfig {
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
/** Where a peer is at a turn. */
export const pathOf = (index: number, turn: number): Path => ({
  local,
  remote: { ip: outerIpv4FromNumber(0x64_40_00_00 + index), port: port(20_000 + turn) },
});

/** An authentic packet of a peer, as of a time. */
export function requestOf(pair: KeyPair, serverKey: Uint8Array, unix: Millis): Uint8Array {
  const proof: Proof = {
    kind: 'ed25519',
    privateSeed: pair.privateSeed,
    peerPublicKey: decodePublicKey(serverKey),
    secret: SECRET,
    maxTimeDiscrepancy: seconds(0),
  };
  const payload = schemeOf(proof).build(openSessionCrypto(proof), packetSeconds(unix));
  if (!payload) throw new Error('nothing to send');
  return payload;
}
