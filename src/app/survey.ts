import type { Ipv4, Path } from '../core/addr.ts';
import { IpipouError } from '../core/errors.ts';
import type { Millis } from '../core/units.ts';
import type { ControlClient, PeerStatus, TrafficCounts, TunnelStatus } from '../ports/control.ts';
import type { PlaneName } from '../ports/data-plane.ts';
import type { RunEntry } from '../ports/run-store.ts';
import { askDaemon } from './ask-daemon.ts';

/* What `show` knows: asked of a tunnel's daemon, or read from the run record where there is none. */

export type LivingTunnel = TunnelStatus & {
  readonly alive: true;
  readonly configPath: string | undefined;
  /** Those that were asked for. */
  readonly peers: readonly PeerStatus[];
};

/** A tunnel whose daemon was killed. */
export type DeadTunnel = {
  readonly alive: false;
  readonly name: string;
  readonly role: 'server' | 'client';
  readonly device: string;
  readonly plane: PlaneName;
  readonly planeReason: string;
  readonly pid: number;
  readonly since: Millis;
  readonly configPath: string | undefined;
  readonly innerIp: Ipv4;
  /** Undefined where there are several peers, of which a dead daemon's record says nothing. */
  readonly innerPeerIp: Ipv4 | undefined;
  readonly path: Path | undefined;
  /** Whether the kernel still carries packets of those who were admitted. */
  readonly forwarding: boolean;
  readonly traffic: TrafficCounts | undefined;
};

export type SurveyPorts = {
  readonly control: ControlClient;
  /** Inner traffic of a network device, whoever made it; undefined when there is none. */
  readonly deviceCounters: (device: string) => TrafficCounts | undefined;
};

/** Asks a tunnel's daemon, or tells what a dead one left. Rejects when a living one cannot be asked. */
export async function surveyTunnel(
  entry: RunEntry,
  ports: SurveyPorts,
  howMany: (status: TunnelStatus) => number,
): Promise<LivingTunnel | DeadTunnel> {
  if (!entry.alive) return describeDead(entry, ports);
  const { status } = await askDaemon(entry, ports.control, { request: 'status' });
  if (!status) throw new IpipouError('generic', `${entry.device}: it gave no status`);
  const peers = await askPeers(entry, ports, Math.min(howMany(status), status.peerCount));
  return { alive: true, configPath: entry.record.configPath, ...status, peers };
}

/** At most so many of the peers, the first ones. */
async function askPeers(
  entry: RunEntry,
  ports: SurveyPorts,
  most: number,
): Promise<readonly PeerStatus[]> {
  const found: PeerStatus[] = [];
  while (found.length < most) {
    const after = found.at(-1)?.id;
    const request = { request: 'peers', ...(after !== undefined && { after }) } as const;
    const { peers = [], more = false } = await askDaemon(entry, ports.control, request);
    for (const peer of peers) found.push(peer);
    if (!more) break;
  }
  return found.slice(0, most);
}

/** What is known without the daemon: its record, and the kernel's device. */
function describeDead({ device, record }: RunEntry, { deviceCounters }: SurveyPorts): DeadTunnel {
  const counts = deviceCounters(device);
  const { config } = record;
  const [sole] = config.peers;
  return {
    alive: false,
    name: config.name,
    role: config.role,
    device,
    plane: record.plane,
    planeReason: record.planeReason,
    pid: record.process.pid,
    since: record.since,
    configPath: record.configPath,
    innerIp: config.inner.ip,
    innerPeerIp: sole?.innerIp,
    path: record.path,
    // Only what is in the kernel goes on without user space, and only towards admitted peers; of
    // several of them the record says nothing.
    forwarding:
      record.plane !== 'tun' &&
      counts !== undefined &&
      (record.path !== undefined || sole === undefined),
    // What programs of the `bpf` plane take passes the device's own counters by.
    traffic: record.plane === 'bpf' ? undefined : counts,
  };
}
