import type { OuterIp, Endpoint, Family, Path } from '../addr.ts';
import type { Notice, Refusal } from '../auth/refusal.ts';
import type { Replay } from '../auth/replay.ts';
import type { PublicKey } from '../public-key.ts';
import type { AuthConfig, Proof, TimerConfig } from '../config/tunnel-config.ts';
import type { SessionTold } from '../events/event.ts';
import type { NoRoute, Trouble, Unusable } from '../events/trouble.ts';
import type { Introduction } from '../handshake/init.ts';
import type { Integrity, TagKeys } from '../tag/types.ts';
import type { Counting } from './attestation.ts';
import type { SecureCrypto } from './secure/crypto.ts';
import type { KeptSession, SecureStatus } from './secure/state.ts';
import type { Instant, Millis, Port, Seconds } from '../units.ts';
import type { Undelivered } from '../wire/icmp-error.ts';

/** What a session needs of the config. `remoteIp` is set for a literal address, else `host` is resolved. */
export type SessionConfig = {
  readonly role: 'server' | 'client';
  readonly proof: Proof;
  readonly auth: AuthConfig;
  readonly timers: TimerConfig;
  readonly localPort: Port;
  readonly remoteHost: string | undefined;
  readonly remotePort: Port | undefined;
  /** The other side's key is an invitation's until then (unix time); undefined = it is a peer's. */
  readonly invitedUntil?: Seconds | undefined;
  /**
   * `auto`: a client probes the path, and says where that cannot be done; `try`: without a word. A number
   * is taken for what the route takes. Inner bytes.
   */
  readonly mtu?: number | 'auto' | 'try' | undefined;
  /** What the tunnel runs over; absent = both families. */
  readonly families?: readonly Family[] | undefined;
  /** What of each packet the plane can prove; absent = nothing. */
  readonly planeIntegrity?: readonly Integrity[] | undefined;
  /** How it counts packets; absent = some that are on the wire are one. */
  readonly planeCounting?: Counting | undefined;
  /** Whether IPv6 is carried to and from the other side: then it matters what the path takes. */
  readonly ipv6Inside: boolean;
};

/**
 * What must outlive the process. `remote` is the last authenticated path; `replay` is what keeps a
 * captured authentication packet from working again (auth/replay.ts). It belongs to the peer's key,
 * whatever the peer is called and wherever it is configured: see replayKey.
 */
export type SessionMemory = {
  readonly remote:
    | { readonly path: Path; readonly authenticatedAt: Millis; readonly lastHeardAt: Millis }
    | undefined;
  readonly replay: Replay | undefined;
  /**
   * Marks the proof that was configured when this was written: the `remote` of another one (a changed
   * key, token or secret) is worth nothing. No secret can be read from it. Absent = unknown: then
   * `remote` counts for nothing.
   */
  readonly peer?: string | undefined;
  /** Whether the other side has ever spoken session 2, with this key: then it is held to it. */
  readonly secured?: boolean | undefined;
};

/** The three things the session core cannot do purely; injected, so that a simulation is repeatable. */
export interface SessionCrypto {
  /** ed25519 signature (64 bytes) over `message` with the own private seed; absent without a key. */
  readonly sign?: (message: Uint8Array) => Uint8Array;
  /** Whether `signature` is the peer's over `message`; absent without the peer's public key. */
  readonly verify?: (message: Uint8Array, signature: Uint8Array) => boolean;
  /** The own public key, 32 bytes, where `sign` is there; without it packets carry no hint. */
  readonly publicKey?: () => Uint8Array;
  /** `length` fresh random bytes. */
  readonly random: (length: number) => Uint8Array;
  /** For session 2; absent without both sides' keys. */
  readonly secure?: SecureCrypto;
}

/**
 * What all sessions of a tunnel share: how many proofs may be looked at. Each call asks for one and
 * takes it; false = not now.
 */
export interface ProofBudget {
  /** From a path or address that the peer was admitted at. */
  own(now: Millis): boolean;
  /** From elsewhere, with the hint of a peer's key. */
  hinted(source: OuterIp, now: Millis): boolean;
  /** From elsewhere, without one. */
  stranger(source: OuterIp, now: Millis): boolean;
  /** For the word that a packet is refused, to who signed it. */
  notice(now: Millis): boolean;
}

/** The numbers by which this side knows its sessions. */
export interface Indexes {
  /** One that no session of the tunnel has. */
  draw(random: (length: number) => Uint8Array): number;
  /** Whether no session of the tunnel has it. */
  isFree(index: number): boolean;
}

export type PacketCounts = { readonly rxPackets: bigint; readonly txPackets: bigint };

/** With inner bytes. */
export type PlaneCounts = PacketCounts & { readonly rxBytes?: bigint; readonly txBytes?: bigint };

export type SessionEvent =
  /** First event. `adopted`: the plane still forwards this path from an earlier run. */
  | {
      readonly kind: 'start';
      readonly memory: SessionMemory | undefined;
      readonly adopted: Path | undefined;
      /** The session that an earlier run had kept. */
      readonly kept?: KeptSession | undefined;
      /** It does not go on: what both sides agree on is another now. */
      readonly renew?: boolean;
    }
  /** A packet that was not data of an admitted peer. */
  | {
      readonly kind: 'packet';
      readonly path: Path;
      readonly payload: Uint8Array;
      /** It may be another peer's: a refusal is reported (StepResult) but neither counted nor logged. */
      readonly tentative?: boolean;
      /** Whoever found this peer for it has taken it from the budget. */
      readonly charged?: boolean;
      /** Of an INIT: whose it says to be. It has been paid for. */
      readonly introduction?: Introduction | undefined;
      /** Of an INIT: it has proved by a cookie where its sender is. */
      readonly cookied?: boolean;
    }
  /** Server: data without proof, from one of the peer's inner addresses, came from somewhere else; UDP payload bytes. */
  | { readonly kind: 'stray'; readonly path: Path; readonly length: number }
  /**
   * Answer to `poll-counters`. `heardAt`: when data last came (monotonic), from planes that know; such
   * a peer is only looked at when that decides something.
   */
  | {
      readonly kind: 'counters';
      readonly counts: PlaneCounts;
      readonly heardAt?: Millis | undefined;
    }
  /**
   * Answer to `resolve`: addresses in the order of preference; empty = the name did not resolve, for
   * `error`, or has only such as `unusable` is the first of.
   */
  | {
      readonly kind: 'resolved';
      readonly addresses: readonly OuterIp[];
      readonly error?: string | undefined;
      readonly unusable?: { readonly address: OuterIp; readonly why: Unusable } | undefined;
    }
  /** Client: the ways to all the addresses that were asked for. After `locate`, and when any is another. */
  | { readonly kind: 'located'; readonly ways: readonly Way[] }
  /** The operator asks (SIGUSR1, reload). */
  | { readonly kind: 'reauthenticate' }
  /** `wakeAt` has come. */
  | { readonly kind: 'wake' }
  /** An `admit` could not be carried out. */
  | { readonly kind: 'admit-failed'; readonly path: Path }
  /** Server: whoever runs the tunnel will not have this peer, which has just proved itself there. */
  | { readonly kind: 'turned-away'; readonly path: Path }
  /** Another peer has proved itself on the path that was this one's. */
  | { readonly kind: 'displaced'; readonly path: Path }
  /** The plane has taken a packet with a valid tag, that had not come before, from this other path. */
  | { readonly kind: 'roamed'; readonly path: Path }
  /** Somebody on the way (or who says so) says that packets to the peer do not arrive. */
  | ({ readonly kind: 'unreachable' } & Undelivered)
  /** The same, because they are too big; `mtu`: what the next hop takes, inner bytes, where it was told. */
  | { readonly kind: 'too-big'; readonly mtu: number | undefined };

/** How this host reaches one address of the server. */
export type Way = {
  readonly remote: OuterIp;
  /** Where packets for it go: the same, or the address that a translator (NAT64) has for it. */
  readonly via?: OuterIp | undefined;
  /** The local address to send from; undefined: there is no route, for `why`. */
  readonly local: OuterIp | undefined;
  /** The largest inner packet (bytes) that the route takes by itself, whatever the path does. */
  readonly mtu?: number | undefined;
  readonly why?: NoRoute | undefined;
};

export type RegisterAnswer = {
  readonly path: Path;
  readonly payload: Uint8Array;
  readonly ttl: number | undefined;
};

export type SessionEffect =
  /**
   * Write down before anything that comes after in the same list. `lazy`: nothing depends on it, so it
   * need not be on the disk at once.
   */
  | { readonly kind: 'remember'; readonly memory: SessionMemory; readonly lazy?: boolean }
  /** Create the tunnel towards this path or re-point it. */
  | { readonly kind: 'admit'; readonly path: Path; readonly tags?: TagKeys | undefined }
  | { readonly kind: 'evict' }
  /** Keep where it outlives the process and not the machine; undefined = nothing any more. Holds secrets. */
  | { readonly kind: 'keep'; readonly record: KeptSession | undefined }
  | {
      readonly kind: 'send';
      readonly purpose: 'authenticate' | 'reply' | 'keepalive';
      readonly path: Path;
      readonly payload: Uint8Array;
      readonly ttl: number | undefined;
      /** Whole or not at all, whatever is remembered of the path. One that cannot be sent is lost. */
      readonly probe?: boolean;
    }
  /**
   * Have a public key take the place of the invitation's, durably and here; only then send `answer`, which
   * is to the path that the request came by.
   */
  | { readonly kind: 'register'; readonly publicKey: PublicKey; readonly answer: RegisterAnswer }
  /** Largest inner packet (bytes) on the path to the peer; undefined = what the route takes. */
  | { readonly kind: 'limit-mtu'; readonly mtu: number | undefined }
  | { readonly kind: 'resolve'; readonly host: string }
  /** Find the ways to these addresses, and to no others any more, and answer with `located`. */
  | { readonly kind: 'locate'; readonly remotes: readonly OuterIp[] }
  | { readonly kind: 'poll-counters' }
  /** For people, and whoever else wants to know. */
  | { readonly kind: 'event'; readonly event: SessionTold };

/** What `show` prints of a session; computed from the state, never stored. */
export type SessionStatus = {
  readonly phase: 'resolving' | 'offline' | 'authenticating' | 'established' | 'listening';
  readonly path: Path | undefined;
  /** Unix time of the last proof: an authentic packet (server) or a verified reply (client). */
  readonly authenticatedAt: Millis | undefined;
  readonly lastHeardAt: Millis | undefined;
  /** Unix time at which the remote is forgotten if nothing more is heard; undefined = never. */
  readonly rememberedUntil: Millis | undefined;
  /** Why packets were refused, counted by reason. */
  readonly refused: Readonly<Record<string, number>>;
  /** Client. */
  readonly authPacketsSent: number;
  readonly repliesVerified: number;
  /** Client: why the server refuses it, by the server's own signed word. */
  readonly notice: Notice | undefined;
  /** Server: authentic packets. */
  readonly requestsAccepted: number;
  /** How often the network said that packets are too big. */
  readonly tooBig: number;
  readonly pathMtu: PathMtuStatus;
  readonly secure: SecureStatus;
  /** What is wrong now; the gravest first. */
  readonly troubles: readonly Trouble[];
};

/** Inner bytes. */
export type PathMtuStatus = {
  /** The largest packet on the path; undefined = what the route takes. */
  readonly limit: number | undefined;
  /** What own probes have proved. */
  readonly proved: number | undefined;
};

export type StepResult<State> = {
  readonly state: State;
  readonly effects: readonly SessionEffect[];
  /** Monotonic time of the next `wake`; undefined = none is needed. */
  readonly wakeAt: Millis | undefined;
  /** Why the packet was refused, if it was. */
  readonly refusal: Refusal | undefined;
};

export type { Endpoint, Instant, Path };
