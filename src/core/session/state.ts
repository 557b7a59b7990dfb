/**
 * What a session knows between events. Nobody outside core/session looks inside; callers keep the
 * value and hand it back. Times named `…At` and `…Since` are monotonic unless their type is Instant,
 * which has both clocks: timers run on the monotonic one, memory and packets use unix time.
 */
import type { OuterIp, Path } from '../addr.ts';
import type { Notice } from '../auth/refusal.ts';
import type { Replay } from '../auth/replay.ts';
import type { NoRoute, TroubleKind, TroubleOf, Unprobed } from '../events/trouble.ts';
import type { SourceKey } from '../source-key.ts';
import type { Instant, Millis, Seconds } from '../units.ts';
import type { Undelivered } from '../wire/icmp-error.ts';
import { LISTENING } from './path-mtu.ts';
import type { PathMtu } from './path-mtu-search.ts';
import type { Bucket } from './rate-limit.ts';
import { NO_REFUSALS, type Refusals } from './refusals.ts';
import type { Attestation, ClientSecure, ServerSecure } from './secure/state.ts';
import type { PacketCounts, Way } from './types.ts';

/** What both roles keep. Bounds: refusals by the list of reasons, replay by its own. */
type Common = {
  /** Before `start` every event is ignored. */
  readonly started: boolean;
  readonly replay: Replay | undefined;
  /** The other side has spoken session 2, in this run or before. */
  readonly secured: boolean;
  /**
   * What may still be looked at from the peer's own path, from addresses that it was at, and with its
   * hint from elsewhere; undefined = all.
   */
  readonly own: Bucket | undefined;
  readonly known: Bucket | undefined;
  readonly hinted: Bucket | undefined;
  readonly refusals: Refusals;
  /** The last counters; undefined = the next ones are only a start to compare with. */
  readonly counts: PacketCounts | undefined;
  /** Whether the plane says when data last came: then a server neither compares counts nor keeps them. */
  readonly timed: boolean;
  readonly pollAt: Millis | undefined;
  /** When to ask for the name's addresses (again); undefined = not needed now. */
  readonly resolveAt: Millis | undefined;
  readonly resolveFailures: number;
  /** Why the name has no address that can be used; undefined = it has, or was not asked for. */
  readonly unresolved: TroubleOf<'unresolved' | 'unusable-address'> | undefined;
  readonly told: Told | undefined;
  /** Time in the newest signed packet sent; see packetTime. */
  readonly lastPacketTime: Seconds | undefined;
  readonly tooBig: number;
  readonly pathMtu: PathMtu;
  /** What the plane was told last; undefined = nothing, or that there is no limit. */
  readonly mtuLimit: number | undefined;
  /** Undefined where nothing was told yet, or nothing is. */
  readonly attestation: Attestation | undefined;
  /** The path takes only so much, too little for IPv6 inside; whether that was told. */
  readonly ipv6Off:
    { readonly mtu: number; readonly since: Millis; readonly told: boolean } | undefined;
};

/** What was told last, when, and how often in a row. */
export type Told = { readonly kind: TroubleKind; readonly at: Millis; readonly times: number };

/** Where a peer was before, and how often in a row it came back from there to where it had been. */
export type Shuttle = { readonly other: Path; readonly returns: number; readonly at: Millis };

/** An authenticated peer as the server remembers it. */
export type Remote = {
  readonly path: Path;
  readonly authenticated: Instant;
  readonly heard: Instant;
  /** Silent for longer than a connection lives; data still passes until the lifetime ends. */
  readonly expired: boolean;
};

/**
 * A server. `remote` and the plane go together:
 * - no `remote`: nothing is admitted, everything but an authentic packet is refused;
 * - `remote`: its path is admitted as far as known, data passes, an authentic packet from it only
 *   refreshes, one from elsewhere re-points;
 * - `retry`: an authentic packet's path could not be admitted; `remote` is then what was admitted
 *   before (or nothing), and the attempt is repeated.
 */
export type ServerState = Common & {
  readonly role: 'server';
  /** Addresses that auth-by-remote-ip allows; undefined = not resolved yet, so none. */
  readonly allowed: readonly OuterIp[] | undefined;
  readonly remote: Remote | undefined;
  /** Where this and earlier remotes of this run were, the latest first; at most KNOWN_MAX. */
  readonly sources: readonly SourceKey[];
  /** What to go back to when the last `admit` fails, while that can still come; undefined = nothing, at once. */
  readonly before:
    | { readonly remote: Remote | undefined; readonly attempt: number; readonly until: Millis }
    | undefined;
  readonly retry:
    { readonly remote: Remote; readonly attempt: number; readonly at: Millis } | undefined;
  readonly keepaliveAt: Millis | undefined;
  /** When `remote.heard` was last written down. */
  readonly rememberedAt: Millis;
  readonly repliedAt: Millis | undefined;
  /** What may still be told of refusals; undefined = all. */
  readonly notices: Bucket | undefined;
  readonly requestsAccepted: number;
  readonly shuttle: Shuttle | undefined;
  readonly secure: ServerSecure;
};

export type Request = { readonly payload: Uint8Array; readonly at: Millis };

/**
 * What a client believes of the server on the current path:
 * - `new`: nothing heard yet; the tunnel is up and the first packets are repeated;
 * - `alive`: a verified reply, a keepalive or data came; silence counts only while something is sent;
 * - `dead`: silent for too long; authenticate again and again, look its name and the route up again.
 */
export type Life = 'new' | 'alive' | 'dead';

/** A client. Without `remote` it is resolving, without `local` offline; else it has a path: client-ways.ts. */
export type ClientState = Common & {
  readonly role: 'client';
  /** The server's addresses in the order of preference; at most CANDIDATES_MAX. */
  readonly addresses: readonly OuterIp[];
  /** The ways to them as they were last found; of none of them until then. */
  readonly ways: readonly Way[];
  /** The one of `addresses` that is in use. */
  readonly remote: OuterIp | undefined;
  /** What stands for `remote` in packets, where it is reached by a translator. */
  readonly via: OuterIp | undefined;
  readonly local: OuterIp | undefined;
  /** There is no way to the remote, and why where that was said; undefined also while nobody has looked. */
  readonly noRoute: { readonly why: NoRoute | undefined } | undefined;
  /** When to ask for the route (again); always defined once there is a remote. */
  readonly locateAt: Millis | undefined;
  /** What the plane carries as far as known. */
  readonly admitted: Path | undefined;
  readonly admitAt: Millis | undefined;
  readonly admitFailures: number;
  readonly life: Life;
  /** Whether this server has replied in this run: then an unanswered request means something. */
  readonly replies: boolean;
  /** The last request has no reply yet. */
  readonly awaiting: boolean;
  /** Requests since the last reply, or sign of life where none is expected; whatever address they went to. */
  readonly attempts: number;
  /** Requests on this path since it was taken or anything was last heard on it. */
  readonly askedHere: number;
  readonly authAt: Millis | undefined;
  readonly lastSentAt: Millis | undefined;
  /** Requests since the last sign of life, and when the first of them was sent. */
  readonly unanswered: { readonly since: Instant; readonly sent: number } | undefined;
  /** What was last said on the way of requests that have no answer. */
  readonly undelivered: Undelivered | undefined;
  /** Nothing can be sent: it would have to be signed. */
  readonly keyless: boolean;
  /** Newest last; at most REQUESTS_MAX. */
  readonly requests: readonly Request[];
  readonly verified: Instant | undefined;
  readonly heard: Instant | undefined;
  /** When something was first sent that has not been followed by anything heard. */
  readonly silentSince: Millis | undefined;
  /** When the counters last showed that data was sent. */
  readonly dataSentAt: Millis | undefined;
  readonly authPacketsSent: number;
  readonly repliesVerified: number;
  /** Why the server refused a request of ours, by its own signed word; no reply has succeeded since. */
  readonly notice: Notice | undefined;
  /** When an ICMP error last made it authenticate. */
  readonly unreachableAt: Millis | undefined;
  /** Why the path is not probed though it should be. */
  readonly mtuTrouble: Unprobed | undefined;
  readonly secure: ClientSecure;
};

/** What both roles begin with. */
export const FRESH: Common = {
  started: false,
  replay: undefined,
  secured: false,
  own: undefined,
  known: undefined,
  hinted: undefined,
  refusals: NO_REFUSALS,
  counts: undefined,
  timed: false,
  pollAt: undefined,
  resolveAt: undefined,
  resolveFailures: 0,
  unresolved: undefined,
  told: undefined,
  lastPacketTime: undefined,
  tooBig: 0,
  pathMtu: LISTENING,
  mtuLimit: undefined,
  attestation: undefined,
  ipv6Off: undefined,
};

export type SessionState = ServerState | ClientState;
