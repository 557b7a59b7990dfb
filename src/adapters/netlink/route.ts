import { parseOuterIp, type Family, type Ip, type OuterIp } from '../../core/addr.ts';
import { KernelError } from '../../core/errors.ts';
import {
  decodeAddress,
  encodeDelAddress,
  encodeGetAddresses,
  encodeNewAddress,
  type Address,
  type AddressSpec,
} from '../../core/netlink/address.ts';
import {
  decodeLink,
  encodeChangeIpTunnel,
  encodeDelLink,
  encodeGetLink,
  encodeNewIpTunnel,
  encodeNewLink,
  encodeSetLink,
  type IpTunnelSpec,
  type Link,
  type LinkChange,
  type LinkSpec,
} from '../../core/netlink/link.ts';
import {
  NETLINK_ROUTE,
  type NetlinkCall,
  type NetlinkMessage,
} from '../../core/netlink/message.ts';
import {
  decodeRoute,
  encodeDelRoute,
  encodeGetRoutes,
  encodeNewRoute,
  encodeRouteLookup,
  type Route,
  type RouteSpec,
} from '../../core/netlink/route.ts';
import {
  decodeFamily,
  RTM_NEWADDR,
  RTM_NEWLINK,
  RTM_NEWROUTE,
} from '../../core/netlink/rtnetlink.ts';
import {
  decodeRule,
  encodeDelRule,
  encodeGetRules,
  encodeNewRule,
  RTM_NEWRULE,
  type Rule,
  type RuleSpec,
} from '../../core/netlink/rule.ts';
import type { IfIndex } from '../../core/units.ts';
import { readAnswer, unless } from './answers.ts';
import { openNetlink, type NetlinkRequest, type NetlinkSocket } from './socket.ts';

export type { Address, AddressSpec } from '../../core/netlink/address.ts';
export type {
  FouEncap,
  IpTunnel,
  IpTunnelDevice,
  IpTunnelKind,
} from '../../core/netlink/ip-tunnel.ts';
export type {
  IpTunnelSpec,
  Link,
  LinkChange,
  LinkSpec,
  LinkStats,
} from '../../core/netlink/link.ts';
export type { Route, RouteSpec } from '../../core/netlink/route.ts';

/** How the kernel would send to an address. */
export type RouteAnswer = {
  /** The source address that it would choose. */
  readonly source: OuterIp;
  readonly oif: IfIndex;
  readonly gateway: Ip | undefined;
  /** The route's own MTU or the path's as learnt; undefined = that of the device. */
  readonly mtu: number | undefined;
};

/**
 * Links, addresses and routes of one network namespace. What is refused rejects with KernelError
 * (exit `link`, `address` or, of routes, `generic`). Removing what is gone already is no failure.
 */
export interface RouteNetlink extends Disposable {
  links(): Promise<readonly Link[]>;
  linkByName(name: string): Promise<Link | undefined>;
  linkByIndex(index: IfIndex): Promise<Link | undefined>;
  /** Makes a tunnel device, down; EEXIST when name or (link, local, remote) is taken. */
  addIpTunnel(spec: IpTunnelSpec): Promise<IfIndex>;
  /** Re-points a tunnel device of that kind in place; its name stays. */
  changeIpTunnel(index: IfIndex, spec: IpTunnelSpec): Promise<void>;
  addLink(spec: LinkSpec): Promise<IfIndex>;
  setLink(index: IfIndex, change: LinkChange): Promise<void>;
  removeLink(index: IfIndex): Promise<void>;
  /** Addresses in the kernel's order, IPv4 first. */
  addresses(filter?: AddressFilter): Promise<readonly Address[]>;
  addAddress(spec: AddressSpec): Promise<void>;
  removeAddress(spec: AddressSpec): Promise<void>;
  /** undefined where the kernel has no way there. */
  routeTo(
    remote: Ip,
    options?: { readonly oif?: IfIndex | undefined },
  ): Promise<RouteAnswer | undefined>;
  /**
   * The MTU of the way to `remote` by the route itself (else its device), whatever was learnt of the
   * path; undefined where there is no way.
   */
  ownMtu(remote: Ip, options?: { readonly oif?: IfIndex | undefined }): Promise<number | undefined>;
  /** Routes that match all that the filter says, IPv4 first. */
  routes(filter?: RouteFilter): Promise<readonly Route[]>;
  addRoute(spec: RouteSpec): Promise<void>;
  /** Adds a route, or puts it in the place of the one to the same destination, priority and table. */
  replaceRoute(spec: RouteSpec): Promise<void>;
  removeRoute(spec: RouteSpec): Promise<void>;
  /** Rules of policy routing of a family; none where the kernel has not the family. */
  rules(family: Family): Promise<readonly Rule[]>;
  /** Adds a rule; no failure where there is the same. */
  addRule(spec: RuleSpec): Promise<void>;
  removeRule(spec: RuleSpec): Promise<void>;
  /** Many of the above at once, in this order; those that failed. A removal of what is gone is no failure. */
  changeRoutes(changes: readonly RouteChange[]): Promise<readonly RouteFailure[]>;
  close(): void;
}

export type RouteChange = {
  readonly kind: 'create' | 'replace' | 'remove';
  readonly spec: RouteSpec;
};

export type RouteFailure = { readonly change: RouteChange; readonly error: Error };

export type AddressFilter = {
  readonly index?: IfIndex | undefined;
  readonly family?: Family | undefined;
};

export type RouteFilter = {
  readonly family?: Family | undefined;
  readonly table?: number | undefined;
  readonly oif?: IfIndex | undefined;
  readonly destination?: OuterIp | undefined;
  readonly protocol?: number | undefined;
};

/** Changes of routes in one datagram: 40 to 80 bytes each, and a few milliseconds of the kernel's time in all. */
const ROUTES_PER_DATAGRAM = 1000;

/** EINVAL is how a blackhole route answers a lookup, EOPNOTSUPP a kernel without IPv6. */
const NO_WAY = ['ENETUNREACH', 'EHOSTUNREACH', 'EACCES', 'EINVAL', 'ENODEV', 'EOPNOTSUPP'];

const ROUTE_IS_GONE = ['ESRCH', 'ENODEV'];

/** Opens rtnetlink in the network namespace of the calling thread. */
export function openRouteNetlink(): RouteNetlink {
  return new RouteClient(openNetlink({ family: NETLINK_ROUTE, subject: 'rtnetlink' }));
}

class RouteClient implements RouteNetlink {
  readonly #socket: NetlinkSocket;

  constructor(socket: NetlinkSocket) {
    this.#socket = socket;
  }

  async links(): Promise<readonly Link[]> {
    const messages = await this.#socket.dump({ ...encodeGetLink('all'), exit: 'link' });
    return messages
      .filter((message) => message.type === RTM_NEWLINK)
      .map((message) => readAnswer(decodeLink, message, 'RTM_GETLINK', 'link'));
  }

  linkByName(name: string): Promise<Link | undefined> {
    return this.#link(encodeGetLink({ name }), `link ${name}`);
  }

  linkByIndex(index: IfIndex): Promise<Link | undefined> {
    return this.#link(encodeGetLink({ index }), `link ${index}`);
  }

  async #link(call: NetlinkCall, subject: string): Promise<Link | undefined> {
    const get = this.#socket.get({ ...call, exit: 'link', subject });
    const message = await unless(['ENODEV'], undefined, get);
    return message && readAnswer(decodeLink, message, 'RTM_GETLINK', 'link');
  }

  addIpTunnel(spec: IpTunnelSpec): Promise<IfIndex> {
    return this.#make(encodeNewIpTunnel(spec), spec.name);
  }

  addLink(spec: LinkSpec): Promise<IfIndex> {
    return this.#make(encodeNewLink(spec), spec.name);
  }

  async #make(call: NetlinkCall, name: string): Promise<IfIndex> {
    const subject = `link ${name}`;
    await this.#socket.request({ ...call, exit: 'link', subject });
    const made = await this.linkByName(name);
    if (made) return made.index;
    const words = 'it was gone as soon as it was made';
    throw new KernelError('link', { operation: call.operation, errno: 'ENODEV', words, subject });
  }

  async changeIpTunnel(index: IfIndex, spec: IpTunnelSpec): Promise<void> {
    const call = encodeChangeIpTunnel(index, spec);
    await this.#socket.request({ ...call, exit: 'link', subject: `link ${spec.name}` });
  }

  async setLink(index: IfIndex, change: LinkChange): Promise<void> {
    const call = encodeSetLink(index, change);
    await this.#socket.request({ ...call, exit: 'link', subject: `link ${index}` });
  }

  async removeLink(index: IfIndex): Promise<void> {
    const request = { ...encodeDelLink(index), exit: 'link', subject: `link ${index}` } as const;
    await unless(['ENODEV'], undefined, this.#socket.request(request));
  }

  async addresses({ index, family }: AddressFilter = {}): Promise<readonly Address[]> {
    const messages = await this.#dumpOf(family, RTM_NEWADDR, (each) => {
      const request = { ...encodeGetAddresses(each, index), exit: 'address' } as const;
      return unless(['ENODEV'], [], this.#socket.dump(request));
    });
    return messages
      .map((message) => readAnswer(decodeAddress, message, 'RTM_GETADDR', 'address'))
      .filter((address) => index === undefined || address.index === index);
  }

  /** Of a family that it has not, a kernel answers with all others. */
  async #dumpOf(
    family: Family | undefined,
    type: number,
    dump: (family: Family) => Promise<readonly NetlinkMessage[]>,
  ): Promise<readonly NetlinkMessage[]> {
    const families: readonly Family[] = family === undefined ? ['ipv4', 'ipv6'] : [family];
    const dumps = families.map(async (each) =>
      (await dump(each)).filter(
        (message) => message.type === type && decodeFamily(message.payload[0]) === each,
      ),
    );
    return (await Promise.all(dumps)).flat();
  }

  async addAddress(spec: AddressSpec): Promise<void> {
    const subject = subjectOfAddress(spec);
    await this.#socket.request({ ...encodeNewAddress(spec), exit: 'address', subject });
  }

  async removeAddress(spec: AddressSpec): Promise<void> {
    const subject = subjectOfAddress(spec);
    const request = { ...encodeDelAddress(spec), exit: 'address', subject } as const;
    await unless(['EADDRNOTAVAIL', 'ENODEV'], undefined, this.#socket.request(request));
  }

  async routeTo(
    remote: Ip,
    options: { readonly oif?: IfIndex | undefined } = {},
  ): Promise<RouteAnswer | undefined> {
    const route = await this.#lookUp(remote, options.oif, 'path');
    if (!route) return undefined;
    const { oif, gateway, mtu } = route;
    const source = route.source === undefined ? undefined : parseOuterIp(route.source);
    return source === undefined || oif === undefined ? undefined : { source, oif, gateway, mtu };
  }

  async ownMtu(
    remote: Ip,
    options: { readonly oif?: IfIndex | undefined } = {},
  ): Promise<number | undefined> {
    const route = await this.#lookUp(remote, options.oif, 'table');
    if (!route) return undefined;
    if (route.mtu !== undefined) return route.mtu;
    // An entry with several gateways names no device; the way that is chosen of them does.
    const oif = route.oif ?? (await this.#lookUp(remote, options.oif, 'path'))?.oif;
    return oif && (await this.linkByIndex(oif))?.mtu;
  }

  async #lookUp(
    remote: Ip,
    oif: IfIndex | undefined,
    view: 'path' | 'table',
  ): Promise<Route | undefined> {
    const call = encodeRouteLookup(remote, oif, view);
    const get = this.#socket.get({ ...call, subject: `route to ${remote}` });
    const message = await unless(NO_WAY, undefined, get);
    return message && readAnswer(decodeRoute, message, call.operation, 'generic');
  }

  async routes(filter: RouteFilter = {}): Promise<readonly Route[]> {
    // ENOENT: the table does not exist.
    const messages = await this.#dumpOf(filter.family, RTM_NEWROUTE, (family) =>
      unless(['ENOENT'], [], this.#socket.dump(encodeGetRoutes(family, filter.table))),
    );
    return messages
      .map((message) => readAnswer(decodeRoute, message, 'RTM_GETROUTE', 'generic'))
      .filter((route) => !route.cloned && matches(route, filter));
  }

  async addRoute(spec: RouteSpec): Promise<void> {
    const subject = subjectOfRoute(spec);
    await this.#socket.request({ ...encodeNewRoute(spec, 'create'), subject });
  }

  async replaceRoute(spec: RouteSpec): Promise<void> {
    const subject = subjectOfRoute(spec);
    await this.#socket.request({ ...encodeNewRoute(spec, 'replace'), subject });
  }

  async removeRoute(spec: RouteSpec): Promise<void> {
    const request = { ...encodeDelRoute(spec), subject: subjectOfRoute(spec) };
    await unless(ROUTE_IS_GONE, undefined, this.#socket.request(request));
  }

  async rules(family: Family): Promise<readonly Rule[]> {
    const messages = await unless(
      ['EOPNOTSUPP', 'EAFNOSUPPORT'],
      [],
      this.#socket.dump(encodeGetRules(family)),
    );
    return messages
      .filter(({ type, payload }) => type === RTM_NEWRULE && decodeFamily(payload[0]) === family)
      .map((message) => readAnswer(decodeRule, message, 'RTM_GETRULE', 'generic'));
  }

  async addRule(spec: RuleSpec): Promise<void> {
    const request = { ...encodeNewRule(spec), subject: subjectOfRule(spec) };
    await unless(['EEXIST'], undefined, this.#socket.request(request));
  }

  async removeRule(spec: RuleSpec): Promise<void> {
    const request = { ...encodeDelRule(spec), subject: subjectOfRule(spec) };
    await unless(['ENOENT'], undefined, this.#socket.request(request));
  }

  async changeRoutes(changes: readonly RouteChange[]): Promise<readonly RouteFailure[]> {
    const failures: RouteFailure[] = [];
    for (let start = 0; start < changes.length; start += ROUTES_PER_DATAGRAM) {
      const part = changes.slice(start, start + ROUTES_PER_DATAGRAM);
      const results = await this.#socket.attempt(part.map(requestOf));
      part.forEach((change, place) => {
        const error = results[place];
        if (error !== undefined && !isGone(change, error)) failures.push({ change, error });
      });
    }
    return failures;
  }

  close(): void {
    this.#socket.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

function subjectOfAddress(spec: AddressSpec): string {
  const peer = spec.peer === undefined ? '' : ` peer ${spec.peer}`;
  return `address ${spec.ip}${peer}/${spec.prefix} of link ${spec.index}`;
}

function requestOf({ kind, spec }: RouteChange): NetlinkRequest {
  const call = kind === 'remove' ? encodeDelRoute(spec) : encodeNewRoute(spec, kind);
  return { ...call, subject: subjectOfRoute(spec) };
}

function isGone(change: RouteChange, error: Error): boolean {
  return (
    change.kind === 'remove' && error instanceof KernelError && ROUTE_IS_GONE.includes(error.errno)
  );
}

function subjectOfRule({ family, priority, table }: RuleSpec): string {
  return `rule ${priority} of ${family}, table ${table}`;
}

function subjectOfRoute(spec: RouteSpec): string {
  return `route to ${spec.destination}/${spec.prefix}`;
}

function matches(route: Route, filter: RouteFilter): boolean {
  return (
    (filter.table === undefined || route.table === filter.table) &&
    (filter.oif === undefined || route.oif === filter.oif) &&
    (filter.destination === undefined || route.destination === filter.destination) &&
    (filter.protocol === undefined || route.protocol === filter.protocol)
  );
}
