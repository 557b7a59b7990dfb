import type { TunnelConfig } from '../core/config/tunnel-config.ts';
import type { TrafficCounts, TunnelStatus } from '../ports/control.ts';
import { DEFAULT_PEER, type PeerCounters } from '../ports/data-plane.ts';
import type { RunRecord } from '../ports/run-store.ts';
import type { Driver } from './driver.ts';

/** Everything `show` prints of a running tunnel. Rejects when the plane cannot be asked. */
export async function tunnelStatus(
  config: TunnelConfig,
  record: RunRecord,
  driver: Driver,
): Promise<TunnelStatus> {
  const { description, counters } = await driver.exclusive(async (plane) => ({
    description: await plane.describe(),
    counters: driver.path === undefined ? undefined : await plane.counters(DEFAULT_PEER),
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
    innerPeerIp: config.inner.peerIp,
    localPort: config.outer.localPort,
    remote: formatRemote(config),
    localAlt: description.localAlt,
    phase: session.phase,
    path: session.path,
    authenticatedAt: session.authenticatedAt,
    lastHeardAt: session.lastHeardAt,
    rememberedUntil: session.rememberedUntil,
    keepalive: config.timers.keepalive,
    traffic: counters && trafficCounts(counters),
    refused: session.refused,
    refusedBelow:
      description.refusedPackets === undefined ? undefined : Number(description.refusedPackets),
    authPacketsSent: session.authPacketsSent,
    repliesVerified: session.repliesVerified,
    troubles,
  };
}

function formatRemote({ outer }: TunnelConfig): string | undefined {
  if (outer.remoteHost === undefined) return undefined;
  return outer.remotePort === undefined
    ? outer.remoteHost
    : `${outer.remoteHost}:${outer.remotePort}`;
}

function trafficCounts(counters: PeerCounters): TrafficCounts {
  return {
    rxPackets: Number(counters.rxPackets),
    rxBytes: Number(counters.rxBytes),
    txPackets: Number(counters.txPackets),
    txBytes: Number(counters.txBytes),
  };
}
