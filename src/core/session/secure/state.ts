/** What a session knows of session 2 (docs/PROTOCOL.md). Secrets are in it: nothing of it is shown but `SecureStatus`. */
import type { Endpoint, Path } from '../../addr.ts';
import type { ControlSession } from '../../handshake/control-session.ts';
import type { PendingInit } from '../../handshake/init.ts';
import type { Counting, Ledger, Statement, Total } from '../attestation.ts';
import type { Integrity } from '../../tag/types.ts';
import type { Millis } from '../../units.ts';
import type { Move } from './moves.ts';

/** What both sides have agreed on. */
export type Agreed = {
  readonly control: ControlSession;
  readonly level: Integrity;
  /** Unix time of the handshake. */
  readonly since: Millis;
  /** The counter up to which a later run may not go on, since this one may come to it. */
  readonly keptUntil: number;
  /** Both sides tell how much they have sent, and count so; absent = they do not, or packets have tags. */
  readonly counting?: Counting | undefined;
  /** Packets, both ways, as far as counters have told. */
  readonly packets?: bigint | undefined;
  /** A client's: what proves that the server has forgotten the session. */
  readonly resetToken?: Uint8Array | undefined;
};

/** What was agreed on before, for packets that are still under way. */
export type Former = { readonly agreed: Agreed; readonly until: Millis };

/** Without a session, and none under way. */
export const NO_OFFERS: readonly Offer[] = [];

/** An answered INIT; whoever answers `challenge` from where it came has the session. */
export type Offer = {
  readonly path: Path;
  readonly agreed: Agreed;
  readonly challenge: Uint8Array;
  readonly epoch: number;
  /** That of the INIT: a later one of the peer's has a greater. */
  readonly counter: bigint;
  /** The INIT had a cookie: its sender is where he says he is. */
  readonly cookied: boolean;
  readonly until: Millis;
};

export type ServerSecure = {
  readonly role: 'server';
  readonly current: Agreed | undefined;
  readonly former: Former | undefined;
  /** The newest last; at most OFFERS_MAX, one of a source. */
  readonly offers: readonly Offer[];
  /** Grows with every move that the client means. */
  readonly epoch: number;
  readonly move: Move | undefined;
  /** A path from which somebody has sent on what the peer sent: it is not followed there for a while. */
  readonly suspect: { readonly path: Path; readonly until: Millis } | undefined;
  /** When a source of data without proof was challenged last. */
  readonly strayAt: Millis | undefined;
  /** When it was told last that the plane cannot do what an INIT asks for. */
  readonly unableAt: Millis | undefined;
};

export type ClientSecure = {
  readonly role: 'client';
  readonly current: Agreed | undefined;
  readonly former: Former | undefined;
  /** The INIT that has no RESPONSE yet. */
  readonly pending: PendingInit | undefined;
  /** It is sent so many times more, the next at this time. */
  readonly copies:
    { readonly packet: Uint8Array; readonly left: number; readonly at: Millis } | undefined;
  /** INITs since the last RESPONSE. */
  readonly unanswered: number;
  /** The counter of the last INIT of this run. */
  readonly initCounter: number;
  /** To be sent back until the server has shown that it got it. */
  readonly challenge: Uint8Array | undefined;
  /** Questions that may still be answered, the newest last, and how many had no answer in a row. */
  readonly pings: readonly Ping[];
  readonly unheard: number;
  readonly epoch: number;
  /** The server is to be told that this side has moved. */
  readonly moved: boolean;
  readonly cookie: Cookie | undefined;
  readonly rekeyAt: Millis | undefined;
  /** INITs for a new session in a row while there is one. */
  readonly rekeys: number;
  /** Where the server sees this side. */
  readonly observed: Endpoint | undefined;
  readonly mapping: Mapping | undefined;
  /** The level that the last RESPONSE failed by: the server does not do it, or the plane here. */
  readonly refusedLevel: { readonly level: Integrity; readonly by: 'server' | 'plane' } | undefined;
};

/** How long a NAT has seen a client's packets as coming from the endpoint that the server sees. */
export type Mapping = {
  /** The own endpoint that it stands for. */
  readonly local: Endpoint;
  /** Unix time. */
  readonly since: Millis;
  /** How often it became another one though the own endpoint stayed, and when last. */
  readonly lost: number;
  readonly lostAt: Millis | undefined;
};

/** What a busy server has told, and the own endpoint that it was told to: it is good for no other. */
export type Cookie = {
  readonly value: Uint8Array;
  readonly until: Millis;
  readonly local: Endpoint;
};

export type Ping = { readonly id: number; readonly length: number; readonly at: Millis };

export const NO_SERVER_SECURE: ServerSecure = Object.freeze({
  role: 'server',
  current: undefined,
  former: undefined,
  offers: NO_OFFERS,
  epoch: 0,
  move: undefined,
  suspect: undefined,
  strayAt: undefined,
  unableAt: undefined,
});

export const NO_CLIENT_SECURE: ClientSecure = Object.freeze({
  role: 'client',
  current: undefined,
  former: undefined,
  pending: undefined,
  copies: undefined,
  unanswered: 0,
  initCounter: 0,
  challenge: undefined,
  pings: [],
  unheard: 0,
  epoch: 0,
  moved: false,
  cookie: undefined,
  rekeyAt: undefined,
  rekeys: 0,
  observed: undefined,
  mapping: undefined,
  refusedLevel: undefined,
});

/** What a later run needs to go on; kept where it is gone after a reboot, and never on a disk. */
export type KeptSession = {
  readonly current: Agreed;
  readonly former: Agreed | undefined;
  readonly epoch: number;
};

/** The indexes that packets to this side may bear. */
export function indexesOf(secure: ServerSecure | ClientSecure): readonly number[] {
  const known = INDEXES.get(secure);
  if (known !== undefined) return known;
  const agreed = [
    secure.current,
    secure.former?.agreed,
    ...(secure.role === 'server' ? secure.offers.map((offer) => offer.agreed) : []),
  ];
  const indexes = agreed.flatMap((each) => each?.control.receiveIndex ?? []);
  if (secure.role === 'client' && secure.pending) indexes.push(secure.pending.index);
  INDEXES.set(secure, indexes);
  return indexes;
}
const INDEXES = new WeakMap<ServerSecure | ClientSecure, readonly number[]>();

/** What one side knows of both sides' counts. Plain data. */
export type Attestation = {
  /** A client's next statement. */
  readonly dueAt: Millis | undefined;
  /** The counters are being read for a statement. */
  readonly asking: boolean;
  readonly told: ToldCounts | undefined;
  /** The other's, for which the counters are being read. */
  readonly heard: { readonly statement: Statement; readonly at: Millis } | undefined;
  readonly ledger: Ledger | undefined;
  readonly status: AttestationStatus | undefined;
};

/** This side's last statement. */
export type ToldCounts = {
  readonly epoch: number;
  readonly counts: Counts;
  readonly at: Millis;
  /** How often in a row nothing had moved. */
  readonly still: number;
  /** What a client had asked by then. */
  readonly asked: number;
};

export type Counts = { readonly sent: Total; readonly received: Total };

/** What the other side's statements have shown. */
export type AttestationStatus = {
  /** `merged`: packets cannot be compared, bytes nearly. */
  readonly counting: Counting;
  /** Unix time of the last. */
  readonly at: Millis;
  /** Of what it sent since it told first: what has not come. */
  readonly lost: Total;
  /** What came beyond what it sent, and when that was seen last (unix time). */
  readonly injected: Total;
  readonly injectedAt: Millis | undefined;
};

/** What `show` tells. */
export type SecureStatus = {
  readonly version: 1 | 2;
  readonly integrity: Integrity;
  /** Unix time of the handshake. */
  readonly since: Millis | undefined;
  /** A client's own endpoint as the server sees it. */
  readonly observed: Endpoint | undefined;
  /** Since when, and how often a NAT has changed that by itself; absent from daemons of before. */
  readonly mapping?: Omit<Mapping, 'local'> | undefined;
  readonly attestation: AttestationStatus | undefined;
};
