/** Single fields of a tunnel's peers for scripts, a line a peer, as `wg show` has them. */
import { formatEndpoint } from '../../core/addr.ts';
import type { PeerStatus } from '../../ports/control.ts';

const SECOND = 1000;
const NONE = '(none)';

/** What stands behind a peer's name; words with tabs between. Times are unix seconds, 0 for never. */
export const PEER_FIELDS: Readonly<Record<string, (peer: PeerStatus) => string>> = {
  phases: ({ phase }) => phase,
  endpoints: ({ path }) => (path ? formatEndpoint(path.remote) : NONE),
  'inner-ips': ({ innerIps }) => innerIps.join(' '),
  'allowed-ips': ({ allowedIps }) => (allowedIps === 'any' ? allowedIps : allowedIps.join(' ')),
  'last-authenticated': ({ authenticatedAt }) => unixSeconds(authenticatedAt),
  'last-heard': ({ lastHeardAt }) => unixSeconds(lastHeardAt),
  transfer: ({ traffic }) => `${traffic?.rxBytes ?? 0}\t${traffic?.txBytes ?? 0}`,
  mtu: ({ mtu }) => (mtu === undefined ? NONE : String(mtu)),
  keepalive: ({ keepalive }) => (keepalive > 0 ? String(keepalive) : 'off'),
};

/** Whether there is such a field. */
export function isField(name: string): boolean {
  return name === 'peers' || Object.hasOwn(PEER_FIELDS, name);
}

/** A field of every peer; undefined when there is none of that name. */
export function formatField(field: string, peers: readonly PeerStatus[]): string | undefined {
  if (field === 'peers') return peers.map(({ id }) => `${id}\n`).join('');
  const value = Object.hasOwn(PEER_FIELDS, field) ? PEER_FIELDS[field] : undefined;
  return value && peers.map((peer) => `${peer.id}\t${value(peer)}\n`).join('');
}

function unixSeconds(at: number | undefined): string {
  return String(at === undefined ? 0 : Math.floor(at / SECOND));
}
