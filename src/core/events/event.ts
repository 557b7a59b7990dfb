/**
 * All that a tunnel tells of itself, as values: a closed union. Log lines are made from it by the one
 * table of words (words.ts); whatever else wants to know what happens reads the same values. Nothing
 * here is secret. `remote` is the other side's endpoint outside, as seen from here.
 */
import type { Endpoint, OuterIp } from '../addr.ts';
import type { Notice, Refused } from '../auth/refusal.ts';
import type { Seconds } from '../units.ts';

/** What both roles tell. */
type Common =
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
  | { readonly kind: 'admitted'; readonly remote: Endpoint }
  | { readonly kind: 'moved'; readonly remote: Endpoint; readonly before: Endpoint }
  /** It has proved itself again where it was. */
  | { readonly kind: 'refreshed'; readonly remote: Endpoint }
  | { readonly kind: 'expired'; readonly remote: Endpoint }
  | { readonly kind: 'alive-again'; readonly remote: Endpoint }
  | { readonly kind: 'ran-out'; readonly remote: Endpoint }
  /** What an earlier run remembered of a peer counts on, or does not. */
  | { readonly kind: 'resumed'; readonly remote: Endpoint }
  | { readonly kind: 'not-resumed'; readonly remote: Endpoint }
  /** The plane still carried somebody of whom nothing was remembered. */
  | { readonly kind: 'unvouched'; readonly remote: Endpoint }
  | { readonly kind: 'nothing-to-authenticate' };

type OfClient =
  /** The server says, signed, that it refuses this client, and why. */
  | { readonly kind: 'server-refuses'; readonly notice: Notice }
  | { readonly kind: 'connected'; readonly remote: Endpoint }
  | { readonly kind: 'back'; readonly remote: Endpoint }
  | { readonly kind: 'silent'; readonly remote: Endpoint; readonly timeout: Seconds }
  | { readonly kind: 'reply'; readonly from: Endpoint }
  | {
      readonly kind: 'resolved';
      readonly host: string;
      readonly address: OuterIp;
      readonly before: OuterIp | undefined;
    }
  | { readonly kind: 'no-route'; readonly remote: OuterIp }
  | { readonly kind: 'no-path' }
  | { readonly kind: 'no-key' }
  | { readonly kind: 'unreachable'; readonly remote: Endpoint }
  /** The path's size is not probed though it should be. */
  | { readonly kind: 'unprobed'; readonly why: Unprobed };

/** `unsigned`: requests cannot be padded; the others: how the server answers. */
export type Unprobed = 'unsigned' | 'padding' | 'unanswered';

export type TunnelEvent = Common | OfServer | OfClient;
export type EventKind = TunnelEvent['kind'];
export type EventOf<Kind extends EventKind> = Extract<TunnelEvent, { readonly kind: Kind }>;
