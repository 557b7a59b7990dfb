import { formatEndpoint, formatPrefix, parseOuterIp } from '../../core/addr.ts';
import type { PeerConfig, PeerId } from '../../core/config/tunnel-config.ts';
import { IpipouError } from '../../core/errors.ts';
import { reportTrouble } from '../../core/events/trouble-words.ts';
import { createSession, sessionStatus, type SessionState } from '../../core/session/step.ts';
import type { SessionConfig, SessionStatus } from '../../core/session/types.ts';
import { toMillis, type Instant } from '../../core/units.ts';
import type { Clock } from '../../ports/clock.ts';
import type { PeerStatus, TrafficCounts } from '../../ports/control.ts';
import type { DataPlane, PeerCounters, PeerDescription } from '../../ports/data-plane.ts';
import type { Driver } from '../driver.ts';
import { PEERS_TOLD } from '../limits.ts';
import type { PeerSlot } from '../peer-slot.ts';
import { takenTroubles } from './taken-prefixes.ts';

/** What all sessions of a role begin with. Making one takes ten times as long as all else that is told of a peer. */
const unbegun = new Map<SessionConfig['role'], SessionState>();

function unbegunSession(config: SessionConfig, now: Instant): SessionState {
  const made = unbegun.get(config.role);
  if (made) return made;
  const state = createSession(config, now);
  unbegun.set(config.role, state);
  return state;
}

/** What a peer's session says of itself now; of one that has not begun, what it would begin with. */
export function sessionOf(driver: Driver, slot: PeerSlot, clock: Clock): SessionStatus {
  const config = driver.table.configOf(slot);
  const now = clock.now();
  return sessionStatus(config, slot.state ?? unbegunSession(config, now), now);
}

/**
 * Up to `limit` peers after the one named, in the order in which they came into the config. Rejects
 * when the named one is gone, and as the plane does.
 */
export function peerStatuses(
  driver: Driver,
  after: PeerId | undefined,
  limit: number,
  clock: Clock,
): Promise<readonly PeerStatus[]> {
  return driver.exclusive(async (plane) => {
    const statuses: PeerStatus[] = [];
    for (const slot of slotsAfter(driver, after, Math.min(limit, PEERS_TOLD))) {
      statuses.push(await peerStatus(driver, plane, slot, clock));
    }
    return statuses;
  });
}

function slotsAfter(driver: Driver, after: PeerId | undefined, limit: number): readonly PeerSlot[] {
  const { directory } = driver.table;
  const last = after === undefined ? undefined : directory.get(after);
  if (after !== undefined && last === undefined) {
    throw new IpipouError('arguments', `there is no peer ${after} any more`, {
      hint: 'ask again from the beginning',
    });
  }
  const found: PeerSlot[] = [];
  for (const slot of directory.entriesAfter(last)) {
    if (found.length >= limit) break;
    found.push(slot);
  }
  return found;
}

/** One peer; undefined when there is none of that name. Rejects as the plane does. */
export function statusOfPeer(
  driver: Driver,
  id: PeerId,
  clock: Clock,
): Promise<PeerStatus | undefined> {
  return driver.exclusive(async (plane) => {
    const slot = driver.table.get(id);
    return slot && (await peerStatus(driver, plane, slot, clock));
  });
}

/** Everything that is told of one peer. For work that has the queue to itself. */
export async function peerStatus(
  driver: Driver,
  plane: DataPlane,
  slot: PeerSlot,
  clock: Clock,
): Promise<PeerStatus> {
  const { peer, carried } = slot;
  const description = carried === undefined ? undefined : await plane.describePeer(peer.id);
  if (description) await hear(driver, slot, description, clock);
  const session = sessionOf(driver, slot, clock);
  const { role } = driver.table.configOf(slot);
  const { phase, path, authenticatedAt, lastHeardAt, rememberedUntil } = session;
  return {
    id: peer.id,
    innerIps: peer.innerIps,
    allowedIps: peer.allowedIps === 'any' ? 'any' : peer.allowedIps.map(formatPrefix),
    remote: formatRemote(peer),
    localAlt: description?.localAlt,
    mtu: description?.mtu,
    phase: phase === 'established' && carried === undefined ? waitingPhase(role) : phase,
    path,
    authenticatedAt,
    lastHeardAt,
    rememberedUntil,
    keepalive: peer.timers.keepalive,
    traffic: description && trafficCounts(description),
    refused: { ...session.refused, ...numbers(description?.refused ?? {}) },
    authPacketsSent: session.authPacketsSent,
    repliesVerified: session.repliesVerified,
    requestsAccepted: session.requestsAccepted,
    session: session.secure,
    troubles: [
      ...session.troubles.map((trouble) => reportTrouble(trouble)),
      ...takenTroubles(description?.taken),
    ],
    ...(peer.invitedUntil !== undefined && { invitedUntil: toMillis(peer.invitedUntil) }),
  };
}

/** What is told while the plane carries nobody, though the session may be there: the disk or the plane is waited for. */
export function waitingPhase(role: SessionConfig['role']): SessionStatus['phase'] {
  return role === 'server' ? 'listening' : 'authenticating';
}

/** Of planes that know when data came: their peers are not looked at while nobody asks. */
async function hear(
  driver: Driver,
  slot: PeerSlot,
  { rxPackets, rxBytes, txPackets, txBytes, heardAt }: PeerDescription,
  clock: Clock,
): Promise<void> {
  if (heardAt === undefined || slot.state === undefined) return;
  const event = {
    kind: 'counters',
    counts: { rxPackets, rxBytes, txPackets, txBytes },
    heardAt,
  } as const;
  await driver.carryOut(driver.table.advance(slot, event, clock.now()));
}

/** Address and port, or name and port, that a config gives for the other side. */
export function formatRemote({ remoteHost, remotePort }: PeerConfig): string | undefined {
  if (remoteHost === undefined) return undefined;
  if (remotePort === undefined) return remoteHost;
  const literal = parseOuterIp(remoteHost);
  return literal
    ? formatEndpoint({ ip: literal, port: remotePort })
    : `${remoteHost}:${remotePort}`;
}

export function trafficCounts(counters: PeerCounters): TrafficCounts {
  return {
    rxPackets: Number(counters.rxPackets),
    rxBytes: Number(counters.rxBytes),
    txPackets: Number(counters.txPackets),
    txBytes: Number(counters.txBytes),
  };
}

/** Counts as a status has them. */
export function numbers(counts: Readonly<Record<string, bigint>>): Record<string, number> {
  return Object.fromEntries(Object.entries(counts).map(([key, count]) => [key, Number(count)]));
}
