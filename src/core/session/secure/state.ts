/** What a session knows of session 2 (docs/PROTOCOL.md). Secrets are in it: nothing of it is shown but `SecureStatus`. */
import type { Endpoint, Path } from '../../addr.ts';
import type { ControlSession } from '../../handshake/control-session.ts';
import type { PendingInit } from '../../handshake/init.ts';
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
};

export type ClientSecure = {
  readonly role: 'client';
  readonly current: Agreed | undefined;
  readonly former: Former | undefined;
  /** The INIT that has no RESPONSE yet. */
  readonly pending: PendingInit | undefined;
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
  readonly cookie: { readonly value: Uint8Array; readonly until: Millis } | undefined;
  readonly rekeyAt: Millis | undefined;
  /** INITs for a new session in a row while there is one. */
  readonly rekeys: number;
  /** Where the server sees this side. */
  readonly observed: Endpoint | undefined;
  /** The level that the last RESPONSE failed by: the server does not do it, or the plane here. */
  readonly refusedLevel: { readonly level: Integrity; readonly by: 'server' | 'plane' } | undefined;
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
});

export const NO_CLIENT_SECURE: ClientSecure = Object.freeze({
  role: 'client',
  current: undefined,
  former: undefined,
  pending: undefined,
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

/** What `show` tells. */
export type SecureStatus = {
  readonly version: 1 | 2;
  readonly integrity: Integrity;
  /** Unix time of the handshake. */
  readonly since: Millis | undefined;
  /** A client's own endpoint as the server sees it. */
  readonly observed: Endpoint | undefined;
};
