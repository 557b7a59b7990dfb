import { solePeer } from '../core/config/peers.ts';
import type { PeerConfig, TunnelConfig } from '../core/config/tunnel-config.ts';
import type { TrafficCounts, TunnelStatus } from '../ports/control.ts';
import type { PeerCounters } from '../ports/data-plane.ts';
import type { RunRecord } from '../ports/run-store.ts';
import type { Driver } from './driver.ts';

/** Everything `show` prints of a running tunnel. Rejects when the plane cannot be asked. */
export async function tunnelStatus(
  config: TunnelConfig,
  record: RunRecord,
  driver: Driver,
): Promise<TunnelStatus> {
  const peer = solePeer(config);
  const { description, counters } = await driver.exclusive(async (plane) => ({
    description: await plane.describe(),
    counters: driver.path === undefined ? undefined : await plane.describePeer(peer.id),
  }));
  const { session, troubles } = driver.status();
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
    troubles,
  };
}

function formatRemote({ remoteHost, remotePort }: PeerConfig): string | undefined {
  if (remoteHost === undefined) return undefined;
  return remotePort === undefined ? remoteHost : `${remoteHost}:${remotePort}`;
}

function trafficCounts(counters: PeerCounters): TrafficCounts {
  return {
    rxPackets: Number(counters.rxPackets),
    rxBytes: Number(counters.rxBytes),
    txPackets: Number(counters.txPackets),
    txBytes: Number(counters.txBytes),
  };
}
