import { solePeer } from '../core/config/peers.ts';
import type { TunnelConfig } from '../core/config/tunnel-config.ts';
import type { Clock } from '../ports/clock.ts';
import type { TunnelStatus } from '../ports/control.ts';
import type { RunRecord } from '../ports/run-store.ts';
import type { Driver } from './driver.ts';
import { formatRemote, sessionOf, trafficCounts } from './peer-status.ts';

/** Everything `show` prints of a running tunnel. Rejects when the plane cannot be asked. */
export async function tunnelStatus(
  config: TunnelConfig,
  record: RunRecord,
  driver: Driver,
  clock: Clock,
): Promise<TunnelStatus> {
  const peer = solePeer(config);
  const slot = driver.table.get(peer.id);
  if (slot === undefined) throw new RangeError(`no peer ${peer.id}`);
  const { description, counters } = await driver.exclusive(async (plane) => ({
    description: await plane.describe(),
    counters: slot.carried === undefined ? undefined : await plane.describePeer(peer.id),
  }));
  const session = sessionOf(driver, slot, clock);
  return {
    name: config.name,
    role: config.role,
    pid: record.process.pid,
    since: record.since,
    plane: record.plane,
    planeReason: record.planeReason,
    device: description.device,
    mtu: description.mtu,
    innerIp: config.inner.ip,
    innerPeerIp: peer.innerIp,
    localPort: config.outer.localPort,
    remote: formatRemote(peer),
    localAlt: counters?.localAlt,
    phase: session.phase,
    path: session.path,
    authenticatedAt: session.authenticatedAt,
    lastHeardAt: session.lastHeardAt,
    rememberedUntil: session.rememberedUntil,
    keepalive: peer.timers.keepalive,
    traffic: counters && trafficCounts(counters),
    refused: session.refused,
    refusedBelow: Number(Object.values(description.refused).reduce((sum, one) => sum + one, 0n)),
    authPacketsSent: session.authPacketsSent,
    repliesVerified: session.repliesVerified,
    troubles: driver.troubles,
  };
}
