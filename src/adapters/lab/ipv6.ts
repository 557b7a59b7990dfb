import { addToIp, parseOuterIp, type OuterIp } from '../../core/addr.ts';

/*
 * IPv6 in the lab: routed, without translation, behind the stateful firewall of a home router.
 *
 *   SERVER                      ROUTER                                   CLIENT 0, 1, …
 *   2001:db8::1/64 ──────────── 2001:db8::2/64   2001:db8:1::1/64 ────── 2001:db8:1::2/64, ::3…
 *   2001:db8:1::/64 via ::2     lets in what answers what went out       default via 2001:db8:1::1
 */

export const SERVER_ADDRESS6 = address('2001:db8::1');
export const ROUTER_WAN_ADDRESS6 = address('2001:db8::2');
export const ROUTER_LAN_ADDRESS6 = address('2001:db8:1::1');
const LAN6 = '2001:db8:1::/64';
export const CLIENT_BASE6 = address('2001:db8:1::2');
/** Where `changeClientAddress` moves to. */
export const CLIENT_MOVED_BASE6 = address('2001:db8:1::100');

export type Client6 = { readonly device: string; readonly address: OuterIp };

/** Lines of `ip` for the server. */
export function serverLines6(): readonly string[] {
  return [
    `addr add ${SERVER_ADDRESS6}/64 dev eth0 nodad`,
    `route add ${LAN6} via ${ROUTER_WAN_ADDRESS6}`,
  ];
}

/** Lines for the router, whose LAN is a bridge or (undefined) a device a client. */
export function routerLines6(
  bridge: string | undefined,
  clients: readonly Client6[],
): readonly string[] {
  const wan = `addr add ${ROUTER_WAN_ADDRESS6}/64 dev wan nodad`;
  if (bridge !== undefined) return [wan, `addr add ${ROUTER_LAN_ADDRESS6}/64 dev ${bridge} nodad`];
  const lans = clients.flatMap(({ device, address: ip }) => [
    `addr add ${ROUTER_LAN_ADDRESS6}/128 dev ${device} nodad`,
    `route add ${ip}/128 dev ${device}`,
  ]);
  return [wan, ...lans];
}

/** Lines for a client. */
export function clientLines6(ip: OuterIp): readonly string[] {
  return [
    `addr add ${ip}/64 dev eth0 nodad`,
    `route replace default via ${ROUTER_LAN_ADDRESS6} dev eth0`,
  ];
}

/** The router's firewall, as nft commands (RFC 6092, recommendations 10, 16 and 33). */
export const FIREWALL6: readonly string[] = [
  'add table ip6 lab',
  'add chain ip6 lab forward { type filter hook forward priority 0 ; }',
  'add rule ip6 lab forward iifname "wan" ct state established,related accept',
  'add rule ip6 lab forward iifname "wan" counter drop',
  'add chain ip6 lab input { type filter hook input priority 0 ; }',
  'add rule ip6 lab input iifname "wan" meta l4proto udp drop',
];

/** The address of client `index`, at first and after it moved. */
export function clientAddress6(index: number, moved = false): OuterIp {
  return addToIp(moved ? CLIENT_MOVED_BASE6 : CLIENT_BASE6, index);
}

function address(text: string): OuterIp {
  const parsed = parseOuterIp(text);
  if (parsed === undefined) throw new RangeError(text);
  return parsed;
}
