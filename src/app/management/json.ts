import type { AnsweringTunnel, RecordedTunnel, Tunnel } from './survey.ts';
import type { FeedLine, PeerStatus, ToldEvent } from '../../ports/control.ts';

/*
 * What `show --json` prints, described in docs/JSON.md: a version, every key always there, null for what
 * there is not, times in milliseconds of unix time, durations in milliseconds.
 */

/** Of what both forms look like; a key that changes its meaning or goes makes it one more. */
const VERSION = 1;

export function tunnelsJson(tunnels: readonly Tunnel[]): string {
  return text({ version: VERSION, tunnels: tunnels.map(tunnelJson) });
}

export function peersJson(peers: readonly PeerStatus[]): string {
  return text({ version: VERSION, peers: peers.map(peerJson) });
}

/** A line of `events --json`; `text` as the log has it. */
export function eventJson(
  device: string,
  line: FeedLine,
  text: (told: ToldEvent) => string,
): string {
  if ('lost' in line) return `${JSON.stringify({ version: VERSION, device, ...line })}\n`;
  const { at, peer = null, kind, level, values } = line.told;
  const whole = { version: VERSION, at, device, peer, kind, level, text: text(line.told), values };
  return `${JSON.stringify(whole)}\n`;
}

/** Further peers of a tunnel behind those that it has; undefined where all are there. */
export type MorePeers = (tunnel: Tunnel) => AsyncIterable<readonly PeerStatus[]> | undefined;

/** The same text as `tunnelsJson` in pieces, for more peers than anybody holds at a time. */
export async function* tunnelsJsonInPieces(
  tunnels: readonly Tunnel[],
  more: MorePeers,
): AsyncGenerator<string> {
  const [head = '', tail = ''] = tunnelsJson([]).split('[]');
  yield `${head}[`;
  for (const [place, tunnel] of tunnels.entries()) {
    yield place === 0 ? '\n' : ',\n';
    const whole = indented(tunnelJson(tunnel), 4);
    const pages = more(tunnel);
    if (pages === undefined) {
      yield whole;
      continue;
    }
    yield whole.slice(0, -PEERS_END.length);
    for await (const peers of pages) {
      yield peers.map((peer) => `,\n${indented(peerJson(peer), 8)}`).join('');
    }
    yield PEERS_END;
  }
  yield tunnels.length === 0 ? `]${tail}` : `\n  ]${tail}`;
}

/** Of a tunnel that has peers, which are its last key. */
const PEERS_END = '\n      ]\n    }';

function indented(value: unknown, depth: number): string {
  return format(value).replaceAll(/^/gm, ' '.repeat(depth));
}

function text(value: unknown): string {
  return `${format(value)}\n`;
}

/** Undefined is null: a key never goes. */
function format(value: unknown): string {
  return JSON.stringify(value, (_, member: unknown) => member ?? null, 2);
}

/** Keys that only a daemon can answer for are undefined where it does not. */
type Known = Partial<Omit<AnsweringTunnel, 'daemon'> & Omit<RecordedTunnel, keyof AnsweringTunnel>>;

function tunnelJson(tunnel: Tunnel) {
  const known: Known = tunnel;
  return {
    device: tunnel.device,
    name: tunnel.name,
    role: tunnel.role,
    daemon: tunnel.daemon,
    why: known.why,
    hint: known.hint,
    pid: tunnel.pid,
    processState: known.processState,
    since: tunnel.since,
    configPath: tunnel.configPath,
    log: tunnel.log,
    plane: tunnel.plane,
    planeReason: tunnel.planeReason,
    mtu: known.mtu,
    innerIp: tunnel.innerIps[0],
    innerIps: tunnel.innerIps,
    forwarding: known.forwarding,
    peerCount: known.peerCount,
    establishedCount: known.establishedCount,
    peer: known.peer,
    innerPeerIp: tunnel.innerPeerIps?.[0],
    innerPeerIps: tunnel.innerPeerIps,
    localPort: known.localPort,
    remote: known.remote,
    localAlt: known.localAlt,
    phase: known.phase,
    path: tunnel.path,
    authenticatedAt: known.authenticatedAt,
    lastHeardAt: known.lastHeardAt,
    rememberedUntil: known.rememberedUntil,
    keepalive: inMillis(known.keepalive),
    traffic: tunnel.traffic,
    refused: known.refused,
    refusedBelow: known.refusedBelow,
    authPacketsSent: known.authPacketsSent,
    repliesVerified: known.repliesVerified,
    requestsAccepted: known.requestsAccepted,
    session: known.session,
    troubles: known.troubles,
    peers: known.peers?.map(peerJson),
  };
}

function peerJson(peer: PeerStatus) {
  return {
    id: peer.id,
    innerIp: peer.innerIps[0],
    innerIps: peer.innerIps,
    allowedIps: peer.allowedIps,
    remote: peer.remote,
    localAlt: peer.localAlt,
    mtu: peer.mtu,
    phase: peer.phase,
    path: peer.path,
    authenticatedAt: peer.authenticatedAt,
    lastHeardAt: peer.lastHeardAt,
    rememberedUntil: peer.rememberedUntil,
    keepalive: inMillis(peer.keepalive),
    traffic: peer.traffic,
    refused: peer.refused,
    authPacketsSent: peer.authPacketsSent,
    repliesVerified: peer.repliesVerified,
    requestsAccepted: peer.requestsAccepted,
    session: peer.session,
    troubles: peer.troubles,
    invitedUntil: peer.invitedUntil,
    exposed: peer.exposed?.map(({ peer: _peer, ...counts }) => counts),
  };
}

function inMillis(seconds: number | undefined): number | undefined {
  return seconds === undefined ? undefined : seconds * 1000;
}
