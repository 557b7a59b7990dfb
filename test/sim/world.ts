import { familyOf, type OuterIp, type Endpoint, type Family } from '../../src/core/addr.ts';
import {
  DEFAULT_PEER,
  type PeerConfig,
  type PeerId,
  type Proof,
  type SessionChoice,
  type TimerConfig,
} from '../../src/core/config/tunnel-config.ts';
import { encodePublicKey } from '../../src/core/public-key.ts';
import type { Integrity } from '../../src/core/tag/types.ts';
import type { SessionCore } from '../../src/core/session/table.ts';
import type { SessionCrypto } from '../../src/core/session/types.ts';
import { port, seconds, type Port } from '../../src/core/units.ts';
import { Clockwork } from './clockwork.ts';
import { DATA, Host, type Move, type SimulatedPeer } from './host.ts';
import { fakeKeys, realKeys, type Keys } from './keys.ts';
import { behindNat64, Firewall, Nat, nat64Of, Network, type Datagram } from './network.ts';
import { seededRandom, type Random } from './random.ts';
import { Referee } from './referee.ts';
import { planeReferee, SecureReferee } from './secure-referee.ts';
import { inner } from '../rig/addresses.ts';

/*
 *   client 0  10.0.0.2 ──┐
 *   client 1  10.0.0.3 ──┴── NAT 203.0.113.1 ──── public network ──── server 198.51.100.1
 *                                                       │             a daemon and port for each
 *                                             attacker 192.0.2.66     client, or one for all
 *
 * Where it has IPv6 (`families`): client 0 at 2001:db8:c::2 behind a firewall, the server at 2001:db8:5::1,
 * the attacker at 2001:db8:bad::66, and perhaps a NAT64 of the clients at 203.0.113.64.
 */

export const ip = (text: string): OuterIp => text as OuterIp;
export const SERVER_NAME = 'server.example';
export const SERVER_IP = ip('198.51.100.1');
export const NAT_IP = ip('203.0.113.1');
export const NAT64_IP = ip('203.0.113.64');
export const SERVER_IP6 = ip('2001:db8:5::1');
export const ATTACKER: Endpoint = { ip: ip('192.0.2.66'), port: port(666) };
export const ATTACKER6: Endpoint = { ip: ip('2001:db8:bad::66'), port: port(666) };

export type WorldOptions = {
  readonly seed: number;
  /** How many clients. */
  readonly tunnels?: number;
  /** Whether one daemon on one port serves all clients; else each client has its own. */
  readonly shared?: boolean;
  /** Whether a client's packets carry its key's hint; all do by default. */
  readonly hints?: (index: number) => boolean;
  readonly timers?: Partial<Record<keyof TimerConfig, number>>;
  readonly serverTimers?: Partial<Record<keyof TimerConfig, number>>;
  readonly reply?: boolean;
  /** Of the client's config. */
  readonly mtu?: 'auto' | number;
  /** Whether the server signs its replies; else it reverses requests. */
  readonly signedReplies?: boolean;
  readonly realKeys?: boolean;
  /** `v1` if nothing is said. */
  readonly session?: SessionChoice;
  readonly integrity?: Integrity;
  /** What decides on each side, instead of what does in truth. */
  readonly core?: SessionCore;
  /** What each side's plane can prove of each packet; all levels if nothing is said. */
  readonly planeIntegrity?: Readonly<Partial<Record<'client' | 'server', readonly Integrity[]>>>;
  /** Instead of ed25519, the same for all clients. */
  readonly proof?: Proof;
  /** The server's address in the client's config instead of its name; of IPv4 if nothing is said. */
  readonly literal?: boolean | Family;
  /** What each side has outside; IPv4 alone if nothing is said. */
  readonly families?: Families;
  /** Whether the clients' network has a NAT64. */
  readonly nat64?: boolean;
  /** Whether the tunnel carries IPv6. */
  readonly ipv6Inside?: boolean;
  /** Seconds for which the NAT keeps an idle mapping. */
  readonly natLifetime?: number;
};

export type Families = {
  readonly client: readonly Family[];
  readonly server: readonly Family[];
};

export type Tunnel = {
  readonly index: number;
  readonly server: Host;
  /** The client as the server sees it. */
  readonly member: SimulatedPeer;
  readonly client: Host;
  readonly referee: Referee;
  /** Where session 2 may be spoken. */
  readonly secureReferee: SecureReferee | undefined;
  /** When the client last received an answer to its data through the tunnel. */
  echoedAt: number | undefined;
};

const SECRET = new TextEncoder().encode('topsecret');

/** A client and its server's idea of it, before there are machines. */
type Pair = {
  readonly index: number;
  readonly referee: Referee;
  readonly secureReferee: SecureReferee | undefined;
  readonly server: { readonly peer: PeerConfig; readonly crypto: SessionCrypto };
  readonly client: { readonly peer: PeerConfig; readonly crypto: SessionCrypto };
};

/** One world with its own time. Nothing in it starts by itself. */
export class World {
  readonly clockwork = new Clockwork();
  readonly random: Random;
  readonly network: Network;
  readonly nat: Nat;
  readonly firewall: Firewall;
  readonly nat64: Nat;
  readonly families: Families;
  readonly tunnels: readonly Tunnel[];
  /** What the name of the server resolves to. */
  dns: readonly OuterIp[];
  /** Signatures that servers have checked. */
  verifications = 0;
  #serverIps: Readonly<Record<Family, OuterIp>> = { ipv4: SERVER_IP, ipv6: SERVER_IP6 };
  readonly #clientMtu: WorldOptions['mtu'];
  readonly #toServer: (datagram: Datagram) => void;

  constructor(options: WorldOptions) {
    this.random = seededRandom(options.seed);
    this.#clientMtu = options.mtu;
    this.network = new Network(this.clockwork, this.random);
    const natLifetime = (options.natLifetime ?? 1e9) * 1000;
    this.nat = new Nat(this.clockwork, this.network, NAT_IP, natLifetime);
    this.firewall = new Firewall(this.clockwork, this.network, natLifetime);
    this.nat64 = new Nat(this.clockwork, this.network, NAT64_IP, natLifetime);
    this.families = options.families ?? { client: ['ipv4'], server: ['ipv4'] };
    this.dns = this.families.server.map((family) => this.#serverIps[family]);
    this.tunnels = this.#build(options);
    this.#toServer = (datagram) => {
      for (const server of this.servers) {
        const sender = server.receive(datagram);
        if (sender) server.sendData(sender);
      }
    };
    for (const address of this.dns) this.network.attach(address, this.#toServer);
  }

  get tunnel(): Tunnel {
    const [first] = this.tunnels;
    if (!first) throw new Error('a world without tunnels');
    return first;
  }

  /** The daemons on the server's machine. */
  get servers(): readonly Host[] {
    return [...new Set(this.tunnels.map(({ server }) => server))];
  }

  get serverIp(): OuterIp {
    return this.#serverIps.ipv4;
  }

  /** Where the server is or was last, by a family. */
  serverAt(family: Family): OuterIp {
    return this.#serverIps[family];
  }

  /** Where the server is, by the families that it has now. */
  get serverIps(): readonly OuterIp[] {
    return this.tunnel.server.ips;
  }

  /** The server's machine gets another address instead of that of the same family. */
  moveServer(to: OuterIp): void {
    const family = familyOf(to);
    this.network.detach(this.#serverIps[family]);
    this.#serverIps = { ...this.#serverIps, [family]: to };
    this.network.attach(to, this.#toServer);
    for (const server of this.servers) server.moveTo(family, to);
  }

  /** The server's machine has no address of a family any more. */
  strandServer(family: Family): void {
    this.network.detach(this.#serverIps[family]);
    for (const server of this.servers) server.moveTo(family, undefined);
  }

  start(): void {
    for (const server of this.servers) server.start();
    for (const { client } of this.tunnels) client.start();
  }

  /** The disk of a server is lost, and with it what it knew of all its clients. */
  serverForgets({ server }: Tunnel): void {
    server.forgetAll();
    for (const tunnel of this.tunnels) if (tunnel.server === server) tunnel.referee.serverForgot();
  }

  /** The client's endpoint as the server sees it now. */
  outsideOf({ client, server }: Tunnel): Endpoint | undefined {
    const { localPort } = client.options;
    const to = client.admitted?.remote.ip ?? this.serverIp;
    const local = client.local(familyOf(to));
    if (local === undefined) return undefined;
    const inside = { ip: local, port: localPort };
    const { localPort: number } = server.options;
    const translated = behindNat64(to);
    if (translated) return this.nat64.outsideOf(inside, { ip: translated, port: number });
    if (familyOf(to) === 'ipv6') return inside;
    return this.nat.outsideOf(inside, { ip: this.serverIp, port: number });
  }

  /** Sends a data packet from the client every `period` milliseconds until told to stop. */
  talk({ client }: Tunnel, period: number, data = DATA): () => void {
    let stopped = false;
    const say = (): void => {
      if (stopped) return;
      client.sendData(client.first, data);
      this.clockwork.after(period, say);
    };
    say();
    return () => {
      stopped = true;
    };
  }

  /** A client's machine gets another address of a family, or none. */
  moveClient(tunnel: Tunnel, to: OuterIp | undefined, told = true): void {
    this.moveClientBy('ipv4', tunnel, to, told);
  }

  moveClientBy(family: Family, tunnel: Tunnel, to: OuterIp | undefined, told = true): void {
    const { client } = tunnel;
    const before = client.local(family);
    if (before !== undefined) this.#detach(before);
    if (to !== undefined) this.#attach(tunnel, to);
    client.moveTo(family, to, told);
  }

  #attach(tunnel: Tunnel, address: OuterIp): void {
    const receive = (datagram: Datagram): void => this.#toClient(tunnel, datagram);
    if (familyOf(address) === 'ipv4') return this.nat.attach(address, receive);
    this.firewall.attach(address, receive);
    this.nat64.attach(address, (datagram) =>
      receive({ ...datagram, from: { ...datagram.from, ip: nat64Of(datagram.from.ip) } }),
    );
  }

  #detach(address: OuterIp): void {
    if (familyOf(address) === 'ipv4') return this.nat.detach(address);
    this.firewall.detach(address);
    this.nat64.detach(address);
  }

  /** What a client sends. */
  #fromClient(datagram: Datagram): void {
    const { to } = datagram;
    const translated = behindNat64(to.ip);
    if (translated) this.nat64.outbound({ ...datagram, to: { ...to, ip: translated } });
    else if (familyOf(to.ip) === 'ipv4') this.nat.outbound(datagram);
    else this.firewall.outbound(datagram);
  }

  #build(options: WorldOptions): readonly Tunnel[] {
    const pairs = Array.from({ length: options.tunnels ?? 1 }, (_unused, index) =>
      this.#pair(options, index),
    );
    const groups = options.shared === true ? [pairs] : pairs.map((pair) => [pair]);
    return groups.flatMap((group, place) => {
      const server = this.#host(
        'server',
        port(10_000 + place),
        group,
        this.dns,
        options,
        (datagram) => this.network.send(datagram),
      );
      return group.map((pair) => this.#tunnel(server, pair, options));
    });
  }

  #pair(options: WorldOptions, index: number): Pair {
    const secure = (options.session ?? 'v1') !== 'v1';
    const keys: Keys = options.realKeys ? realKeys(SECRET) : fakeKeys(this.random, secure);
    const signedReplies = options.signedReplies ?? true;
    const signed = (options.proof?.kind ?? 'ed25519') === 'ed25519';
    const referee = new Referee(signed, signedReplies, secure);
    const noise = secure ? keys.server.secure?.noise : undefined;
    const secureReferee = noise && new SecureReferee(noise, options.session === 'auto');
    const [first] = this.#memberId(index, options);
    const peerOf = (role: 'server' | 'client'): PeerConfig => ({
      id: role === 'server' ? first : DEFAULT_PEER,
      proof: proofOf(options, role, signedReplies, keys),
      auth: {
        byRemoteIp: false,
        byRemotePort: false,
        packetTtl: undefined,
        replyOnAuthOk: options.reply ?? true,
        session: options.session ?? 'v1',
        integrity: options.integrity ?? 'none',
      },
      timers: timersOf({ ...options.timers, ...(role === 'server' ? options.serverTimers : {}) }),
      remoteHost: role === 'server' ? undefined : hostIn(options),
      remotePort: role === 'server' ? undefined : port(10_000 + (options.shared ? 0 : index)),
      innerIps: [inner(`172.28.0.${index + 1}`)],
      allowedIps: 'any',
    });
    const hinted = options.hints?.(index) ?? true;
    const client = hinted ? keys.client : withoutHint(keys.client);
    return {
      index,
      referee,
      secureReferee,
      server: { peer: peerOf('server'), crypto: this.#counted(keys.server) },
      client: { peer: peerOf('client'), crypto: client },
    };
  }

  #memberId(index: number, { shared }: WorldOptions): readonly [PeerId] {
    return [shared ? (`client-${index}` as PeerId) : DEFAULT_PEER];
  }

  /** The server's crypto, with its verifications counted. */
  #counted({ verify, ...crypto }: SessionCrypto): SessionCrypto {
    if (verify === undefined) return crypto;
    return {
      ...crypto,
      verify: (message, signature) => {
        this.verifications += 1;
        return verify(message, signature);
      },
    };
  }

  #tunnel(server: Host, pair: Pair, options: WorldOptions): Tunnel {
    const inside = {
      ipv4: ip(`10.0.0.${2 + pair.index}`),
      ipv6: ip(`2001:db8:c::${(2 + pair.index).toString(16)}`),
    };
    const ips = this.families.client.map((family) => inside[family]);
    const own = pair.client.peer.remotePort ?? port(10_000);
    const client = this.#host('client', own, [pair], ips, options, (datagram) =>
      this.#fromClient(datagram),
    );
    const member = server.find(pair.server.peer.id);
    const { index, referee, secureReferee } = pair;
    const tunnel: Tunnel = {
      ...{ index, server, member, client, referee, secureReferee },
      echoedAt: undefined,
    };
    for (const address of ips) this.#attach(tunnel, address);
    return tunnel;
  }

  #host(
    role: 'server' | 'client',
    localPort: Port,
    pairs: readonly Pair[],
    ips: readonly OuterIp[],
    { nat64, ipv6Inside, planeIntegrity, core, session }: WorldOptions,
    uplink: (datagram: Datagram) => void,
  ): Host {
    const cryptos = new Map(pairs.map((pair) => [pair[role].peer.proof, pair[role].crypto]));
    const referees = new Map(pairs.map((pair) => [pair[role].peer.proof, pair]));
    return new Host(this.clockwork, {
      name: `${role} ${pairs.map(({ index }) => index).join('+')}`,
      role,
      localPort,
      mtu: role === 'client' ? this.#clientMtu : undefined,
      peers: pairs.map((pair) => pair[role].peer),
      crypto: (proof) => cryptos.get(proof) ?? missing('keys'),
      ips,
      nat64: role === 'client' && nat64 === true,
      ipv6Inside: ipv6Inside ?? false,
      planeIntegrity: planeIntegrity?.[role],
      uplink,
      resolve: () => this.dns,
      watch: (move: Move) => {
        const { referee, secureReferee } = referees.get(move.config.proof) ?? missing('referee');
        referee.watch(move);
        secureReferee?.watch(move);
      },
      core,
      plane: (session ?? 'v1') === 'v1' ? undefined : planeReferee(),
    });
  }

  #toClient(tunnel: Tunnel, datagram: Datagram): void {
    if (tunnel.client.receive(datagram)) tunnel.echoedAt = this.clockwork.now;
  }
}

/** The server in a client's config. */
function hostIn({ literal }: WorldOptions): string {
  if (literal === undefined || literal === false) return SERVER_NAME;
  return literal === 'ipv6' ? SERVER_IP6 : SERVER_IP;
}

function missing(what: string): never {
  throw new Error(`no ${what} for this peer`);
}

function withoutHint({ sign, verify, secure, random }: SessionCrypto): SessionCrypto {
  return { ...(sign && { sign }), ...(verify && { verify }), ...(secure && { secure }), random };
}

/**
 * What a private key does is in the crypto; here matters only whether it is there. An object of its own
 * for each peer, which is known by it.
 */
function proofOf(
  options: WorldOptions,
  role: 'server' | 'client',
  signedReplies: boolean,
  keys: Pick<Keys, 'clientPublic' | 'serverPublic'>,
): Proof {
  if (options.proof) return { ...options.proof };
  const signer = role === 'client' || signedReplies;
  const verifier = role === 'server' || signedReplies;
  return {
    kind: 'ed25519',
    // Each side of each tunnel has a key of its own, told apart by its bytes.
    privateSeed: signer
      ? encodePublicKey(role === 'client' ? keys.clientPublic : keys.serverPublic)
      : undefined,
    peerPublicKey: verifier
      ? role === 'server'
        ? keys.clientPublic
        : keys.serverPublic
      : undefined,
    secret: SECRET,
    maxTimeDiscrepancy: seconds(300),
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
