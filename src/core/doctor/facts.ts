/** What checks look at: gathered of one tunnel, whether it runs or not, and of the host around it. */
import type { Family, InnerIp, OuterIp, Path } from '../addr.ts';
import type { PeerId, TunnelConfig } from '../config/tunnel-config.ts';
import type { NoRoute, TroubleReport } from '../events/trouble.ts';
import type { Chain } from '../firewall/chains.ts';
import type { PublicKey } from '../public-key.ts';
import type { SecureStatus } from '../session/secure/state.ts';
import type { Millis } from '../units.ts';

export type TunnelFacts = {
  readonly config: TunnelConfig;
  /** What its daemon says of it; a text where there is one that does not answer; undefined where none runs. */
  readonly daemon: DaemonFacts | { readonly silent: string; readonly hint: string } | undefined;
  /** Names of other sides, with what they resolve to; addresses are their own. */
  readonly names: readonly NameFacts[];
  readonly ways: readonly WayFacts[];
  /** `fou-dev`, or else the device that the first way leads out of. */
  readonly device: DeviceFacts | undefined;
  /** Sockets that have the tunnel's own UDP port. */
  readonly holders: readonly PortHolder[];
  readonly firewall: FirewallFacts;
  /** Settings below /proc/sys by their names, those that there are. */
  readonly settings: ReadonlyMap<string, string>;
  /** Whether the kernel says that its clock is kept right; undefined = it does not tell. */
  readonly clockKept: boolean | undefined;
  readonly keys: KeyFacts;
  readonly planes: readonly PlaneFacts[];
};

export type DaemonFacts = {
  readonly pid: number;
  readonly plane: string;
  /** Of the tunnel device. */
  readonly mtu: number;
  readonly establishedCount: number;
  readonly peerCount: number;
  /** The first ones. */
  readonly peers: readonly PeerFacts[];
  readonly troubles: readonly TroubleReport[];
};

export type PeerFacts = {
  readonly id: PeerId;
  readonly phase: string;
  readonly path: Path | undefined;
  readonly authenticatedAt: Millis | undefined;
  readonly lastHeardAt: Millis | undefined;
  readonly mtu: number | undefined;
  /** Of a client that speaks session 2: where the server sees it, and for how long. */
  readonly session?: Pick<SecureStatus, 'observed' | 'mapping'> | undefined;
};

export type NameFacts = {
  readonly host: string;
  /** For each family that the tunnel may run over. */
  readonly families: readonly {
    readonly family: Family;
    readonly addresses: readonly OuterIp[];
    /** Why there are none. */
    readonly error: string | undefined;
  }[];
};

export type WayFacts = {
  readonly remote: OuterIp;
  readonly port: number | undefined;
  /** Whether it is an address of this host. */
  readonly own: boolean;
  readonly way:
    | {
        readonly source: OuterIp;
        readonly device: string;
        /** Of the route, outer bytes. */
        readonly mtu: number;
        /** What the kernel has learnt of the path, where that is less. */
        readonly learnt: number | undefined;
      }
    | { readonly why: NoRoute };
  /** The device that packets would take were `fou-dev` not set; undefined where it is not. */
  readonly unbound: string | undefined;
};

export type DeviceFacts = {
  readonly name: string;
  readonly exists: boolean;
  readonly up: boolean;
  readonly addresses: readonly OuterIp[];
};

export type PortHolder = {
  readonly ip: OuterIp;
  /** Undefined: the kernel itself, or a process that may not be looked at. */
  readonly process:
    { readonly pid: number; readonly name: string; readonly unit: string | undefined } | undefined;
};

export type FirewallFacts = {
  readonly chains: readonly Chain[];
  /** What could not be read, and why. */
  readonly unread: readonly string[];
};

export type KeyFacts = {
  /** The public key of each peer's own private key, where there is one. */
  readonly own: ReadonlyMap<PeerId, PublicKey>;
  /** Configs that may be the other end's. */
  readonly ends: readonly OtherEnd[];
};

/** Another config that is here. */
export type OtherEnd = {
  readonly path: string;
  readonly role: 'server' | 'client';
  readonly innerIps: readonly InnerIp[];
  readonly peers: readonly {
    readonly id: PeerId;
    readonly innerIps: readonly InnerIp[];
    readonly own: PublicKey | undefined;
    readonly other: PublicKey | undefined;
    readonly secret: Uint8Array | undefined;
  }[];
};

export type PlaneFacts = {
  readonly name: string;
  readonly missing: readonly {
    readonly what: string;
    readonly detail: string;
    readonly fix: string | undefined;
  }[];
};
