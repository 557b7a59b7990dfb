import type { OuterIp, InnerIp, Path } from '../core/addr.ts';
import type { PeerId } from '../core/config/tunnel-config.ts';
import type { TroubleReport } from '../core/events/trouble.ts';
import type { EventKind } from '../core/events/event.ts';
import type { Level } from '../core/events/words.ts';
import type { ExitName } from '../core/exit-codes.ts';
import type { ControlRequest } from '../core/management/requests.ts';
import type { SecureStatus } from '../core/session/secure/state.ts';
import type { SessionStatus } from '../core/session/types.ts';
import type { Millis, Seconds } from '../core/units.ts';
import type { PlaneName } from './data-plane.ts';
import type { LogFields } from './log.ts';
import type { ExposureCounts } from './reach.ts';

/** Inner traffic, as JSON numbers (exact to 2^53). */
export type TrafficCounts = {
  readonly rxPackets: number;
  readonly rxBytes: number;
  readonly txPackets: number;
  readonly txBytes: number;
};

/**
 * What a running tunnel tells about itself. Holds no secrets. Times are unix milliseconds. What it
 * says of a peer it says of the only one; where there are several, `peers` asks for them.
 */
export type TunnelStatus = {
  readonly name: string;
  readonly role: 'server' | 'client';
  readonly pid: number;
  readonly since: Millis;
  readonly plane: PlaneName;
  readonly planeReason: string | undefined;
  readonly device: string;
  readonly mtu: number;
  readonly innerIps: readonly InnerIp[];
  /** How many peers there are, and how many of them are `established`. */
  readonly peerCount: number;
  readonly establishedCount: number;
  /** The only peer. */
  readonly peer: PeerId | undefined;
  readonly innerPeerIps: readonly InnerIp[] | undefined;
  readonly localPort: number;
  /** Address and port, or name and port, that the config gives for the other side. */
  readonly remote: string | undefined;
  readonly localAlt: OuterIp | undefined;
  /** Of several peers: `established` when any is. */
  readonly phase: SessionStatus['phase'];
  readonly path: Path | undefined;
  readonly authenticatedAt: Millis | undefined;
  readonly lastHeardAt: Millis | undefined;
  readonly rememberedUntil: Millis | undefined;
  readonly keepalive: Seconds | undefined;
  /** Inner bytes and packets both ways; undefined while no peer is admitted. */
  readonly traffic: TrafficCounts | undefined;
  /** Packets refused by the session, by reason; of several peers those that were nobody's. */
  readonly refused: Readonly<Record<string, number>>;
  /** Packets refused below user space, by the plane's reasons, where it counts them. */
  readonly refusedBelow: Readonly<Record<string, number>>;
  /** Client: requests sent, and replies that were verified. */
  readonly authPacketsSent: number;
  readonly repliesVerified: number;
  /** Server: authentic requests. */
  readonly requestsAccepted: number;
  /** How the two sides have agreed on the connection; undefined where there are several peers. */
  readonly session?: SecureStatus | undefined;
  /** What is wrong now though the tunnel runs; empty when nothing is. */
  readonly troubles: readonly TroubleReport[];
  /** What the host has for the tunnel besides its device, in words; absent from daemons of before. */
  readonly around?: readonly string[];
};

/** What a running tunnel tells about one peer. Holds no secrets. Times are unix milliseconds. */
export type PeerStatus = {
  readonly id: PeerId;
  readonly innerIps: readonly InnerIp[];
  /** Prefixes as text; `any` as in PeerConfig. */
  readonly allowedIps: readonly string[] | 'any';
  /** Address and port, or name and port, that the config gives for the other side. */
  readonly remote: string | undefined;
  readonly localAlt: OuterIp | undefined;
  /** Largest inner packet on the way to it, bytes; undefined while it is not admitted. */
  readonly mtu: number | undefined;
  readonly phase: SessionStatus['phase'];
  readonly path: Path | undefined;
  readonly authenticatedAt: Millis | undefined;
  readonly lastHeardAt: Millis | undefined;
  readonly rememberedUntil: Millis | undefined;
  readonly keepalive: Seconds;
  /** Inner bytes and packets both ways; undefined while it is not admitted. */
  readonly traffic: TrafficCounts | undefined;
  /** Packets refused by its session and by the plane, by reason. */
  readonly refused: Readonly<Record<string, number>>;
  readonly authPacketsSent: number;
  readonly repliesVerified: number;
  readonly requestsAccepted: number;
  /** How the two sides have agreed on the connection. */
  readonly session?: SecureStatus | undefined;
  /** What is wrong with its session now. */
  readonly troubles: readonly TroubleReport[];
  /** It is an invitation that nobody has taken yet, and ends then. */
  readonly invitedUntil?: Millis;
  /** Its services that this server exposes; undefined where there are none. */
  readonly exposed?: readonly ExposureCounts[] | undefined;
};

/** How many peers a change of the config touched. */
export type PeerChanges = {
  readonly added: number;
  readonly changed: number;
  readonly removed: number;
  readonly kept: number;
};

/** One thing that happened. Holds no secrets. */
export type ToldEvent = {
  /** Unix milliseconds. */
  readonly at: Millis;
  /** Whose it is; undefined where it is the tunnel's, or its only peer's. */
  readonly peer: PeerId | undefined;
  readonly kind: EventKind;
  readonly level: Level;
  readonly words: string;
  readonly fields: LogFields;
  /** All of the event's values by their names. */
  readonly values: object;
};

/** What a tunnel tells of itself, for those who follow. */
export interface EventFeed {
  follow(take: (told: ToldEvent) => void): () => void;
}

/** What a follower is sent: an event, or how many were left out since it did not read fast enough. */
export type FeedLine = { readonly told: ToldEvent } | { readonly lost: number };

export type ControlReply =
  | {
      readonly ok: true;
      readonly status?: TunnelStatus;
      readonly peers?: readonly PeerStatus[];
      /** There are more peers behind the last one of `peers`. */
      readonly more?: boolean;
      readonly changes?: PeerChanges;
      /** Of a peer that was added. */
      readonly innerIps?: readonly InnerIp[];
      /** How many peers were written. */
      readonly saved?: number;
      readonly warnings?: readonly string[];
    }
  | {
      readonly ok: false;
      readonly error: string;
      readonly exit?: ExitName;
      readonly hint?: string | undefined;
    };

/** Answers requests; never rejects. */
export type ControlHandler = (request: ControlRequest) => Promise<ControlReply>;

/** A socket of the daemon's, and who may speak there: root, and ask everything, or a group, and be told. */
export type ControlPlace = { readonly path: string; readonly group?: number };

/** The daemon's end of a socket. */
export interface ControlListener {
  /** Listens; returns what stops it. Rejects with an IpipouError. Without `feed` nobody can follow. */
  listen(
    place: ControlPlace,
    handler: ControlHandler,
    feed?: EventFeed,
  ): Promise<() => Promise<void>>;
}

/** The other end. */
export interface ControlClient {
  /** Rejects with NoAnswer when nobody does, or not in time (CONTROL_PATIENCE). */
  ask(path: string, request: ControlRequest): Promise<ControlReply>;
  /** What happens from now on, until `signal` aborts or the daemon hangs up. Rejects as `ask` does. */
  follow(path: string, signal: AbortSignal): AsyncIterable<FeedLine>;
}

/** Bytes of a request; of one that brings a config file, which is as long as such a file may be. */
export const CONTROL_REQUEST_MAX = 65_536;
export const CONTROL_SYNC_MAX = 96 * 1024 * 1024;
export const CONTROL_REPLY_MAX = 65_536;
/** Connections to one socket at a time. */
export const CONTROL_CONNECTIONS_MAX = 32;
/** Who may follow at one time, and how many bytes wait for one of them before it is sent no more. */
export const FOLLOWERS_MAX = 8;
export const FOLLOWER_BEHIND_MAX = 262_144;
/** How long a daemon waits for the rest of a request. */
export const CONTROL_TIMEOUT = 5000 as Millis;
/** So often a daemon that works on a request sends a space before its answer. */
export const CONTROL_SIGN_EVERY = 1000 as Millis;

/** How long somebody who asks waits: without a byte, and in all. */
export type Patience = { readonly silence: Millis; readonly total: Millis };

/** For what is known already; for a change of one peer; for a change of as many as there may be. */
export const CONTROL_PATIENCE = {
  question: { silence: 3000 as Millis, total: 3000 as Millis },
  change: { silence: 10_000 as Millis, total: 20_000 as Millis },
  changes: { silence: 10_000 as Millis, total: 120_000 as Millis },
} as const satisfies Record<string, Patience>;
