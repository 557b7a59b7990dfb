/**
 * Where a client's server is, and by which of its addresses it is spoken to.
 *
 * Theory of operation. A name may have several addresses, of both families (a literal address is a name
 * with one). They stand in the system's order (RFC 6724), the families by turns (RFC 8305, section 4). The
 * host is asked for the ways to all of them at once (`locate`), and tells again whenever one is another. So
 * a family that loses its route, or gets one, is known without a packet.
 *
 * One address is in use. It is left for the next that has a route, round and round, when
 * - its own route is lost: at once;
 * - CANDIDATE_SENDS requests on it brought nothing, be it from the beginning or because the server is dead;
 *   one request, once the first three minutes have brought nothing;
 * - the server is dead and its name has been looked up again: at once;
 * - the plane has refused to carry its path CANDIDATE_ADMITS times in a row: a kernel may lack a family.
 * Else it is kept, as long as the name has it. So it stays where it works, also when the family that the
 * system prefers comes back: a request moves the server, so that asking there whether it works would put
 * what works at stake. It returns there when this one fails in its turn. What is in use is also the memory
 * of what worked: a client without any route begins there, and after a restart where the plane carries it
 * still.
 *
 * Until it hears of its server a client looks the name up again every so often.
 */
import { familyOf, parseOuterIp, type Family, type OuterIp } from '../addr.ts';
import type { SessionTold } from '../events/event.ts';
import { forgetPathMtu, takeRouteMtu } from './client-mtu.ts';
import { connect, disconnect } from './client-path.ts';
import {
  backoff,
  CANDIDATE_SENDS,
  CANDIDATES_MAX,
  EAGER_SENDS,
  LOCATE_TIMEOUT,
  OFFLINE_CHECK,
  RESOLVE_AGAIN,
  ROUTE_CHECK,
} from './limits.ts';
import type { ClientState } from './state.ts';
import { after, drawSpread, resolveName, tell, unresolvedBy, type Turn } from './turn.ts';
import type { SessionEvent, Way } from './types.ts';

type ClientTurn = Turn<ClientState>;
type EventOf<Kind extends SessionEvent['kind']> = Extract<SessionEvent, { readonly kind: Kind }>;
type Why = Extract<SessionTold, { readonly kind: 'other-address' }>['why'];

/** The server as it is configured: an address or a name. */
export function hostOf(turn: ClientTurn): string {
  const { remoteHost } = turn.config;
  if (remoteHost === undefined) throw new TypeError('a client without remoteHost');
  return remoteHost;
}

/** Asks for the server's addresses, or has the only one. */
export function seek(turn: ClientTurn): void {
  const host = hostOf(turn);
  const literal = parseOuterIp(host);
  if (literal === undefined) resolveName(turn, host);
  else aim(turn, [literal], literal);
}

/** Addresses in the order in which they are tried: as given, but the families by turns. */
export function interleave(addresses: readonly OuterIp[]): readonly OuterIp[] {
  const distinct = [...new Set(addresses)];
  const [first] = distinct;
  if (first === undefined) return [];
  const of = (family: Family): readonly OuterIp[] =>
    distinct.filter((address) => familyOf(address) === family);
  const families: readonly Family[] = ['ipv4', 'ipv6'];
  const other = families.filter((family) => family !== familyOf(first)).flatMap(of);
  return of(familyOf(first)).flatMap((address, index) => {
    const last = index + 1 === distinct.length - other.length;
    return [address, ...other.slice(index, last ? undefined : index + 1)];
  });
}

/** The addresses that are tried, `kept` among them where the name has it. */
function candidatesOf(
  addresses: readonly OuterIp[],
  kept: OuterIp | undefined,
): readonly OuterIp[] {
  const all = interleave(addresses);
  const first = all.slice(0, CANDIDATES_MAX);
  if (kept === undefined || first.includes(kept) || !all.includes(kept)) return first;
  return [...first.slice(0, -1), kept];
}

/** Chooses an address and asks for the ways to all. */
function aim(turn: ClientTurn, addresses: readonly OuterIp[], remote: OuterIp): void {
  const unknown = { local: undefined, via: undefined, noRoute: undefined, attempts: 0 };
  turn.state = { ...turn.state, addresses, ways: [], remote, ...unknown };
  disconnect(turn);
  forgetPathMtu(turn, undefined);
  locate(turn);
}

/** Asks for the ways to the server's addresses; asked again by timer when no answer comes. */
export function locate(turn: ClientTurn): void {
  turn.state = { ...turn.state, locateAt: after(turn, LOCATE_TIMEOUT) };
  turn.effects.push({ kind: 'locate', remotes: turn.state.addresses });
}

export function takeAddresses(turn: ClientTurn, event: EventOf<'resolved'>): void {
  const { life, resolveAt, remote, admitted } = turn.state;
  if (resolveAt === undefined) return;
  // Of a name's addresses, the one that the plane of an earlier run carries has worked.
  const kept = remote ?? admitted?.remote.ip;
  const found = candidatesOf(event.addresses, kept);
  const [first] = found;
  if (first === undefined) {
    const resolveFailures = turn.state.resolveFailures + 1;
    const wait = backoff(resolveFailures, drawSpread(turn));
    const unresolved = unresolvedBy(hostOf(turn), event);
    turn.state = { ...turn.state, resolveFailures, unresolved, resolveAt: after(turn, wait) };
    return;
  }
  const again = life === 'alive' ? undefined : after(turn, RESOLVE_AGAIN);
  turn.state = { ...turn.state, resolveFailures: 0, unresolved: undefined, resolveAt: again };
  if (remote !== undefined && found.includes(remote)) return refine(turn, found);
  const chosen = kept !== undefined && found.includes(kept) ? kept : first;
  tell(turn, { kind: 'resolved', host: hostOf(turn), address: chosen, before: remote });
  aim(turn, found, chosen);
}

/** The name has the address in use, among these. */
function refine(turn: ClientTurn, found: readonly OuterIp[]): void {
  const { addresses, life } = turn.state;
  const same = found.length === addresses.length && found.every((ip, i) => ip === addresses[i]);
  if (!same) {
    const ways = turn.state.ways.filter(({ remote }) => found.includes(remote));
    turn.state = { ...turn.state, addresses: found, ways };
    locate(turn);
  }
  if (life === 'dead') moveOn(turn, 'no-answer');
}

/** Takes the ways to the server's addresses in: the one in use goes on, or gives way to another. */
export function takeWays(turn: ClientTurn, event: EventOf<'located'>): void {
  const { addresses, remote, local, via } = turn.state;
  const ways = addresses.flatMap(
    (address) => event.ways.find((way) => way.remote === address) ?? [],
  );
  // An answer about other addresses; the one about these is still to come.
  if (remote === undefined || ways.length < addresses.length) return;
  turn.state = { ...turn.state, ways };
  const [current, ...others] = round(turn.state);
  const found = [current, ...others].find((way) => way?.local !== undefined);
  const check = found === undefined ? OFFLINE_CHECK : ROUTE_CHECK;
  turn.state = { ...turn.state, locateAt: after(turn, check) };
  if (found === undefined) return goOffline(turn, current);
  if (found === current && local === found.local && via === found.via) {
    return takeRouteMtu(turn, found.mtu);
  }
  turn.state = { ...turn.state, attempts: 0, unanswered: undefined };
  use(turn, found, 'no-route');
}

/** Goes on to the next address that has a route; false = there is no other. */
export function moveOn(turn: ClientTurn, why: Exclude<Why, 'no-route'>): boolean {
  const next = round(turn.state).find(
    ({ local, remote }) => local !== undefined && remote !== turn.state.remote,
  );
  if (next === undefined) return false;
  use(turn, next, why);
  return true;
}

/** Whether the address in use has had its turn. */
export function isSpent({ life, attempts, askedHere }: ClientState): boolean {
  return life !== 'alive' && askedHere >= (attempts < EAGER_SENDS ? CANDIDATE_SENDS : 1);
}

/** The ways, beginning with the one in use. */
function round({ ways, remote }: ClientState): readonly Way[] {
  const place = ways.findIndex((way) => way.remote === remote);
  return place < 0 ? ways : [...ways.slice(place), ...ways.slice(0, place)];
}

function use(turn: ClientTurn, { remote, local, via, mtu }: Way, why: Why): void {
  const { remote: before, attempts } = turn.state;
  const known = why !== 'no-route' || turn.state.local !== undefined;
  if (before !== undefined && before !== remote && known) {
    const again = why !== 'no-route' && attempts > CANDIDATE_SENDS * turn.state.addresses.length;
    tell(turn, { kind: 'other-address', address: remote, before, why, again });
  }
  if (via !== undefined && via !== turn.state.via) {
    tell(turn, { kind: 'translated', address: remote, via });
  }
  turn.state = { ...turn.state, remote, local, via, noRoute: undefined };
  forgetPathMtu(turn, mtu);
  connect(turn);
}

function goOffline(turn: ClientTurn, current: Way | undefined): void {
  const wasOnline = turn.state.local !== undefined;
  const noRoute = { why: current?.why };
  turn.state = { ...turn.state, local: undefined, via: undefined, noRoute };
  if (!wasOnline) return takeRouteMtu(turn, current?.mtu);
  forgetPathMtu(turn, current?.mtu);
  disconnect(turn);
}
