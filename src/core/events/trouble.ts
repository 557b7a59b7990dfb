/**
 * What is wrong with a tunnel and lasts: it stands in the status as long as it does, and is told as an
 * event when it begins and, with growing pauses, while it goes on. Times are unix milliseconds.
 */
import type { Endpoint, Family, OuterIp } from '../addr.ts';
import type { Notice } from '../auth/refusal.ts';
import type { PeerId } from '../config/tunnel-config.ts';
import type { Integrity } from '../tag/types.ts';
import type { Millis } from '../units.ts';
import type { Undelivered } from '../wire/icmp-error.ts';

export type Trouble =
  /** Client, or a server with auth-by-remote-ip: the name has no address; `error`: what the resolver said. */
  | {
      readonly kind: 'unresolved';
      readonly host: string;
      readonly error: string | undefined;
    }
  /** All that the name has are addresses at which no other host can be. */
  | {
      readonly kind: 'unusable-address';
      readonly host: string;
      readonly address: OuterIp;
      readonly why: Unusable;
    }
  /** There is no way to the server; `others`: nor to these addresses of it, absent where it has no other. */
  | {
      readonly kind: 'no-route';
      readonly remote: OuterIp;
      readonly why: NoRoute | undefined;
      readonly others?: readonly { readonly remote: OuterIp; readonly why: NoRoute | undefined }[];
    }
  | { readonly kind: 'no-key' }
  /** There is no device of the name that `fou-dev` says. */
  | { readonly kind: 'device-missing'; readonly device: string }
  /**
   * `sent` requests since `since` have had no answer; `network`: what was said of them on the way. `others`:
   * addresses of the server that some of them went to, absent where all went to `remote`.
   */
  | {
      readonly kind: 'no-answer';
      readonly remote: Endpoint;
      readonly others?: readonly OuterIp[];
      readonly since: Millis;
      readonly sent: number;
      readonly network: Undelivered | undefined;
    }
  /** The server says, signed, that it refuses this client, and why. */
  | { readonly kind: 'server-refuses'; readonly notice: Notice }
  /** Server: one proof comes from two places by turns. */
  | { readonly kind: 'shared-key'; readonly remote: Endpoint; readonly other: Endpoint }
  /** Client: the path's size is not probed though it should be. */
  | { readonly kind: 'unprobed'; readonly why: Unprobed }
  /** The path takes inner packets of so many bytes, too few for IPv6, which is not carried to this peer. */
  | { readonly kind: 'ipv6-off'; readonly mtu: number }
  /** Client: what is to prove every packet was not agreed on: the server does not do `level`, or the plane here. */
  | {
      readonly kind: 'integrity-refused';
      readonly level: Integrity;
      readonly by: 'server' | 'plane';
    }
  /** The plane refuses what it is told; `error`: in the kernel's words. */
  | { readonly kind: 'not-pointed'; readonly error: string }
  | { readonly kind: 'not-evicted'; readonly error: string }
  /** A prefix is not led to the peer, since another route of the host has it; `device`: out of which that leads. */
  | {
      readonly kind: 'prefix-taken';
      readonly prefix: string;
      readonly device: string | undefined;
    }
  /** So many more prefixes are. */
  | { readonly kind: 'more-taken'; readonly prefixes: number }
  /** So many more peers are refused. */
  | { readonly kind: 'more-refused'; readonly peers: number }
  | { readonly kind: 'not-sent'; readonly purpose: string; readonly error: string }
  | { readonly kind: 'not-remembered'; readonly error: string };

export type TroubleKind = Trouble['kind'];
export type TroubleOf<Kind extends TroubleKind> = Extract<Trouble, { readonly kind: Kind }>;

/** A trouble as the status has it: its values, and its words. `peer`: whose it is, where there are several. */
export type TroubleReport = Trouble & {
  readonly words: string;
  readonly peer?: PeerId | undefined;
};

/** Why an address is no other host's: see usable-address.ts; `own`: it is this host's. */
export type Unusable =
  'unspecified' | 'loopback' | 'link-local' | 'multicast' | 'broadcast' | 'own';

/** Why there is no way to a remote. */
export type NoRoute =
  | { readonly kind: 'missing'; readonly device: string | undefined }
  /** The device has no address to send from. */
  | { readonly kind: 'no-address'; readonly device: string }
  /** The config leaves its family out (fou-family, fou-local-ip). */
  | { readonly kind: 'not-wanted'; readonly family: Family }
  /** There may be one through a translator of the network's (NAT64), to which the kill switch lets nothing out. */
  | { readonly kind: 'kept-in' }
  /** The route leads into the tunnel itself. */
  | { readonly kind: 'loop'; readonly device: string };

/** `unsigned`: requests cannot be padded; the others: how the server answers. */
export type Unprobed = 'unsigned' | 'padding' | 'unanswered';
