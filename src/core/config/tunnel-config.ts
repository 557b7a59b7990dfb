import type { Family, InnerIp, OuterIp, Prefix } from '../addr.ts';
import type { Hooks } from '../hook-names.ts';
import type { Integrity } from '../tag/types.ts';
import type { PublicKey } from '../public-key.ts';
import type { Brand, Port, Seconds } from '../units.ts';
import type { Exposed } from './exposure.ts';
import type { DnsServers, KillSwitch, RoutingTable } from './syntax-everything.ts';
import type { Mark } from './syntax-reach.ts';

/** Names a peer within one tunnel: 1..64 letters, digits, `.`, `_`, `-`. */
export type PeerId = Brand<string, 'PeerId'>;
/** The peer that the options before the first `peer` line describe; no section may take its name. */
export const DEFAULT_PEER = 'default' as PeerId;

/** Everything one tunnel is made of, after defaults and validation. Immutable. */
export type TunnelConfig = {
  /** `--config NAME`'s NAME, the file's base name, or the tunnel device's name. */
  readonly name: string;
  readonly role: 'server' | 'client';
  /** `number`: the base of the defaults. */
  readonly number: number;
  readonly dataplane: 'auto' | 'fou' | 'bpf' | 'tun';
  readonly outer: OuterConfig;
  readonly inner: InnerConfig;
  /** NFQUEUE of the `fou` plane: number 0..65535, length in packets. */
  readonly queue: { readonly number: number; readonly maxLength: number };
  readonly nft: { readonly table: string; readonly counters: boolean };
  readonly hooks: Hooks;
  /** Whose members may be told of the tunnel without being root; undefined = nobody. */
  readonly statusGroup: string | undefined;
  /** `return-path`; undefined where the host's routes decide. */
  readonly returnPath?: ReturnPath | undefined;
  /** `table`: where routes to `allowed-ips` are made; undefined = in the main table. */
  readonly table?: Exclude<RoutingTable, 'main'> | undefined;
  /** Client: what may leave beside the tunnel; undefined = everything. */
  readonly killSwitch?: KillSwitch | undefined;
  /** Client: name servers that this host asks while the tunnel is up. */
  readonly dns?: DnsServers | undefined;
  /** Server: what comes out of the tunnel for elsewhere goes there with this host's address. */
  readonly masquerade?: true | undefined;
  /** `invite-address`: where clients reach this server, as far as that is said. */
  readonly invite?: InviteAddress | undefined;
  /** In the order of the file, the default peer first. Their ids and inner addresses are unique. */
  readonly peers: readonly PeerConfig[];
};

/** One other side. */
export type PeerConfig = {
  readonly id: PeerId;
  readonly proof: Proof;
  readonly auth: AuthConfig;
  readonly timers: TimerConfig;
  /** `fou-remote-ip`: an address or a name; undefined on a server that learns it. */
  readonly remoteHost: string | undefined;
  readonly remotePort: Port | undefined;
  /** `tunl-peer-ip`: the peer's addresses inside the tunnel; see InnerConfig.ips. */
  readonly innerIps: readonly InnerIp[];
  /**
   * Inner addresses that the peer may send from and that are sent to it, `innerIps` before all others;
   * `any`: every source is taken, and what no other peer's prefix matches is sent to it.
   */
  readonly allowedIps: readonly Prefix[] | 'any';
  /** `public-ip`, any number: of a server's peer among `allowedIps`, of a client its own; undefined where there are none. */
  readonly publicIps?: readonly InnerIp[] | undefined;
  /** Services of this host's addresses that are behind the peer; undefined where there are none. */
  readonly exposed?: Exposed | undefined;
  /**
   * Unix time until which this is an invitation: its key admits nobody, but lets somebody register another
   * one in its place. Undefined for a peer proper.
   */
  readonly invitedUntil?: Seconds | undefined;
};

export type InviteAddress = { readonly host: string | undefined; readonly port: Port | undefined };

/** How the other side proves who it is, and how this side does. */
export type Proof =
  | { readonly kind: 'none' }
  | { readonly kind: 'token'; readonly token: Uint8Array }
  | {
      readonly kind: 'ed25519';
      /** Own private seed, 32 bytes; undefined where this side never signs. */
      readonly privateSeed: Uint8Array | undefined;
      /** The other side's public key; undefined where nothing of it is verified. */
      readonly peerPublicKey: PublicKey | undefined;
      readonly secret: Uint8Array;
      /** Largest accepted difference between the clocks; 0 = unchecked. */
      readonly maxTimeDiscrepancy: Seconds;
    };

/** How authentication goes besides the proof. */
export type AuthConfig = {
  /** Only this source address is accepted (`auth-by-remote-ip`). A name is resolved by the app. */
  readonly byRemoteIp: boolean;
  /** Only this source port is accepted (`auth-by-remote-port`). */
  readonly byRemotePort: boolean;
  /** TTL of authentication packets; undefined = the system's default. */
  readonly packetTtl: number | undefined;
  readonly replyOnAuthOk: boolean;
  /** `auto`: session 2 where both sides have both keys, else session 1 (docs/PROTOCOL.md). */
  readonly session: SessionChoice;
  /** How much of each packet has to be proved, at the least; the other side may ask for more. */
  readonly integrity: Integrity;
};

export type SessionChoice = 'auto' | 'v1' | 'v2';

export type TimerConfig = {
  /** How long a remembered remote may go on after its connection expired; 0 = forever. */
  readonly authLifetime: Seconds;
  /** Client: authenticate again every so often; server: send an empty keepalive so often; 0 = never. */
  readonly keepalive: Seconds;
  /** A connection counts as expired after so long without a packet from the peer. */
  readonly connectionIdle: Seconds;
  /** Client: silence of the server, while we send, after which it counts as dead; 0 = never. */
  readonly deadPeerTimeout: Seconds;
};

/** Client: what comes in by the tunnel is answered by it. */
export type ReturnPath = {
  /** Number of the routing table; undefined = one that is free. */
  readonly table: number | undefined;
  /** Mark of connections and packets; undefined = one that is free. */
  readonly mark: Mark | undefined;
};

export type OuterConfig = {
  /** `fou-local-ip`, one of a family at most; none = taken from the device or the route. */
  readonly localIps: readonly OuterIp[];
  /** `fou-family`; see outerFamilies. */
  readonly family: 'auto' | Family;
  readonly localPort: Port;
  /** `fou-dev`; undefined = whatever the route says. */
  readonly device: string | undefined;
  readonly localIpAlt: OuterIp;
  readonly forceLocalIpAlt: boolean;
  /** UDP checksum of the encapsulation; undefined = what the system does by itself on this plane. */
  readonly udpChecksum: boolean | undefined;
  /** Over IPv4, what is too big for the path is sent in fragments, and inner packets have the configured MTU. */
  readonly fragments?: boolean | undefined;
};

export type InnerConfig = {
  /** Name of the tunnel device. */
  readonly device: string;
  /** `tunl-ip`: one or two, none of the same family, IPv4 first. The tunnel carries their families. */
  readonly ips: readonly InnerIp[];
  /**
   * MTU of the tunnel device; undefined = the outer path's less the overhead; `auto` = that, and the
   * path to each peer is probed and followed.
   */
  readonly mtu: number | 'auto' | undefined;
};

export type LogConfig = {
  readonly level: 'error' | 'warn' | 'info' | 'debug';
  /** Whether lines bear the time, and the process number. */
  readonly time: boolean;
  readonly pid: boolean;
};

/** A config without its peers: what a running tunnel cannot change. */
export type FixedConfig = { readonly config: Omit<TunnelConfig, 'peers'>; readonly log: LogConfig };
