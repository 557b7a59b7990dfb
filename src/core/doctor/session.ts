/** What the running daemon tells, and what can be said without one: troubles, clocks, NAT, the path's size. */
import {
  familyOf,
  formatEndpoint,
  parseOuterIp,
  prefixHolds,
  prefixOf,
  type OuterIp,
} from '../addr.ts';
import { DEFAULT_PEER, type TunnelConfig } from '../config/tunnel-config.ts';
import { insideOf } from '../wire/overhead.ts';
import type { DaemonFacts, PeerFacts, TunnelFacts, WayFacts } from './facts.ts';
import { ok, unknown, warning, wrong, type Finding } from './finding.ts';

export function answering({ daemon }: TunnelFacts): DaemonFacts | undefined {
  return daemon !== undefined && 'pid' in daemon ? daemon : undefined;
}

export function checkDaemon(facts: TunnelFacts): readonly Finding[] {
  const { config, daemon } = facts;
  if (daemon === undefined) {
    return [unknown('daemon', 'the tunnel does not run here', `ipipou up ${config.name}`)];
  }
  if (!('pid' in daemon)) return [wrong('daemon', daemon.silent, daemon.hint)];
  const { pid, establishedCount, peerCount, troubles } = daemon;
  const told = `process ${pid}, ${establishedCount} of ${peerCount} peers established`;
  return [
    ok('daemon', told),
    ...troubles.map(({ words, peer }) =>
      warning('daemon', `${peer === undefined ? '' : `peer ${peer}: `}${words}`),
    ),
  ];
}

const KEEP_TIME =
  'timedatectl set-ntp true   # without an NTP client: apt-get install systemd-timesyncd';

/** Only signed packets have a time. */
export function checkClock(facts: TunnelFacts): readonly Finding[] {
  const { config, clockKept } = facts;
  const signed = config.peers.find(({ proof }) => proof.kind === 'ed25519');
  if (signed?.proof.kind !== 'ed25519') return [];
  const daemon = answering(facts);
  for (const trouble of daemon?.troubles ?? []) {
    if (trouble.kind !== 'server-refuses') continue;
    const { reason, seconds } = trouble.notice;
    if (reason === 'clock') {
      const by = `${Math.abs(seconds)} s ${seconds > 0 ? 'ahead of' : 'behind'}`;
      return [wrong('clock', `the clock here is ${by} the server's, says the server`, KEEP_TIME)];
    }
    if (reason === 'stale') {
      const words = `the clock here was set back by ${Math.abs(seconds)} s, says the server`;
      return [wrong('clock', words, KEEP_TIME)];
    }
  }
  const limit = signed.proof.maxTimeDiscrepancy;
  const proved = daemon?.peers.some(({ phase }) => phase === 'established') === true;
  const near =
    config.role === 'client'
      ? 'the server takes the time of packets from here'
      : `the clocks of those who are here differ by ${limit} s at most`;
  if (clockKept === true) {
    return [ok('clock', `kept right by NTP${proved && limit > 0 ? `; ${near}` : ''}`)];
  }
  if (clockKept === undefined)
    return [unknown('clock', 'whether NTP keeps it right is not told here')];
  if (limit === 0) return [ok('clock', 'not kept right, which auth-max-time-discrepancy 0 allows')];
  const drift = `nothing keeps the clock right; one that is more than ${limit} s off is refused`;
  return [warning('clock', proved ? `${drift} (it is not now: ${near})` : drift, KEEP_TIME)];
}

/** RFC 1918, RFC 6598 (carriers' own), RFC 4193. */
const PRIVATE = [
  ['10.0.0.0', 8],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
  ['100.64.0.0', 10],
  ['fc00::', 7],
] as const;

function isPrivate(address: OuterIp): boolean {
  return PRIVATE.some(([text, length]) => {
    const ip = parseOuterIp(text);
    return ip !== undefined && prefixHolds(prefixOf(ip, length), address);
  });
}

/** Mappings of UDP that are refreshed less often are lost in most NATs: RFC 4787 asks for 120 s, many have 30. */
const MAPPING_SURE = 30;

export function checkNat(facts: TunnelFacts): readonly Finding[] {
  return facts.config.role === 'client' ? natOfClient(facts) : natOfServer(facts);
}

function natOfClient(facts: TunnelFacts): readonly Finding[] {
  const { config, ways } = facts;
  const local = answering(facts)?.peers.find(({ path }) => path)?.path?.local.ip;
  const source = local ?? ways.flatMap(({ way }) => ('source' in way ? [way.source] : []))[0];
  if (source === undefined) return [unknown('nat', 'without a way to the server nothing is known')];
  if (!isPrivate(source)) {
    const words = `packets leave from ${source}, which is public: no NAT, unless the provider has one`;
    return [ok('nat', words)];
  }
  const seen = `packets leave from ${source}, which is private: a NAT is on the way to a server that is not; as which address and port the server sees them is known there (ipipou show)`;
  const keepalive = Math.max(...config.peers.map(({ timers }) => timers.keepalive));
  if (keepalive === 0) {
    const lost = 'with keepalive 0 the mapping is lost in silence, and nobody reaches this host';
    return [warning('nat', `${seen}; ${lost}`, 'keepalive 25   # in the config')];
  }
  if (keepalive > MAPPING_SURE) {
    const lost = `how long the NAT keeps a silent mapping is not known; keepalive is ${keepalive} s, and some NATs keep them for ${MAPPING_SURE}`;
    return [warning('nat', `${seen}; ${lost}`, 'keepalive 25   # in the config')];
  }
  return [ok('nat', `${seen}; keepalive ${keepalive} keeps the mapping of most NATs`)];
}

function natOfServer(facts: TunnelFacts): readonly Finding[] {
  const { config, ways } = facts;
  const here = config.outer.localIps[0] ?? facts.device?.addresses[0];
  const route = ways.flatMap(({ way }) => ('source' in way ? [way.source] : []))[0];
  const own = here ?? route;
  const peers = answering(facts)?.peers ?? [];
  const behind =
    own !== undefined && isPrivate(own) && familyOf(own) === 'ipv4'
      ? [
          unknown(
            'nat',
            `this server has ${own}, which is private: clients elsewhere reach it only where a router forwards UDP port ${config.outer.localPort} to it, which cannot be seen from here`,
          ),
        ]
      : [];
  const seen = peers.flatMap(({ id, path }) => {
    const wanted = config.peers.find((peer) => peer.id === id)?.remotePort;
    if (path === undefined) return [];
    return [natOfPeer(id, path.remote, wanted, config)];
  });
  return [...behind, ...seen];
}

function natOfPeer(
  id: string,
  remote: NonNullable<PeerFacts['path']>['remote'],
  wanted: number | undefined,
  { outer }: TunnelConfig,
): Finding {
  const who = id === DEFAULT_PEER ? 'the client' : `peer ${id}`;
  const at = `${who} is seen at ${formatEndpoint(remote)}`;
  if (wanted !== undefined) {
    return remote.port === wanted
      ? ok('nat', `${at}: the port is the one of the config`)
      : warning(
          'nat',
          `${at}: a NAT has changed the port, the config says ${wanted}`,
          'leave the port out of fou-remote, and auth-by-remote-port off',
        );
  }
  // Both ends have the same port unless they are told otherwise.
  return remote.port === outer.localPort
    ? ok('nat', `${at}: no NAT has changed the port, if the client has that of this side`)
    : ok('nat', `${at}: a NAT has changed the port, or the client has another than this side`);
}

export function checkMtu(facts: TunnelFacts): readonly Finding[] {
  const set = facts.config.inner.mtu;
  return [
    ...facts.ways.flatMap((one) => mtuOfWay(one, set)),
    ...(answering(facts)?.peers ?? []).flatMap((peer) => mtuOfPeer(peer, set)),
  ];
}

function mtuOfPeer(
  { id, path, mtu }: PeerFacts,
  set: TunnelConfig['inner']['mtu'],
): readonly Finding[] {
  if (path === undefined || mtu === undefined) return [];
  const who = id === DEFAULT_PEER ? '' : ` (peer ${id})`;
  const by = set === 'auto' ? 'which probes it' : 'which has not probed it: mtu auto does';
  const words = `inner packets to ${formatEndpoint(path.remote)}${who} have ${mtu} bytes at most`;
  return [ok('mtu', `${words}, says the daemon, ${by}`)];
}

function mtuOfWay(
  { remote, way }: WayFacts,
  set: TunnelConfig['inner']['mtu'],
): readonly Finding[] {
  if (!('source' in way)) return [];
  const { mtu, learnt, device } = way;
  const inside = insideOf(remote, Math.min(mtu, learnt ?? mtu)) ?? 0;
  const route = `the route to ${remote} takes ${mtu} bytes, ${insideOf(remote, mtu)} of an inner packet`;
  const told =
    learnt !== undefined && learnt < mtu ? `; routers on the way have said ${learnt}` : '';
  if (typeof set === 'number' && set > inside) {
    return [
      wrong(
        'mtu',
        `mtu ${set} is more than fits: ${route}${told}`,
        `mtu ${inside}   # or mtu auto`,
      ),
    ];
  }
  return [ok('mtu', `${route}${told} (by ${device}; what is behind it is not known from here)`)];
}
