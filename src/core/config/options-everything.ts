import { flag, valued, type Option } from './option.ts';
import { oneOf } from './syntax.ts';
import { dnsServers, tableValue } from './syntax-everything.ts';

/** A tunnel that takes everything: the default route, and what belongs to that. */
export const EVERYTHING_OPTIONS: readonly Option[] = [
  valued(
    {
      name: 'table',
      group: 'everything',
      role: 'client',
      fallback: 'main',
      fixed: ({ config }) => config.table,
      help:
        'Where the routes to allowed-ips are made. main: in the main table, but none that could take the outer ' +
        'packets of the tunnel in. auto: those as well (0.0.0.0/0, ::/0), in a table of their own by rules of policy ' +
        'routing, which keep the outer path outside. A number: all in that table, without rules. off: none.',
    },
    tableValue,
    'table',
  ),
  valued(
    {
      name: 'kill-switch',
      group: 'everything',
      role: 'client',
      fallback: 'off',
      fixed: ({ config }) => config.killSwitch,
      help:
        'Let nothing leave this host but by the tunnel, from before its start until `ipipou down`, also while it is ' +
        "dead: strict passes the tunnel's own packets to fou-remote, which must be an address, DHCP and what IPv6 " +
        'needs on a link; lan passes private addresses as well.',
    },
    oneOf('MODE', ['strict', 'lan', 'off'] as const),
    'killSwitch',
  ),
  valued(
    {
      name: 'dns',
      group: 'everything',
      role: 'client',
      fallback: 'those that this host has',
      fixed: ({ config }) => config.dns && [...config.dns.servers, ...config.dns.domains].join(),
      help:
        'Name servers that this host asks while the tunnel is up, by systemd-resolved or else resolvconf; with ' +
        'domains (~example.com) they are asked for these alone, where systemd-resolved runs.',
    },
    dnsServers,
    'dns',
  ),
  flag(
    {
      name: 'masquerade',
      group: 'everything',
      role: 'server',
      fixed: ({ config }) => config.masquerade,
      help:
        "Forward what comes out of the tunnel for others than this host, with this host's address: for clients " +
        'with table auto.',
    },
    { masquerade: true },
  ),
];
