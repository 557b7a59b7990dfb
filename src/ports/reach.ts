import type { OuterIp } from '../core/addr.ts';
import type { PeerConfig, PeerId, TunnelConfig } from '../core/config/tunnel-config.ts';
import type { ExposingPeer } from '../core/reach/services.ts';
import type { PlaneJournal } from './data-plane.ts';
import type { Tell } from './tell.ts';

/** What one exposed service has seen. */
export type ExposureCounts = {
  readonly peer: PeerId;
  /** As the option spells it. */
  readonly service: string;
  /** Connections that began since the tunnel came up. */
  readonly connections: number;
  /** New connections beyond its limits. */
  readonly refused: number;
  /** Of packets that this host has forwarded, both ways. */
  readonly packets: number;
  readonly bytes: number;
  /** Whether something on this host listens there, which visitors no longer reach. */
  readonly shadows: boolean;
  /** Ports that `all` leaves to this host, where something listens there, as `tcp/22`. */
  readonly leavesOut: readonly string[];
};

/** Another tunnel of this network namespace, as its run directory has it. */
export type OtherReach = {
  readonly device: string;
  /** Whether its daemon lives. */
  readonly running: boolean;
  /** What its ReachContext.journal holds. */
  readonly reach: unknown;
};

export type ReachContext = {
  readonly config: Pick<
    TunnelConfig,
    'role' | 'inner' | 'outer' | 'returnPath' | 'table' | 'killSwitch' | 'dns' | 'masquerade'
  >;
  /** What is about to be changed of the host is written down here before; undefined = nothing is. */
  readonly journal: PlaneJournal;
  /** What others have changed of the same host. */
  readonly others: () => readonly OtherReach[];
  readonly tell: Tell;
};

/** How services behind a client are reached: rules and settings of this host around the tunnel device. */
export interface Reach {
  /**
   * Server: sends visitors of what these peers expose to them, and of nothing else. Client: has the public addresses
   * that they name. Nothing is changed when it rejects with an IpipouError of its own.
   */
  expose(peers: readonly ExposingPeer[]): Promise<void>;
  counts(): readonly ExposureCounts[];
  /** Client: leads what its peer is allowed into the tunnel as `table` says, once it is known what must stay outside. */
  lead(peers: readonly PeerConfig[]): Promise<void>;
  /** Before an address is sent to outside: it will never be reached through the tunnel. */
  keepOutside(ip: OuterIp): Promise<void>;
  /** Does work that asks name servers: it must not need the tunnel. */
  lookingUp<T>(work: () => Promise<T>): Promise<T>;
  /** What this host has around the tunnel, in words for `show`. */
  facts(): readonly string[];
  /** Takes everything back. */
  close(): Promise<void>;
}

/** Lets nothing leave this host but by a tunnel. */
export interface KillSwitchGuard {
  /** These peers' own addresses and ports are where the tunnel's packets may go. Throws as nft does; nothing changed then. */
  allow(peers: readonly PeerConfig[]): void;
  facts(): readonly string[];
  /** The tunnel is taken down in order. */
  remove(): void;
  /** It has failed: the rules stay, until somebody takes it down. */
  leave(): void;
}

export interface ReachHost {
  /** Rejects with an IpipouError where this host lacks what the config asks for; changes nothing. */
  require(config: ReachContext['config']): Promise<void>;
  /** Before anything is sent. Throws an IpipouError. */
  killSwitch(context: ReachContext, peers: readonly PeerConfig[]): KillSwitchGuard;
  /**
   * Goes on from what an earlier run has left, and on a client with `return-path tunnel` has what came by the
   * tunnel answered by it. Rejects with an IpipouError.
   */
  open(context: ReachContext): Promise<Reach>;
  /** Takes away what a run that is dead has left. */
  clean(context: ReachContext): Promise<void>;
}
