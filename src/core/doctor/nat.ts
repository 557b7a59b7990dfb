/** Which NAT is on the way, and how long it keeps a mapping: by addresses, and by what the other side sees. */
import {
  familyOf,
  formatEndpoint,
  parseOuterIp,
  prefixHolds,
  prefixOf,
  type OuterIp,
} from '../addr.ts';
import { DEFAULT_PEER, type TunnelConfig } from '../config/tunnel-config.ts';
import type { Mapping } from '../session/secure/state.ts';
import type { Millis } from '../units.ts';
import type { PeerFacts, TunnelFacts } from './facts.ts';
import { ok, unknown, warning, type Finding } from './finding.ts';
import { answering } from './session.ts';

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
/** No NAT is known that wants to hear more often. */
const KEEPALIVE_LEAST = 5;

export function checkNat(facts: TunnelFacts): readonly Finding[] {
  return facts.config.role === 'client' ? natOfClient(facts) : natOfServer(facts);
}

function natOfClient(facts: TunnelFacts): readonly Finding[] {
  const { config, ways } = facts;
  const connected = answering(facts)?.peers.filter(({ path }) => path) ?? [];
  const seenAt = connected.filter(({ session }) => session?.observed);
  if (seenAt.length > 0) return seenAt.flatMap((peer) => natAsObserved(peer, facts.config));
  const source =
    connected[0]?.path?.local.ip ??
    ways.flatMap(({ way }) => ('source' in way ? [way.source] : []))[0];
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

/** What the server tells of where it sees this side, against where packets leave. */
function natAsObserved(
  { id, path, session }: PeerFacts,
  { peers }: TunnelConfig,
): readonly Finding[] {
  const { observed, mapping } = session ?? {};
  if (path === undefined || observed === undefined) return [];
  const { local } = path;
  const who = id === DEFAULT_PEER ? 'the server' : `server ${id}`;
  const seen = `${who} sees this side at ${formatEndpoint(observed)}`;
  if (observed.ip === local.ip && observed.port === local.port) {
    return [ok('nat', `${seen}, where its packets leave: no NAT is on the way`)];
  }
  const port =
    observed.port === local.port
      ? 'a NAT has changed the address and kept the port'
      : `packets leave from ${formatEndpoint(local)}: a NAT has changed the port`;
  const keepalive = peers.find((peer) => peer.id === id)?.timers.keepalive ?? 0;
  return [ok('nat', `${seen}; ${port}`), ...mappingLife(who, mapping, keepalive)];
}

/** How long the NAT keeps a mapping, as far as this session has shown it. */
function mappingLife(
  who: string,
  mapping: Omit<Mapping, 'local'> | undefined,
  keepalive: number,
): readonly Finding[] {
  if (mapping === undefined) return [];
  const { since, lost, lostAt } = mapping;
  const silence = keepalive > 0 ? `a packet at least every ${keepalive} s` : 'no keepalive';
  if (lost > 0 && lostAt !== undefined) {
    const shorter = keepalive > 0 ? Math.max(KEEPALIVE_LEAST, Math.floor(keepalive / 2)) : 25;
    const words = `the NAT has dropped or changed the mapping towards ${who} ${lost} times by itself, the last time at ${timeText(lostAt)}, with ${silence}: it may keep silent ones for less than that`;
    return [warning('nat', words, `keepalive ${shorter}   # in the config`)];
  }
  const words = `the NAT has kept that mapping since ${timeText(since)}, with ${silence}`;
  if (keepalive === 0)
    return [warning('nat', `${words}: in silence it will go`, 'keepalive 25   # in the config')];
  return [ok('nat', `${words}: it lasts ${keepalive} s of silence or more`)];
}

function timeText(time: Millis): string {
  return `${new Date(time).toISOString().slice(0, 19)}Z`;
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
