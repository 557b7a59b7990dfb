/**
 * All that a tunnel tells of itself, as values: a closed union. Log lines are made from it by the one
 * table of words (words.ts); whatever else wants to know what happens reads the same values. Nothing
 * here is secret. `remote` is the other side's endpoint outside, as seen from here.
 */
import type { Endpoint, OuterIp } from '../addr.ts';
import type { Refused } from '../auth/refusal.ts';
import type { LogConfig } from '../config/tunnel-config.ts';
import type { HookName } from '../hook-names.ts';
import type { Millis, Seconds } from '../units.ts';
import type { Integrity } from '../tag/types.ts';
import type { IcmpError, Undelivered } from '../wire/icmp-error.ts';
import type { Trouble } from './trouble.ts';

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
  /** The path takes enough for IPv6 again, after it had not; `mtu`: as in `path-mtu`. */
  | { readonly kind: 'ipv6-on'; readonly mtu: number | undefined }
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

/** What session 2 tells. */
type OfSecure =
  /** Both sides have proved themselves to each other, and have new keys. */
  | { readonly kind: 'agreed'; readonly remote: Endpoint; readonly integrity: Integrity }
  /** Packets of the peer's were sent on from `remote`, and it is still where it was: it stays there. */
  | { readonly kind: 'relay-suspected'; readonly remote: Endpoint; readonly stays: Endpoint }
  /** So much more came from the other side than it says that it has sent; undefined: packets cannot be compared. */
  | {
      readonly kind: 'injection-suspected';
      readonly packets: number | undefined;
      readonly bytes: number;
    }
  /** Server: one side wants this, and the plane here cannot. */
  | { readonly kind: 'integrity-refused'; readonly level: Integrity }
  /** The server says that it has forgotten the session. */
  | { readonly kind: 'session-reset'; readonly remote: Endpoint }
  /** A client's endpoint as the server sees it is another now. */
  | { readonly kind: 'observed'; readonly source: Endpoint };

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
  /**
   * Another of the server's addresses is in use: the one before has lost its route, did not answer, or is
   * refused by the plane. `again`: they are tried by turns, as was told.
   */
  | {
      readonly kind: 'other-address';
      readonly address: OuterIp;
      readonly before: OuterIp;
      readonly why: 'no-route' | 'no-answer' | 'refused';
      readonly again: boolean;
    }
  /** There is no IPv4 here, and a translator of the network's (NAT64) is used, by the address that it has for the server's. */
  | { readonly kind: 'translated'; readonly address: OuterIp; readonly via: OuterIp }
  | { readonly kind: 'no-path' }
  /** Somebody on the way says that packets to a server that had answered do not arrive. */
  | ({ readonly kind: 'unreachable'; readonly remote: Endpoint } & Undelivered);

type LogLevel = LogConfig['level'];

/** Something failed: what, and what to do about it where that is known. */
export type Failure = { readonly error: string; readonly hint?: string | undefined };
type Failed<Kind extends string> = { readonly kind: Kind } & Failure;

/** What the daemon around the sessions tells of its start, its end and its config. */
type OfDaemon =
  /** `why`: not the best plane, or that it was asked for. */
  | {
      readonly kind: 'plane-chosen';
      readonly plane: string;
      readonly why: string | undefined;
    }
  | { readonly kind: 'earlier-plane-cleaned'; readonly plane: string }
  /** The plane still carried so many peers of the earlier run; `remote`: the sole one's. */
  | {
      readonly kind: 'adopted';
      readonly peers: number;
      readonly remote: Endpoint;
    }
  | {
      readonly kind: 'ready';
      readonly role: 'server' | 'client';
      readonly device: string;
    }
  | { readonly kind: 'ending' }
  /** The tunnel cannot go on, or not everything could be removed. */
  | Failed<'failed'>
  | Failed<'not-undone'>
  | { readonly kind: 'peer-set' }
  | { readonly kind: 'peer-removed' }
  /** A client has registered its own key by an invitation, or has not. */
  | { readonly kind: 'joined' }
  | Failed<'not-joined'>
  /** So many peers are new, changed, as before, gone. */
  | {
      readonly kind: 'config-read';
      readonly added: number;
      readonly changed: number;
      readonly kept: number;
      readonly removed: number;
    }
  /** What is said about options, in words. */
  | { readonly kind: 'config-warning'; readonly words: string }
  | Failed<'config-refused'>
  /** The most talkative level that is logged. */
  | { readonly kind: 'log-level'; readonly level: LogLevel; readonly before: LogLevel }
  /** A command of the operator. */
  | ({ readonly kind: 'hook-failed'; readonly hook: HookName } & Failure)
  /** The operator's command refuses a peer, or could not say that it may come in. */
  | ({ readonly kind: 'turned-away'; readonly remote: Endpoint } & Failure)
  /** Too many wait, or the tunnel ends. */
  | { readonly kind: 'hook-left-out'; readonly hook: HookName }
  | { readonly kind: 'reauthenticating' }
  | Failed<'not-reauthenticating'>
  | Failed<'not-recorded'>
  | { readonly kind: 'run-directory-remade' }
  | Failed<'run-directory-lost'>
  /** Root alone can ask for the tunnel's status: this system has no such group; `asked`: by the config. */
  | { readonly kind: 'no-status-group'; readonly group: string; readonly asked: boolean }
  | (Failed<'not-shared'> & { readonly group: string });

/** What goes wrong, and right again, where the daemon carries out what sessions want. */
type OfWork =
  /** Somebody changed what is the plane's. */
  | { readonly kind: 'disturbed'; readonly what: string; readonly repaired: boolean }
  /** An ICMP error about a packet of ours; anybody may have sent it. */
  | { readonly kind: 'network-says'; readonly remote: Endpoint; readonly says: IcmpError }
  | ({ readonly kind: 'route-not-found'; readonly remote: OuterIp } & Failure)
  | Failed<'route-not-refreshed'>
  /** There is a device of the name that `fou-dev` says again. */
  | { readonly kind: 'device-back'; readonly device: string }
  /** The plane refuses: so many times in a row; it is asked again after a pause. */
  | ({
      readonly kind: 'plane-refuses';
      readonly work: 'not-pointed' | 'not-evicted';
      readonly failures: number;
      readonly retryAfter: Millis;
    } & Failure)
  | { readonly kind: 'plane-obeys'; readonly failures: number }
  | ({ readonly kind: 'mtu-not-set'; readonly mtu: number | undefined } & Failure)
  | Failed<'counters-not-read'>
  /** `again`: the same has been told and goes on. */
  | ({ readonly kind: 'not-sent'; readonly purpose: string; readonly again: boolean } & Failure)
  | Failed<'probe-not-sent'>
  | { readonly kind: 'sends-again' }
  | { readonly kind: 'memory-damaged'; readonly error: string }
  | ({ readonly kind: 'not-remembered'; readonly again: boolean } & Failure)
  | { readonly kind: 'remembers-again' };

/** What makes services behind a client reachable. */
type OfReach =
  /** Visitors of that service are sent on to the peer, or no longer. */
  | { readonly kind: 'exposed'; readonly service: string }
  | { readonly kind: 'unexposed'; readonly service: string }
  /** Something on this host listens there. */
  | { readonly kind: 'shadowed'; readonly service: string; readonly listener: Endpoint }
  /** Something on this host listens there, and goes on to be reached: `tcp/22`. */
  | { readonly kind: 'left-out'; readonly service: string; readonly ports: readonly string[] }
  /** Another tunnel of this host exposes the same: visitors reach that of which the kernel asks the rules first. */
  | { readonly kind: 'exposed-twice'; readonly service: string; readonly device: string }
  /** A setting of the kernel's, by the name that sysctl(8) has for it. */
  | {
      readonly kind: 'host-setting';
      readonly setting: string;
      readonly value: string;
      readonly before: string;
    }
  | ({
      readonly kind: 'host-setting-refused';
      readonly setting: string;
      readonly value: string;
    } & Failure)
  /** What comes by the tunnel is answered by it: `mark` as nft writes it. */
  | { readonly kind: 'return-path'; readonly table: number; readonly mark: string }
  /** What allowed-ips names goes into the tunnel, and by which table. */
  | { readonly kind: 'led-in'; readonly what: string }
  | { readonly kind: 'dns-set'; readonly by: string; readonly servers: string }
  | Failed<'dns-not-set'>
  | { readonly kind: 'masquerading' }
  /** What does not fit the path goes in fragments. */
  | { readonly kind: 'outer-fragments' }
  /** Nothing leaves this host but by the tunnel, also though that has failed, or what other rules permit again. */
  | { readonly kind: 'kill-switch'; readonly state: 'on' | 'off' | 'stays' };

/** What a session tells. */
export type SessionTold = Common | OfSecure | OfServer | OfClient;
export type TunnelEvent = SessionTold | OfDaemon | OfWork | OfReach;
export type EventKind = TunnelEvent['kind'];
export type EventOf<Kind extends EventKind> = Extract<TunnelEvent, { readonly kind: Kind }>;
