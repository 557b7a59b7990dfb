import type { AnsweringTunnel, RecordedTunnel, Tunnel } from '../app/management/survey.ts';
import { formatEndpoint, type InnerIp } from '../core/addr.ts';
import { DEFAULT_PEER } from '../core/config/tunnel-config.ts';
import { seconds } from '../core/units.ts';
import type { PeerStatus, TunnelStatus } from '../ports/control.ts';
import { PLAIN, type Paint } from './paint.ts';
import { printable } from './print-error.ts';

type Line = readonly [key: string, value: string | 0 | undefined];

/** A tunnel for a person, all of it; `now` is unix time in milliseconds. */
export function formatTunnel(tunnel: Tunnel, now: number, paint: Paint = PLAIN): string {
  if (tunnel.daemon !== 'answers') return formatRecorded(tunnel, now, paint);
  return tunnel.peer === DEFAULT_PEER
    ? formatClassic(tunnel, now, paint)
    : formatMany(tunnel, now, paint);
}

/** What a tunnel is and does, in a line. */
export function titleOf(tunnel: Tunnel, paint: Paint = PLAIN): string {
  const { device, name, role } = tunnel;
  const [state, dye] = stateOf(tunnel);
  return `${paint.title(printable(`${device} (${name})`))}: ${role}, ${paint[dye](state)}`;
}

function stateOf(tunnel: Tunnel): readonly [state: string, dye: keyof Paint] {
  if (tunnel.daemon !== 'answers') return [DAEMONS[tunnel.daemon], 'bad'];
  const { peer, phase, peerCount, establishedCount } = tunnel;
  const dye = phase === 'established' ? 'good' : 'waiting';
  if (peer === DEFAULT_PEER) return [phase, dye];
  const peers = peerCount === 1 ? 'peer' : 'peers';
  return [`${establishedCount} of ${peerCount} ${peers} established`, dye];
}

function list(addresses: readonly InnerIp[]): string {
  return addresses.join(', ');
}

/** Own inner addresses and the peer's, family by family; the peer's where they are known. */
function pairs({ innerIps, innerPeerIps = [] }: Pick<Tunnel, 'innerIps' | 'innerPeerIps'>): string {
  return list(innerIps) + (innerPeerIps.length === 0 ? '' : ` to ${list(innerPeerIps)}`);
}

/** The one peer of a tunnel without sections, and the tunnel, are one thing. */
function formatClassic(tunnel: AnsweringTunnel, now: number, paint: Paint): string {
  const { path } = tunnel;
  return block(
    titleOf(tunnel, paint),
    [
      ['plane', formatPlane(tunnel)],
      ['inner', `${pairs(tunnel)}, MTU ${tunnel.mtu}`],
      ['local', path ? formatEndpoint(path.local) : `port ${tunnel.localPort}`],
      ['local alternative', tunnel.localAlt],
      ['remote', path ? formatEndpoint(path.remote) : (tunnel.remote ?? 'not known yet')],
      ...tunnel.peers.flatMap(exposedLines),
      ...sessionLines(tunnel, tunnel.role, now),
      ['refused', formatRefused(tunnel)],
      ['authentication', formatAuthentication(tunnel, tunnel.role)],
      ['keepalive', formatKeepalive(tunnel)],
      ...daemonLines(tunnel, now),
    ],
    paint,
  );
}

function formatMany(tunnel: AnsweringTunnel, now: number, paint: Paint): string {
  const sole = tunnel.peerCount === 1;
  // The troubles of a sole peer are the tunnel's.
  const blocks = tunnel.peers.map((peer) =>
    formatPeer(sole ? { ...peer, troubles: [] } : peer, tunnel.role, now, paint).replace(
      /^(?=.)/gm,
      '  ',
    ),
  );
  return [formatTunnelAlone(tunnel, now, paint), ...blocks].join('\n');
}

/** The troubles of a tunnel but for those that its peers here have themselves. */
function besidesPeers({ troubles, peers }: AnsweringTunnel): AnsweringTunnel['troubles'] {
  const ofPeers = new Set(
    peers.flatMap(({ id, troubles: theirs }) => theirs.map(({ words }) => `${id} ${words}`)),
  );
  return troubles.filter(({ peer, words }) => !ofPeers.has(`${peer} ${words}`));
}

/** A tunnel without its peers. */
export function formatTunnelAlone(
  tunnel: AnsweringTunnel,
  now: number,
  paint: Paint = PLAIN,
): string {
  return block(
    titleOf(tunnel, paint),
    [
      ['plane', formatPlane(tunnel)],
      ['inner', `${list(tunnel.innerIps)}, MTU ${tunnel.mtu}`],
      ['local', `port ${tunnel.localPort}`],
      ['refused', formatRefused({ ...tunnel, refused: refusedOfNobody(tunnel) })],
      ...daemonLines({ ...tunnel, troubles: besidesPeers(tunnel) }, now),
    ],
    paint,
  );
}

/** One peer of several. */
export function formatPeer(
  peer: PeerStatus,
  role: TunnelStatus['role'],
  now: number,
  paint: Paint = PLAIN,
): string {
  const { path, mtu } = peer;
  const dye = peer.phase === 'established' ? 'good' : 'waiting';
  return block(
    `${paint.title(printable(`peer ${peer.id}`))}: ${paint[dye](peer.phase)}`,
    [
      ['invited', peer.invitedUntil && `until ${formatTime(peer.invitedUntil, now)}`],
      ['inner', mtu === undefined ? list(peer.innerIps) : `${list(peer.innerIps)}, MTU ${mtu}`],
      ['allowed', formatAllowed(peer)],
      ...exposedLines(peer),
      ['local', path && formatEndpoint(path.local)],
      ['local alternative', peer.localAlt],
      ['remote', path ? formatEndpoint(path.remote) : (peer.remote ?? 'not known yet')],
      ...sessionLines(peer, role, now),
      ['refused', formatRefused({ refused: peer.refused, refusedBelow: {} })],
      ['authentication', formatAuthentication(peer, role)],
      ['keepalive', formatKeepalive(peer)],
      ...troubleLines(peer),
    ],
    paint,
  );
}

/** A line a service. */
function exposedLines({ exposed = [] }: Pick<PeerStatus, 'exposed'>): readonly Line[] {
  return exposed.map((counts) => {
    const { service, connections, refused, packets, bytes, shadows, leavesOut } = counts;
    const begun = `${connections} ${connections === 1 ? 'connection' : 'connections'}`;
    const beyond = refused === 0 ? '' : `, ${refused} refused`;
    const hides = shadows ? '; what listens there on this host is not reached' : '';
    const without = leavesOut.length === 0 ? '' : `; without ${someOf(leavesOut)}`;
    const traffic = formatTraffic(bytes, packets);
    return ['exposed', `${service}: ${begun}${beyond}, ${traffic}${hides}${without}`];
  });
}

function formatAllowed({ allowedIps }: PeerStatus): string {
  return allowedIps === 'any' ? allowedIps : someOf(allowedIps);
}

/** How many of a list are shown. */
const SHOWN = 8;

function someOf(all: readonly string[]): string {
  const untold = all.length - SHOWN;
  return [...all.slice(0, SHOWN), ...(untold > 0 ? [`and ${untold} more`] : [])].join(', ');
}

type Session = Pick<
  PeerStatus,
  'path' | 'authenticatedAt' | 'lastHeardAt' | 'rememberedUntil' | 'traffic' | 'session'
>;

function sessionLines(session: Session, role: TunnelStatus['role'], now: number): readonly Line[] {
  const { traffic, authenticatedAt, lastHeardAt } = session;
  return [
    ['session', formatSession(session, now)],
    ['attested', formatAttestation(session, now)],
    ['seen at', session.session?.observed && formatEndpoint(session.session.observed)],
    ['authenticated', authenticatedAt && formatTime(authenticatedAt, now)],
    ['last heard', lastHeardAt && formatTime(lastHeardAt, now)],
    ['remembered', formatRemembered(session, role, now)],
    ['received', traffic && formatTraffic(traffic.rxBytes, traffic.rxPackets)],
    ['sent', traffic && formatTraffic(traffic.txBytes, traffic.txPackets)],
  ];
}

/** Of session 1 nothing is said: it is what there is without keys on both sides. */
function formatSession({ session }: Session, now: number): string | undefined {
  if (session === undefined || session.version === 1) return undefined;
  const { integrity, since } = session;
  const begun = since === undefined ? '' : `, since ${formatTime(since, now)}`;
  return `v2, integrity ${integrity}${begun}`;
}

/** What the other side says that it has sent, against what came. */
function formatAttestation({ session }: Session, now: number): string | undefined {
  const { attestation } = session ?? {};
  if (!attestation) return undefined;
  const { at, counting, injected, injectedAt, lost } = attestation;
  const traffic = ({ packets, bytes }: typeof lost): string =>
    counting === 'exact' ? formatTraffic(bytes, packets) : formatBytes(bytes);
  const more =
    injectedAt === undefined
      ? 'no more came than was sent'
      : `${traffic(injected)} MORE CAME THAN WAS SENT, seen last ${formatTime(injectedAt, now)}`;
  const less = lost.bytes > 0 ? `; ${traffic(lost)} lost` : '';
  return `${more}${less}; told ${formatTime(at, now)}`;
}

function daemonLines(tunnel: AnsweringTunnel, now: number): readonly Line[] {
  return [
    ...(tunnel.around ?? []).map((fact): Line => ['around it', fact]),
    ['daemon', `process ${tunnel.pid}, since ${formatTime(tunnel.since, now)}`],
    ['config', tunnel.configPath],
    ['log', formatLog(tunnel)],
    ...troubleLines(tunnel),
  ];
}

function formatPlane({ plane, planeReason }: Pick<Tunnel, 'plane' | 'planeReason'>): string {
  return planeReason === undefined ? plane : `${plane} (${planeReason})`;
}

/** Where to read on. */
function formatLog({ log, pid }: Pick<Tunnel, 'log' | 'pid'>): string {
  if (log === 'journal') return `the journal (journalctl _PID=${pid})`;
  return log === 'stderr' ? 'standard error of its process' : log;
}

function troubleLines({ troubles }: Pick<TunnelStatus, 'troubles'>): readonly Line[] {
  return troubles.map(({ words, peer }): Line => [
    'trouble',
    peer === undefined ? words : `${peer}: ${words}`,
  ]);
}

function formatKeepalive({ keepalive = seconds(0) }: Pick<TunnelStatus, 'keepalive'>): string {
  return keepalive > 0 ? `every ${keepalive} s` : 'none';
}

/** A tunnel whose daemon does not answer. */
function formatRecorded(tunnel: RecordedTunnel, now: number, paint: Paint): string {
  const { path, traffic, forwarding } = tunnel;
  return block(
    titleOf(tunnel, paint),
    [
      ['state', tunnel.why],
      [
        'packets',
        forwarding === undefined ? undefined : PACKETS[forwarding ? 'forwarded' : 'stopped'],
      ],
      ['plane', formatPlane(tunnel)],
      ['inner', pairs(tunnel)],
      ['remote', path ? formatEndpoint(path.remote) : undefined],
      ['received', traffic && formatTraffic(traffic.rxBytes, traffic.rxPackets)],
      ['sent', traffic && formatTraffic(traffic.txBytes, traffic.txPackets)],
      ['since', tunnel.daemon === 'dead' ? undefined : formatTime(tunnel.since, now)],
      ['config', tunnel.configPath],
      ['log', formatLog(tunnel)],
      ['hint', tunnel.hint],
    ],
    paint,
  );
}

const DAEMONS = {
  dead: 'daemon dead',
  stopped: 'daemon stopped',
  starting: 'starting',
  ending: 'ending',
  silent: 'not answering',
  refuses: 'not answering',
} as const satisfies Record<RecordedTunnel['daemon'], string>;

const PACKETS = {
  forwarded: 'the kernel still forwards; nobody answers authentication',
  stopped: 'nothing is forwarded',
} as const;

/** `title`: as it is printed. */
function block(title: string, lines: readonly Line[], paint: Paint): string {
  const shown = lines.filter(([, value]) => value !== undefined && value !== 0);
  const width = Math.max(...shown.map(([key]) => key.length));
  const body = shown.map(([key, value]) => {
    const dye = key === 'trouble' || key === 'state' ? paint.bad : String;
    return `  ${paint.faint(key.padEnd(width))}  ${dye(printable(String(value)))}\n`;
  });
  return `${title}\n${body.join('')}`;
}

function formatRemembered(
  { path, rememberedUntil }: Session,
  role: TunnelStatus['role'],
  now: number,
): string | undefined {
  if (path === undefined || role !== 'server') return undefined;
  if (rememberedUntil === undefined) return 'forever';
  return `until ${formatTime(rememberedUntil, now)}`;
}

function formatAuthentication(
  {
    authPacketsSent,
    repliesVerified,
    requestsAccepted,
  }: Pick<PeerStatus, 'authPacketsSent' | 'repliesVerified' | 'requestsAccepted'>,
  role: TunnelStatus['role'],
): string {
  return role === 'server'
    ? `${requestsAccepted} requests accepted`
    : `${authPacketsSent} requests sent, ${repliesVerified} replies verified`;
}

/** What was no peer's: those of a sole peer are the tunnel's as well, and stand with the peer. */
function refusedOfNobody({ peerCount, peers, refused }: AnsweringTunnel): TunnelStatus['refused'] {
  const own = peerCount === 1 ? peers[0]?.refused : undefined;
  return Object.fromEntries(
    Object.entries(refused).map(([reason, count]) => [reason, count - (own?.[reason] ?? 0)]),
  );
}

function formatRefused({
  refused,
  refusedBelow,
}: Pick<TunnelStatus, 'refused' | 'refusedBelow'>): string {
  const reasons = Object.entries(refused)
    .filter(([, count]) => count > 0)
    .map(([reason, count]) => `${count} ${reason}`);
  const below = Object.entries(refusedBelow).filter(([, count]) => count > 0);
  if (below.length > 0) {
    const sum = below.reduce((total, [, count]) => total + count, 0);
    const parts = below.map(([reason, count]) => `${count} ${reason}`).join(', ');
    reasons.push(`${sum} below user space (${parts})`);
  }
  return reasons.length === 0 ? 'nothing' : reasons.join(', ');
}

/** `2026-11-23 00:00:00 UTC (27 s ago)`. */
export function formatTime(at: number, now: number): string {
  const text = new Date(at).toISOString().slice(0, 19).replace('T', ' ');
  const distance = Math.round((now - at) / 1000);
  return `${text} UTC (${distance >= 0 ? `${formatSpan(distance)} ago` : `in ${formatSpan(-distance)}`})`;
}

/** Whole seconds in the two largest units that they have. */
export function formatSpan(seconds: number): string {
  const units: readonly (readonly [string, number])[] = [
    ['d', 86_400],
    ['h', 3600],
    ['min', 60],
    ['s', 1],
  ];
  const largest = units.findIndex(([, size]) => seconds >= size);
  if (largest < 0) return '0 s';
  let left = seconds;
  const parts: string[] = [];
  for (const [name, size] of units.slice(largest, largest + 2)) {
    const count = Math.floor(left / size);
    left -= count * size;
    if (count > 0) parts.push(`${count} ${name}`);
  }
  return parts.join(' ');
}

function formatTraffic(bytes: number, packets: number): string {
  return `${formatBytes(bytes)} in ${packets} ${packets === 1 ? 'packet' : 'packets'}`;
}

/** Bytes in the largest binary unit that leaves at least one of it. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}
