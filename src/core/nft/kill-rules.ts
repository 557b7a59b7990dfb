/**
 * Rules that let nothing leave this host but by the tunnel: its own packets to the server, and what a host needs to
 * get and keep an address. They know the tunnel device by its name, so that they hold while there is none. What
 * programs of the kernel send past netfilter (`bpf`: the tunnel's packets) they do not see, nor packet sockets.
 */
import { familyOf, type Endpoint } from '../addr.ts';
import type { KillSwitch } from '../config/syntax-everything.ts';
import { devicesOf } from './expose-rules.ts';
import { tableScript } from './own-table.ts';

/** The counter of what was kept from leaving. */
export const KEPT = 'kept';

/** DHCP (RFC 2131) and DHCPv6 (RFC 9915), by ports: source, destination. */
const LEASES = ['udp sport 68 udp dport 67 accept', 'udp sport 546 udp dport 547 accept'];

/** What IPv6 cannot do without on a link (RFC 4861, RFC 3810); such packets are not forwarded. */
const NEIGHBOURS =
  'icmpv6 type { nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert, mld-listener-report, mld-listener-done, mld2-listener-report } accept';

/** Networks of one's own: RFC 1918, RFC 3927, RFC 4193, RFC 4291; and groups that stay there (RFC 2365, RFC 4291). */
const LOCAL = [
  'ip daddr { 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 169.254.0.0/16, 224.0.0.0/24, 239.255.0.0/16, 255.255.255.255 } accept',
  'ip6 daddr { fe80::/10, fc00::/7, ff02::/16, ff05::/16 } accept',
];

export function killScript({
  table,
  device,
  mode,
  servers,
}: {
  readonly table: string;
  readonly device: string;
  readonly mode: KillSwitch;
  readonly servers: readonly Endpoint[];
}): string {
  const names = devicesOf(device);
  const local = mode === 'lan' ? LOCAL : [];
  const end = `counter name ${KEPT} drop`;
  const chains: readonly (readonly [name: string, hook: string, rules: readonly string[]])[] = [
    [
      'leaving',
      'output',
      [
        'oifname "lo" accept',
        ...names.map((name) => `oifname "${name}" accept`),
        ...servers.map(({ ip, port }) => {
          const family = familyOf(ip) === 'ipv4' ? 'ip' : 'ip6';
          return `${family} daddr ${ip} udp dport ${port} accept`;
        }),
        ...LEASES,
        NEIGHBOURS,
        ...local,
        end,
      ],
    ],
    [
      'passing',
      'forward',
      [
        ...names.flatMap((name) => [`oifname "${name}" accept`, `iifname "${name}" accept`]),
        ...local,
        end,
      ],
    ],
  ];
  return tableScript(
    table,
    chains.map(([name, hook, rules]) => [
      name,
      `{ type filter hook ${hook} priority filter + 20; policy drop; }`,
      rules,
    ]),
    [`counter ${KEPT}`],
  );
}
