import { isHostOf, type Prefix } from '../addr.ts';
import { EXPOSED_RATE } from '../budgets.ts';
import {
  DEVICE_PREFIX,
  FIRST_INNER_IP,
  FIRST_LOCAL_IP_ALT,
  FIRST_LOCAL_PORT,
  NFT_TABLE,
  NUMBER_FROM_QUEUE_MAX,
  QUEUE_LENGTH,
  QUEUE_LENGTH_MAX,
  QUEUE_NUMBER_MAX,
  RETURN_TABLE_FIRST,
} from './limits.ts';
import { exposureList, sourceList } from './exposure-list.ts';
import { flag, parted, valued, type Option } from './option.ts';
import { mtuValue, prefixList, publicAddresses } from './syntax-peers.ts';
import {
  deviceName,
  host,
  innerAddresses,
  localEndpoint,
  nftName,
  oneOf,
  outerAddresses,
  outerIpv4,
  portNumber,
  remoteEndpoint,
  wholeNumber,
} from './syntax.ts';
import { formatMark, markValue } from './syntax-reach.ts';
import type { PeerConfig } from './tunnel-config.ts';

/** Addresses, ports, devices and what carries the packets. */
export const OUTER_OPTIONS: readonly Option[] = [
  parted(
    {
      name: 'fou-local',
      short: 'b',
      group: 'outer',
      help: 'fou-local-ip, fou-local-port and fou-dev in one.',
    },
    localEndpoint,
    ['localIps', 'localPort', 'outerDevice'],
    ({ ip, port, device }) => ({ localIps: ip && [ip], localPort: port, outerDevice: device }),
  ),
  valued(
    {
      name: 'fou-local-ip',
      group: 'outer',
      fallback: 'the first address of fou-dev, else what the route says',
      fixed: ({ config }) => config.outer.localIps.join(),
      help: 'Own address, or one of each family; then no other family is used.',
    },
    outerAddresses,
    'localIps',
  ),
  valued(
    {
      name: 'fou-family',
      group: 'outer',
      fallback: 'auto: both, or those of fou-local-ip',
      fixed: ({ config }) => config.outer.family,
      help:
        'What the tunnel runs over. With auto, a server listens on both, and a client goes to a name by ' +
        'the family that works.',
    },
    oneOf('FAMILY', ['auto', 'ipv4', 'ipv6'] as const),
    'outerFamily',
  ),
  valued(
    {
      name: 'fou-local-port',
      group: 'outer',
      fallback: `${FIRST_LOCAL_PORT}+N`,
      fixed: ({ config }) => config.outer.localPort,
      help: 'Own UDP port.',
    },
    portNumber,
    'localPort',
  ),
  valued(
    {
      name: 'fou-dev',
      group: 'outer',
      fallback: 'what the route says',
      fixed: ({ config }) => config.outer.device,
      help: 'The device that packets leave and arrive by.',
    },
    deviceName,
    'outerDevice',
  ),
  valued(
    {
      name: 'fou-local-ip-alt',
      group: 'outer',
      plane: 'fou',
      fallback: `${FIRST_LOCAL_IP_ALT}+N`,
      fixed: ({ config }) => config.outer.localIpAlt,
      help:
        'Private address that stands in for the own one, by NAT, when another tunnel has the ' +
        'same pair of addresses.',
    },
    outerIpv4,
    'localIpAlt',
  ),
  flag(
    {
      name: 'force-fou-local-ip-alt',
      group: 'outer',
      plane: 'fou',
      fixed: ({ config }) => config.outer.forceLocalIpAlt,
      help: 'Use the alternative address even where it is not needed.',
    },
    { forceLocalIpAlt: true },
  ),
  parted(
    {
      name: 'fou-remote',
      short: 'r',
      group: 'outer',
      peer: 'own',
      help: 'fou-remote-ip and fou-remote-port in one.',
    },
    remoteEndpoint,
    ['remoteHost', 'remotePort'],
    ({ host: remoteHost, port }) => ({ remoteHost, remotePort: port }),
  ),
  valued(
    {
      name: 'fou-remote-ip',
      group: 'outer',
      peer: 'own',
      fallback: 'server: learned; a client must give it',
      kept: ({ remoteHost }) => remoteHost,
      help: "The other side's address or name.",
    },
    host,
    'remoteHost',
  ),
  valued(
    {
      name: 'fou-remote-port',
      group: 'outer',
      peer: 'own',
      fallback: 'server: learned; a client must give it',
      kept: ({ remotePort }) => remotePort,
      help: "The other side's UDP port.",
    },
    portNumber,
    'remotePort',
  ),
  flag(
    {
      name: 'encap-csum',
      group: 'outer',
      fallback: 'over IPv6 yes; over IPv4 what the system does: on fou none, on tun yes',
      fixed: ({ config }) => config.outer.udpChecksum,
      help:
        'Put UDP checksums on tunnelled packets: for NATs, and translators between IPv4 and IPv6 (NAT64, ' +
        '464XLAT), that drop packets without. On fou not where a NAT runs in the same kernel or on the host of ' +
        'this guest: Linux spoils them there.',
    },
    { udpChecksum: true },
  ),
  flag(
    {
      name: 'no-encap-csum',
      group: 'outer',
      help: 'Send tunnelled packets without UDP checksums, also over IPv6 (RFC 6935).',
    },
    { udpChecksum: false },
  ),
];

/** A peer's own addresses are the first of its prefixes; what is left is what the option says. */
function othersOf({
  allowedIps,
  innerIps,
  publicIps = [],
}: PeerConfig): readonly Prefix[] | undefined {
  if (allowedIps === 'any') return undefined;
  const others = allowedIps.slice(innerIps.length).filter((prefix) => !isHostOf(prefix, publicIps));
  return others.length === 0 ? undefined : others;
}

export const INNER_OPTIONS: readonly Option[] = [
  valued(
    {
      name: 'tunl-dev',
      group: 'inner',
      fallback: `${DEVICE_PREFIX}N`,
      fixed: ({ config }) => config.inner.device,
      help: 'Name of the tunnel device.',
    },
    deviceName,
    'tunnelDevice',
  ),
  valued(
    {
      name: 'tunl-ip',
      group: 'inner',
      fallback: `server: ${FIRST_INNER_IP}+2N; a client must give it`,
      fixed: ({ config }) => config.inner.ips.join(),
      help: 'Own address inside the tunnel, or one of each family: these families it carries.',
    },
    innerAddresses,
    'innerIps',
  ),
  valued(
    {
      name: 'tunl-peer-ip',
      group: 'inner',
      peer: 'own',
      fallback: 'server: tunl-ip plus one, but a section must give it; client: tunl-ip less one',
      kept: ({ innerIps }) => innerIps,
      help: "The other side's address inside the tunnel, or one of each family.",
    },
    innerAddresses,
    'innerPeerIps',
  ),
  valued(
    {
      name: 'allowed-ips',
      group: 'inner',
      peer: 'own',
      fallback: 'tunl-peer-ip; any, for a tunnel without sections',
      kept: othersOf,
      help:
        'Networks behind the other side: it may send from them, and what is sent to them goes to ' +
        'it, the longest prefix first. tunl-peer-ip is always among them.',
    },
    prefixList,
    'allowedIps',
  ),
  valued(
    {
      name: 'mtu',
      group: 'inner',
      fallback:
        "the outer path's less 28, over IPv6 48; a client probes it where the server's replies permit",
      fixed: ({ config }) => config.inner.mtu,
      help:
        'MTU of the tunnel device; auto: that of the path, which is probed and followed, and where ' +
        'that cannot be done it is said.',
    },
    mtuValue,
    'mtu',
  ),
];

/** Services behind a client, and the way of their answers. */
export const REACH_OPTIONS: readonly Option[] = [
  valued(
    {
      name: 'expose',
      group: 'reach',
      role: 'server',
      peer: 'own',
      fallback: 'none',
      kept: ({ exposed }) => exposed?.services,
      help:
        "Services of the peer's that visitors reach at this host's addresses, and that see the visitors' own " +
        'addresses: [IP:]PROTOCOL/PORT[-PORT][:TARGET][:PORT], or [IP:]all[:TARGET] for every port that nothing else ' +
        'on this host has. TARGET is a host behind the peer, of its allowed-ips. Behind a service stand its limits: ' +
        '`from PREFIXES` instead of expose-from, `rate N` new connections a second (none: any; without, ' +
        `${EXPOSED_RATE.perSecond}), of one visitor a quarter of that; \`connections N\` at one time.`,
    },
    exposureList,
    'expose',
  ),
  valued(
    {
      name: 'public-ip',
      group: 'reach',
      peer: 'own',
      fallback: 'none',
      kept: ({ publicIps }) => publicIps,
      help:
        'Public addresses that are the peer’s own, of a client its own (the same at both ends): whatever comes to them ' +
        'goes there, and what is sent from them leaves by the server. They are routed to the server, or of a network of its.',
    },
    publicAddresses,
    'publicIps',
  ),
  valued(
    {
      name: 'expose-from',
      group: 'reach',
      role: 'server',
      peer: 'own',
      fallback: 'none: from anywhere',
      kept: ({ exposed }) => exposed?.from,
      help: 'Where visitors of the exposed services may come from; those with a `from` of their own have that.',
    },
    sourceList,
    'exposeFrom',
  ),
  valued(
    {
      name: 'return-path',
      group: 'reach',
      role: 'client',
      fallback: 'route: what the routes of this host say',
      fixed: ({ config }) => config.returnPath !== undefined,
      help:
        'With tunnel, what comes in by the tunnel is answered by it, by this host and by those behind it, ' +
        'whatever its default route is: for services that the server exposes.',
    },
    oneOf('WAY', ['tunnel', 'route'] as const),
    'returnPath',
  ),
  valued(
    {
      name: 'return-path-table',
      group: 'reach',
      role: 'client',
      fallback: `the first free one from ${RETURN_TABLE_FIRST}`,
      fixed: ({ config }) => config.returnPath?.table,
      help: 'Number of the routing table of return-path.',
    },
    wholeNumber('N', 256, 0xffff_ffff),
    'returnTable',
  ),
  valued(
    {
      name: 'return-path-mark',
      group: 'reach',
      role: 'client',
      fallback: 'the first free one from 0x1000000/0x3f000000',
      fixed: ({ config }) => config.returnPath?.mark && formatMark(config.returnPath.mark),
      help: 'Mark of the connections, and packets, of return-path: only the bits of MASK are touched.',
    },
    markValue,
    'returnMark',
  ),
];

export const PLANE_OPTIONS: readonly Option[] = [
  valued(
    {
      name: 'dataplane',
      group: 'planes',
      fallback: 'auto',
      fixed: ({ config }) => config.dataplane,
      help:
        "What carries the packets: fou is the kernel's Foo-over-UDP, bpf programs of this program " +
        'in the kernel, tun is user space; auto takes the best that works here and says which.',
    },
    oneOf('PLANE', ['auto', 'fou', 'bpf', 'tun'] as const),
    'dataplane',
  ),
  valued(
    {
      name: 'queue-number',
      short: 'q',
      group: 'planes',
      fallback: 'N',
      fixed: ({ config }) => config.queue.number,
      help: `NFQUEUE number. With N 0 and a value from 1 to ${NUMBER_FROM_QUEUE_MAX} here, N becomes this.`,
    },
    wholeNumber('N', 0, QUEUE_NUMBER_MAX),
    'queueNumber',
  ),
  valued(
    {
      name: 'nfq-max-len',
      group: 'planes',
      plane: 'fou',
      fallback: `${QUEUE_LENGTH}`,
      fixed: ({ config }) => config.queue.maxLength,
      help: 'How many packets may wait in the queue; more are dropped.',
    },
    wholeNumber('N', 1, QUEUE_LENGTH_MAX),
    'queueLength',
  ),
  valued(
    {
      name: 'nft-table',
      group: 'planes',
      plane: 'fou',
      fallback: NFT_TABLE,
      fixed: ({ config }) => config.nft.table,
      help: 'nftables table (family ip) to keep rules in; tunnels may share one.',
    },
    nftName,
    'nftTable',
  ),
  flag(
    {
      name: 'no-nft-counter',
      group: 'planes',
      plane: 'fou',
      fixed: ({ config }) => config.nft.counters,
      help: 'Leave counters out of the nftables rules.',
    },
    { nftCounters: false },
  ),
];
