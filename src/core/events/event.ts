/**
 * All that a tunnel tells of itself, as values: a closed union. Log lines are made from it by the one
 * table of words (words.ts); whatever else wants to know what happens reads the same values. Nothing
 * here is secret. `remote` is the other side's endpoint outside, as seen from here.
 */
import type { Endpoint, OuterIp } from '../addr.ts';
import type { Refused } from '../auth/refusal.ts';
import type { Seconds } from '../units.ts';
import type { Trouble, Undelivered } from './trouble.ts';

/** What both roles tell. */
type Common =
  /** A trouble has begun, or goes on. */
  | { readonly kind: 'trouble'; readonly trouble: Trouble }
  /** The other side has proved itself for the first time on its path (a client's server: has answered). */
  | { readonly kind: 'established'; readonly remote: Endpoint }
  /** It is heard again after a silence of so many seconds that had been told of. */
  | { readonly kind: 'back'; readonly remote: Endpoint; readonly silence: Seconds }
  /** Packets of the other side's were refused; `unlogged`: as many since it was last told. */
  | {
      readonly kind: 'refused';
      readonly refusal: Refused;
      readonly from: Endpoint;
      /** Seconds that clocks may differ by. */
      readonly allowed: number;
      readonly unlogged: number | undefined;
    }
  /** Packets go another way than before: `mtu` is the largest inner one; undefined = what the route takes. */
  | {
      readonly kind: 'path-mtu';
      readonly role: 'server' | 'client';
      readonly mtu: number | undefined;
    }
  | { readonly kind: 'proof-changed' }
  /** The plane could not be pointed at the other side; `attempt` counts from 1. */
  | {
      readonly kind: 'not-admitted';
      readonly role: 'server' | 'client';
      readonly remote: Endpoint;
      readonly attempt: number;
    }
  /** Another peer of this tunnel is on the path now. */
  | {
      readonly kind: 'displaced';
      readonly role: 'server' | 'client';
      readonly remote: Endpoint;
    };

type OfServer =
  /** `again`: it goes to and fro, as was told. */
  | {
      readonly kind: 'moved';
      readonly remote: Endpoint;
      readonly before: Endpoint;
      readonly again: boolean;
    }
  /** It has proved itself again where it was. */
  | { readonly kind: 'refreshed'; readonly remote: Endpoint }
  | { readonly kind: 'expired'; readonly remote: Endpoint }
  | { readonly kind: 'ran-out'; readonly remote: Endpoint }
  /** What an earlier run remembered of a peer counts on, or does not. */
  | { readonly kind: 'resumed'; readonly remote: Endpoint }
  | { readonly kind: 'not-resumed'; readonly remote: Endpoint }
  /** The plane still carried somebody of whom nothing was remembered. */
  | { readonly kind: 'unvouched'; readonly remote: Endpoint }
  | { readonly kind: 'nothing-to-authenticate' };

type OfClient =
  | { readonly kind: 'silent'; readonly remote: Endpoint; readonly timeout: Seconds }
  | { readonly kind: 'reply'; readonly from: Endpoint }
  | {
      readonly kind: 'resolved';
      readonly host: string;
      readonly address: OuterIp;
      readonly before: OuterIp | undefined;
    }
  | { readonly kind: 'no-path' }
  /** Somebody on the way says that packets to a server that had answered do not arrive. */
  | ({ readonly kind: 'unreachable'; readonly remote: Endpoint } & Undelivered);

export type TunnelEvent = Common | OfServer | OfClient;
export type EventKind = TunnelEvent['kind'];
export type EventOf<Kind extends EventKind> = Extract<TunnelEvent, { readonly kind: Kind }>;
