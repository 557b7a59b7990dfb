import type { TunnelConfig } from '../../core/config/tunnel-config.ts';
import type { TroubleReport } from '../../core/events/trouble.ts';
import type { Clock } from '../../ports/clock.ts';
import type { PeerStatus, TunnelStatus } from '../../ports/control.ts';
import type { RunRecord } from '../../ports/run-store.ts';
import type { Driver } from '../driver.ts';
import { numbers, peerStatus, waitingPhase } from './peer-status.ts';
import { takenTroubles } from './taken-prefixes.ts';

/**
 * Everything `show` prints of a running tunnel, and of its peer if it has one only. Rejects when the
 * plane cannot be asked.
 */
export async function tunnelStatus(
  config: TunnelConfig,
  record: RunRecord,
  driver: Driver,
  clock: Clock,
): Promise<TunnelStatus> {
  const { table } = driver;
  const [first] = table.directory.size === 1 ? table.directory.entries() : [];
  const { description, peer } = await driver.exclusive(async (plane) => ({
    description: await plane.describe(),
    peer: first && (await peerStatus(driver, plane, first, clock)),
  }));
  return {
    name: config.name,
    role: config.role,
    pid: record.process.pid,
    since: record.since,
    plane: record.plane,
    planeReason: record.planeReason,
    device: description.device,
    mtu: peer?.mtu ?? description.mtu,
    innerIps: config.inner.ips,
    peerCount: table.directory.size,
    establishedCount: driver.count.established,
    peer: peer?.id,
    innerPeerIps: peer?.innerIps,
    localPort: config.outer.localPort,
    remote: peer?.remote,
    localAlt: peer?.localAlt,
    phase: peer?.phase ?? phaseOfMany(config.role, driver.count.established),
    path: peer?.path,
    authenticatedAt: peer?.authenticatedAt,
    lastHeardAt: peer?.lastHeardAt,
    rememberedUntil: peer?.rememberedUntil,
    keepalive: peer?.keepalive,
    traffic: peer?.traffic,
    refused: addCounts(table.refused, peer?.refused ?? {}),
    refusedBelow: numbers(description.refused),
    authPacketsSent: peer?.authPacketsSent ?? 0,
    repliesVerified: peer?.repliesVerified ?? 0,
    requestsAccepted: peer?.requestsAccepted ?? 0,
    session: peer?.session,
    troubles: onceEach([
      ...driver.troubles,
      ...takenTroubles(description.taken, table.directory.size > 1),
      ...(peer?.troubles ?? []),
    ]),
  };
}

/** What is wrong with the sole peer is said of it, and of the tunnel. */
function onceEach(troubles: readonly TroubleReport[]): readonly TroubleReport[] {
  const keys = new Set<string>();
  return troubles.filter(({ peer, words }) => {
    const key = `${peer ?? ''} ${words}`;
    const first = !keys.has(key);
    keys.add(key);
    return first;
  });
}

function phaseOfMany(role: TunnelConfig['role'], established: number): PeerStatus['phase'] {
  return established > 0 ? 'established' : waitingPhase(role);
}

type Counts = Readonly<Partial<Record<string, number>>>;

function addCounts(some: Counts, others: Counts): Readonly<Record<string, number>> {
  const sum: Record<string, number> = {};
  for (const counts of [some, others]) {
    for (const [reason, count = 0] of Object.entries(counts)) {
      sum[reason] = (sum[reason] ?? 0) + count;
    }
  }
  return sum;
}
