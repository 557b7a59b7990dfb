import { isHostOf, type Prefix } from '../addr.ts';
import { DEVICE_PREFIX, FIRST_INNER_IP, FIRST_LOCAL_IP_ALT, FIRST_LOCAL_PORT } from './limits.ts';
import { flag, parted, valued, type Option } from './option.ts';
import { mtuValue, prefixList } from './syntax-peers.ts';
import {
  deviceName,
  host,
  innerAddresses,
  localEndpoint,
  oneOf,
  outerAddresses,
  outerIpv4,
  portNumber,
  remoteEndpoint,
} from './syntax.ts';
import type { PeerConfig } from './tunnel-config.ts';

/** Addresses, ports and devices. */
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
      fallback: 'over IPv6 yes; over IPv4 on fou and bpf none, on tun yes',
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
  flag(
    {
      name: 'outer-fragments',
      group: 'outer',
      fixed: ({ config }) => config.outer.fragments,
      help:
        'With `mtu N`, as 1500: over IPv4, what does not fit the path is sent in fragments that the other end puts ' +
        'together. On both ends, on fou or tun. It costs speed, and is lost where fragments are dropped.',
    },
    { outerFragments: true },
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
