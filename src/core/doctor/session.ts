/** What the running daemon tells, and what can be said without one: troubles, clocks, NAT, the path's size. */
import { familyOf, formatEndpoint } from '../addr.ts';
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

export function checkMtu(facts: TunnelFacts): readonly Finding[] {
  const set = facts.config.inner.mtu;
  return [
    ...facts.ways.flatMap((one) => mtuOfWay(one, facts.config)),
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
  { inner, outer }: Pick<TunnelConfig, 'inner' | 'outer'>,
): readonly Finding[] {
  const set = inner.mtu;
  if (!('source' in way)) return [];
  const { mtu, learnt, device } = way;
  const inside = insideOf(remote, Math.min(mtu, learnt ?? mtu)) ?? 0;
  const route = `the route to ${remote} takes ${mtu} bytes, ${insideOf(remote, mtu)} of an inner packet`;
  const told =
    learnt !== undefined && learnt < mtu ? `; routers on the way have said ${learnt}` : '';
  if (typeof set === 'number' && set > inside) {
    if (outer.fragments === true && familyOf(remote) === 'ipv4') {
      return [
        warning(
          'mtu',
          `mtu ${set}: ${route}${told}; larger ones go in fragments, which something on the way may drop`,
          `ping -M dont -s 3000 ${remote}   # an answer: fragments pass`,
        ),
      ];
    }
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
