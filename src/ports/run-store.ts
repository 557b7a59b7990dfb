import type { Path } from '../core/addr.ts';
import type { PeerConfig, PeerId, TunnelConfig } from '../core/config/tunnel-config.ts';
import type { KeptSession } from '../core/session/secure/state.ts';
import type { SessionMemory } from '../core/session/types.ts';
import type { Millis } from '../core/units.ts';
import type { PlaneName } from './data-plane.ts';

/** A process, told apart from a later one with the same number by its start time. */
export type ProcessId = {
  readonly pid: number;
  /** Field 22 of /proc/PID/stat: clock ticks after boot. */
  readonly startTime: string;
};

/** The letter of proc(5): `S` sleeps, `R` runs, `D` waits for the kernel, `T` is stopped. */
export type ProcessState = string;

/** What a running tunnel leaves in its run directory for `show`, `down` and the next run. */
export type RunRecord = {
  readonly process: ProcessId;
  /**
   * The config without its secrets, so that a later run can clean up without the file; without its
   * peers where there are several.
   */
  readonly config: TunnelConfig;
  /** Absolute path of the config file; undefined when options came from the command line only. */
  readonly configPath: string | undefined;
  /** Where its log goes: the absolute path of a file, `journal`, or `stderr`. */
  readonly log: string;
  readonly plane: PlaneName;
  /** Why not the best plane, or that it was asked for; undefined where it is just the best. */
  readonly planeReason: string | undefined;
  /** What the daemon is doing: before and after `up` nobody listens at the control socket. */
  readonly life: 'starting' | 'up' | 'ending';
  /** Unix time of the start. */
  readonly since: Millis;
  /** A sole peer's path when the record was written, for `show` after the daemon died. */
  readonly path: Path | undefined;
  /** What the plane wrote down (PlaneJournal). */
  readonly journal: unknown;
  /** What was changed of the host around the tunnel (ReachContext.journal); undefined = nothing. */
  readonly reach?: unknown;
};

/** A run directory as somebody else sees it. */
export type RunEntry = {
  readonly device: string;
  readonly record: RunRecord;
  /** Undefined when the recorded process lives no more. */
  readonly state: ProcessState | undefined;
  /** Its socket: the one for root, or that which only tells, to who may speak there alone. */
  readonly controlPath: string;
};

/** The one daemon's hold on a tunnel device of a network namespace. */
export interface RunClaim {
  /** What a daemon that no longer lives left here. */
  readonly previous: RunRecord | undefined;
  readonly controlPath: string;
  /** Where those listen to the daemon who may only be told. */
  readonly statusPath: string;
  readonly process: ProcessId;
  /**
   * Lets a group see the record and what lies at `statusPath`, undefined: nobody but root. Throws when that cannot
   * be; it is nobody then.
   */
  share(group: number | undefined): void;
  /** What the earlier run kept of its sessions, and what this one does. */
  sessions(): SessionKeeper;
  /** Replaces the record as a whole. */
  write(record: RunRecord): void;
  /** Whether the directory, and all that a running daemon has there, is still there. */
  intact(): boolean;
  /** Makes the directory anew; throws when somebody else has the device by now. */
  renew(): void;
  /**
   * Lets go: `remove` deletes the directory, `keep` leaves the record for a later clean-up.
   */
  release(mode: 'remove' | 'keep'): void;
}

/** What runs in this process's network namespace, by its run directories. */
export interface RunList {
  /** Every tunnel device with a record, in the order of their names. */
  list(): readonly RunEntry[];
  find(device: string): RunEntry | undefined;
  /** Undefined when this very process lives no more. */
  stateOf(process: ProcessId): ProcessState | undefined;
}

/** The same, for who runs a tunnel there. */
export interface RunStore extends RunList {
  /** Takes a device; throws an IpipouError that names the process which has it. */
  claim(device: string): RunClaim;
}

/**
 * Sessions that a run leaves for the next one of the same tunnel: in memory of the machine (tmpfs), for root
 * alone, and gone with it. Holds secrets. Nothing here throws: what cannot be kept is agreed on anew.
 */
export interface SessionKeeper {
  load(peer: PeerId): KeptSession | undefined;
  /** Undefined: there is none any more. */
  keep(peer: PeerId, record: KeptSession | undefined): void;
}

/** What must outlive reboots: replay protection and the last remote, of each peer of a tunnel. */
export interface MemoryStore {
  /**
   * Reads what is remembered, by whatever name of the tunnel or its peers it was written, and writes it
   * anew, with room for every peer: rejects when that cannot be done. What is damaged is set aside and
   * replaced by memory that accepts nothing signed before `now`, so that a damaged disk does not reopen
   * the door to captured packets. `remotes`: who was admitted counts.
   */
  open(
    config: TunnelConfig,
    options: { readonly now: Millis; readonly remotes: boolean },
  ): Promise<MemoryJournal>;
}

/** The memory of one tunnel. Only `flush` touches the disk, and never on the event loop. */
export interface MemoryJournal {
  /** What was unusable, in words. */
  readonly damage: readonly string[];
  load(peer: PeerConfig): SessionMemory | undefined;
  /**
   * Takes over what other tunnels' journals say by now of peers that come. It reads them on the event
   * loop: a second for a hundred thousand peers.
   */
  learn(peers: readonly PeerConfig[]): void;
  /** Takes memory to be written by the next `flush`. */
  note(peer: PeerConfig, memory: SessionMemory): void;
  /** Notes that a peer is gone: nobody is remembered, and what protects from replays stays. */
  forget(peer: PeerConfig): void;
  /** Resolves when all that was noted is on the disk; rejects when it could not be written. */
  flush(): Promise<void>;
  /** After writes in hand. What was noted since the last `flush` is lost. */
  close(): Promise<void>;
}
