import type { Ip } from '../../core/addr.ts';
import { decodeAddress } from '../../core/netlink/address.ts';
import { decodeLink, linkFamily } from '../../core/netlink/link.ts';
import { NETLINK_ROUTE, type NetlinkMessage } from '../../core/netlink/message.ts';
import { decodeRoute } from '../../core/netlink/route.ts';
import {
  AF_UNSPEC,
  RTM_DELADDR,
  RTM_DELLINK,
  RTM_DELROUTE,
  RTM_NEWADDR,
  RTM_NEWLINK,
  RTM_NEWROUTE,
  RTNLGRP_IPV4_IFADDR,
  RTNLGRP_IPV4_ROUTE,
  RTNLGRP_IPV6_IFADDR,
  RTNLGRP_IPV6_ROUTE,
  RTNLGRP_LINK,
} from '../../core/netlink/rtnetlink.ts';
import type { IfIndex } from '../../core/units.ts';
import { openNetlink, type NetlinkEvent } from './socket.ts';

/** `new` is also said of what changed. */
export type Change = 'new' | 'delete';

export type RouteEvent =
  | {
      readonly kind: 'link';
      readonly change: Change;
      readonly index: IfIndex;
      readonly name: string;
      readonly up: boolean;
      readonly mtu: number;
    }
  | {
      readonly kind: 'address';
      readonly change: Change;
      readonly index: IfIndex;
      readonly ip: Ip;
      readonly peer: Ip | undefined;
      readonly prefix: number;
    }
  | {
      readonly kind: 'route';
      readonly change: Change;
      readonly destination: Ip;
      readonly prefix: number;
      readonly table: number;
      readonly oif: IfIndex | undefined;
    }
  /** Events were lost (or could not be read): anything may have changed, read it anew. */
  | { readonly kind: 'overrun' };

export interface RouteWatch extends Disposable {
  close(): void;
}

const GROUPS = [
  RTNLGRP_LINK,
  ...[RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV4_ROUTE],
  ...[RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV6_ROUTE],
];

/** Tells of every change of links, addresses and routes of both families in the calling thread's namespace. */
export function watchRoutes(callback: (event: RouteEvent) => void): RouteWatch {
  return openNetlink({
    family: NETLINK_ROUTE,
    groups: GROUPS,
    subject: 'rtnetlink monitor',
    onEvent: (event) => {
      const read = readEvent(event);
      if (read) callback(read);
    },
  });
}

function readEvent(event: NetlinkEvent): RouteEvent | undefined {
  if (event.kind === 'overrun') return event;
  const { type } = event.message;
  switch (type) {
    case RTM_NEWLINK:
    case RTM_DELLINK:
      return linkEvent(event.message, type === RTM_NEWLINK ? 'new' : 'delete');
    case RTM_NEWADDR:
    case RTM_DELADDR:
      return addressEvent(event.message, type === RTM_NEWADDR ? 'new' : 'delete');
    case RTM_NEWROUTE:
    case RTM_DELROUTE:
      return routeEvent(event.message, type === RTM_NEWROUTE ? 'new' : 'delete');
    default:
      return undefined;
  }
}

function linkEvent({ payload }: NetlinkMessage, change: Change): RouteEvent | undefined {
  // A bridge says "deleted" of a port that leaves it, as family AF_BRIDGE: the link lives on.
  if (linkFamily(payload) !== AF_UNSPEC) return undefined;
  const link = decodeLink(payload);
  if (!link.ok) return { kind: 'overrun' };
  const { index, name, up, mtu } = link.value;
  return { kind: 'link', change, index, name, up, mtu };
}

function addressEvent({ payload }: NetlinkMessage, change: Change): RouteEvent {
  const address = decodeAddress(payload);
  if (!address.ok) return { kind: 'overrun' };
  const { index, ip, peer, prefix } = address.value;
  return { kind: 'address', change, index, ip, peer, prefix };
}

function routeEvent({ payload }: NetlinkMessage, change: Change): RouteEvent {
  const route = decodeRoute(payload);
  if (!route.ok) return { kind: 'overrun' };
  const { destination, prefix, table, oif } = route.value;
  return { kind: 'route', change, destination, prefix, table, oif };
}
