import type { Proof } from '../core/config/tunnel-config.ts';
import type { SessionCrypto } from '../core/session/types.ts';
import type { Clock } from '../ports/clock.ts';
import type { ConfigStore } from '../ports/config-store.ts';
import type { ControlClient, ControlListener, TrafficCounts } from '../ports/control.ts';
import type { OutgoingControl, PlaneFactory } from '../ports/data-plane.ts';
import type { HookRunner } from '../ports/hooks.ts';
import type { HostNetwork, Resolver } from '../ports/host-network.ts';
import type { HostInspection } from '../ports/inspection.ts';
import type { Notify } from '../ports/notify.ts';
import type { ReachHost } from '../ports/reach.ts';
import type { MemoryStore, RunList, RunStore } from '../ports/run-store.ts';

/** One statement about this machine that no single data plane makes. */
export type Fact = { readonly what: string; readonly met: boolean; readonly detail: string };

/** What a command needs that only looks at tunnels and asks their daemons. */
export type Daemons = {
  readonly runs: RunList;
  readonly control: ControlClient;
  readonly clock: Clock;
  /** Inner traffic of a network device, whoever made it; undefined when there is none. */
  readonly deviceCounters: (device: string) => TrafficCounts | undefined;
  /** Begins a new log file of a device, for a daemon in the background; its path. */
  readonly beginLogFile: (device: string) => string;
  /** Where such a file is. */
  readonly logFileOf: (device: string) => string;
};

/** Everything outside the process that commands use. */
export type Machine = Daemons & {
  /** In the order of preference. */
  readonly planes: readonly PlaneFactory[];
  readonly runs: RunStore;
  readonly memory: MemoryStore;
  readonly configs: ConfigStore;
  readonly control: ControlListener & ControlClient;
  readonly resolver: Resolver;
  readonly notify: Notify;
  readonly sessionCrypto: (proof: Proof) => SessionCrypto;
  readonly hooks: HookRunner;
  readonly reach: ReachHost;
  /** The number of a group of this system; undefined when there is none of that name. */
  readonly groupNumber: (name: string) => number | undefined;
  /** Addresses and routes; the caller closes it. */
  readonly openHost: () => HostNetwork & { close(): void };
  /** What else can be seen of this host; the caller closes it. */
  readonly openInspection: () => HostInspection;
  /** Sends one packet from a port that somebody else may have; throws with exit `sendAuth`. */
  readonly sendOnce: (packet: OutgoingControl, device: string | undefined) => void;
  readonly signalProcess: (pid: number, signal: 'SIGTERM' | 'SIGCONT') => void;
  /** From now on a crash leaves nothing of this process's memory, where secrets are. */
  readonly forbidCoreDumps: () => void;
  /** Node's version, capabilities, addresses. */
  readonly facts: () => readonly Fact[];
};
