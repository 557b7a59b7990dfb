import type { Endpoint, Ipv4 } from '../../src/core/addr.ts';
import { schemeOf } from '../../src/core/auth/schemes.ts';
import type { AuthConfig, Proof, TimerConfig } from '../../src/core/config/tunnel-config.ts';
import type { SessionConfig } from '../../src/core/session/types.ts';
import { port, seconds } from '../../src/core/units.ts';
import { Clockwork } from './clockwork.ts';
import { Host } from './host.ts';
import { fakeKeys, realKeys, type Keys } from './keys.ts';
import { Nat, Network, type Datagram } from './network.ts';
import { seededRandom, type Random } from './random.ts';
import { Referee } from './referee.ts';

/*
 *   client 0  10.0.0.2 ──┐
 *   client 1  10.0.0.3 ──┴── NAT 203.0.113.1 ──── public network ──── server 198.51.100.1
 *                                                       │             one session and port
 *                                             attacker 192.0.2.66     for each client
 */

export const ip = (text: string): Ipv4 => text as Ipv4;
export const SERVER_NAME = 'server.example';
export const SERVER_IP = ip('198.51.100.1');
export const NAT_IP = ip('203.0.113.1');
export const ATTACKER: Endpoint = { ip: ip('192.0.2.66'), port: port(666) };

export type WorldOptions = {
  readonly seed: number;
  readonly tunnels?: 1 | 2;
  readonly timers?: Partial<Record<keyof TimerConfig, number>>;
  readonly serverTimers?: Partial<Record<keyof TimerConfig, number>>;
  readonly reply?: boolean;
  /** Whether the server signs its replies; else it reverses requests. */
  readonly signedReplies?: boolean;
  readonly realKeys?: boolean;
  /** Instead of ed25519. */
  readonly proof?: Proof;
  /** The server's address in the client's config instead of its name. */
  readonly literal?: boolean;
  /** Seconds for which the NAT keeps an idle mapping. */
  readonly natLifetime?: number;
};

export type Tunnel = {
  readonly server: Host;
  readonly client: Host;
  readonly referee: Referee;
  /** When the client last received an answer to its data through the tunnel. */
  echoedAt: number | undefined;
};

const SECRET = new TextEncoder().encode('topsecret');

/** One world with its own time. Nothing in it starts by itself. */
export class World {
  readonly clockwork = new Clockwork();
  readonly random: Random;
  readonly network: Network;
  readonly nat: Nat;
  readonly tunnels: readonly Tunnel[];
  /** What the name of the server resolves to. */
  dns: readonly Ipv4[] = [SERVER_IP];
  #serverIp = SERVER_IP;
  readonly #toServer: (datagram: Datagram) => void;

  constructor(options: WorldOptions) {
    this.random = seededRandom(options.seed);
    this.network = new Network(this.clockwork, this.random);
    const natLifetime = (options.natLifetime ?? 1e9) * 1000;
    this.nat = new Nat(this.clockwork, this.network, NAT_IP, natLifetime);
    this.tunnels = Array.from({ length: options.tunnels ?? 1 }, (_unused, index) =>
      this.#build(options, index),
    );
    this.#toServer = (datagram) => {
      for (const { server } of this.tunnels) {
        if (server.receive(datagram)) server.sendData();
      }
    };
    this.network.attach(this.#serverIp, this.#toServer);
  }

  get tunnel(): Tunnel {
    const [first] = this.tunnels;
    if (!first) throw new Error('a world without tunnels');
    return first;
  }

  get serverIp(): Ipv4 {
    return this.#serverIp;
  }

  /** The server's machine gets another address. */
  moveServer(to: Ipv4): void {
    this.network.detach(this.#serverIp);
    this.#serverIp = to;
    this.network.attach(to, this.#toServer);
    for (const { server } of this.tunnels) server.moveTo(to);
  }

  start(): void {
    for (const { server, client } of this.tunnels) {
      server.start();
      client.start();
    }
  }

  /** The client's endpoint as the server sees it now. */
  outsideOf({ client, server }: Tunnel): Endpoint | undefined {
    if (client.ip === undefined) return undefined;
    const inside = { ip: client.ip, port: client.options.config.localPort };
    return this.nat.outsideOf(inside, {
      ip: this.#serverIp,
      port: server.options.config.localPort,
    });
  }

  /** Sends a data packet from the client every `period` milliseconds until told to stop. */
  talk({ client }: Tunnel, period: number): () => void {
    let stopped = false;
    const say = (): void => {
      if (stopped) return;
      client.sendData();
      this.clockwork.after(period, say);
    };
    say();
    return () => {
      stopped = true;
    };
  }

  /** A client's machine gets another inside address. */
  moveClient(tunnel: Tunnel, to: Ipv4 | undefined, told = true): void {
    const { client } = tunnel;
    if (client.ip !== undefined) this.nat.detach(client.ip);
    if (to !== undefined) this.nat.attach(to, (datagram) => this.#toClient(tunnel, datagram));
    client.moveTo(to, told);
  }

  #build(options: WorldOptions, index: number): Tunnel {
    const keys: Keys = options.realKeys ? realKeys(SECRET) : fakeKeys(this.random);
    const signedReplies = options.signedReplies ?? true;
    const configOf = (role: 'server' | 'client'): SessionConfig => ({
      role,
      auth: authOf(options, role, signedReplies),
      timers: timersOf({ ...options.timers, ...(role === 'server' ? options.serverTimers : {}) }),
      localPort: port(10_000 + index),
      remoteHost: role === 'server' ? undefined : options.literal ? SERVER_IP : SERVER_NAME,
      remotePort: role === 'server' ? undefined : port(10_000 + index),
    });
    const proof = options.proof ?? { kind: 'ed25519' };
    const referee = new Referee(proof.kind === 'ed25519', signedReplies);
    const shared = {
      resolve: () => this.dns,
      watch: (move: Parameters<Referee['watch']>[0]) => referee.watch(move),
    };
    const server = new Host(this.clockwork, {
      ...shared,
      name: `server ${index}`,
      config: configOf('server'),
      crypto: keys.server,
      ip: this.#serverIp,
      uplink: (datagram) => this.network.send(datagram),
    });
    const inside = ip(`10.0.0.${2 + index}`);
    const client = new Host(this.clockwork, {
      ...shared,
      name: `client ${index}`,
      config: configOf('client'),
      crypto: keys.client,
      ip: inside,
      uplink: (datagram) => this.nat.outbound(datagram),
    });
    const tunnel: Tunnel = { server, client, referee, echoedAt: undefined };
    this.nat.attach(inside, (datagram) => this.#toClient(tunnel, datagram));
    return tunnel;
  }

  #toClient(tunnel: Tunnel, datagram: Datagram): void {
    if (tunnel.client.receive(datagram)) tunnel.echoedAt = this.clockwork.now;
  }
}

/** Only whether a key is there matters to the core; what it does is in the crypto. */
function authOf(options: WorldOptions, role: string, signedReplies: boolean): AuthConfig {
  const key = new Uint8Array(32);
  const signer = role === 'client' || signedReplies;
  const verifier = role === 'server' || signedReplies;
  const proof: Proof = options.proof ?? {
    kind: 'ed25519',
    privateSeed: signer ? key : undefined,
    peerPublicKey: verifier ? key : undefined,
    secret: SECRET,
    maxTimeDiscrepancy: seconds(300),
  };
  return {
    proof,
    byRemoteIp: false,
    byRemotePort: false,
    packetTtl: undefined,
    replyOnAuthOk: options.reply ?? true,
  };
}

function timersOf(timers: NonNullable<WorldOptions['timers']>): TimerConfig {
  return {
    authLifetime: seconds(timers.authLifetime ?? 3600),
    keepalive: seconds(timers.keepalive ?? 27),
    connectionIdle: seconds(timers.connectionIdle ?? 120),
    deadPeerTimeout: seconds(timers.deadPeerTimeout ?? 30),
  };
}

/** The lengths that an attacker tries: those that mean something. */
export const AUTH_LENGTHS = schemeOf(authOf({ seed: 0 }, 'server', true).proof).authLengths;
