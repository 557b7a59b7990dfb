import { expect, test } from 'vitest';
import { formatExposure, type Exposure } from '../../../src/core/config/exposure.ts';
import { parseExposure } from '../../../src/core/config/exposure-list.ts';
import { besideScript } from '../../../src/core/nft/beside-rules.ts';
import { countedService, countersOf } from '../../../src/core/nft/expose-counters.ts';
import { exposeScript, staleObjects } from '../../../src/core/nft/expose-rules.ts';
import { masqueradeScript } from '../../../src/core/nft/masquerade-rules.ts';
import { deviceOfTable, ownTableName } from '../../../src/core/nft/own-table.ts';
import { returnScript } from '../../../src/core/nft/return-rules.ts';
import { freeMark, SECOND_MARK } from '../../../src/core/reach/free-mark.ts';
import {
  publicAddressesOf,
  servicesOf,
  type ExposingPeer,
} from '../../../src/core/reach/services.ts';
import type { PeerId } from '../../../src/core/config/tunnel-config.ts';
import type { Family } from '../../../src/core/addr.ts';
import { port } from '../../../src/core/units.ts';
import { inner, ip } from '../../rig/addresses.ts';

const services = (...texts: readonly string[]): readonly Exposure[] =>
  texts.map((text) => parseExposure(text) as Exposure);

const home = {
  id: 'home' as PeerId,
  innerIps: [inner('172.28.0.1'), inner('fd28::1')],
  exposed: {
    services: services('tcp/443', 'udp/27015-27030:192.168.1.9', '198.51.100.7:tcp/2222:22'),
    from: [
      { ip: ip('10.0.0.0'), length: 8 },
      { ip: ip('10.1.0.0'), length: 16 },
      { ip: ip('2001:db8::'), length: 32 },
    ],
  },
};

const head = (line: string): string => line.replace(' inet t', '');
const script = (peers: readonly ExposingPeer[]): readonly string[] =>
  exposeScript({
    ...{ table: 't', device: 'ipipou0', innerIps: [inner('172.28.0.0'), inner('fd28::')] },
    ...{
      localPort: port(10_000),
      services: servicesOf(peers),
      addresses: publicAddressesOf(peers),
      closed: ['ipv6'],
    },
    stale: [{ kind: 'counter', name: 'n-home-tcp/1' }],
  })
    .trim()
    .split('\n')
    .map(head);
/** Rules of one chain. */
const rulesOf = (chain: string, peers: readonly ExposingPeer[]): readonly string[] =>
  script(peers)
    .filter((line) => line.startsWith(`add rule ${chain} `))
    .map((line) => line.slice(`add rule ${chain} `.length));

test('rules of what is exposed', () => {
  expect(script([home])).toMatchInlineSnapshot(`
    [
      "add table",
      "flush table",
      "delete counter n-home-tcp/1",
      "add counter n-home-tcp/443",
      "add counter b-home-tcp/443",
      "add counter r-home-tcp/443",
      "add counter n-home-udp/27015-27030",
      "add counter b-home-udp/27015-27030",
      "add counter r-home-udp/27015-27030",
      "add counter n-home-tcp/2222-198.51.100.7",
      "add counter b-home-tcp/2222-198.51.100.7",
      "add counter r-home-tcp/2222-198.51.100.7",
      "add set visitors { type ipv4_addr . inet_proto . inet_service; size 16384; flags dynamic,timeout; timeout 10s; }",
      "add set visitors6 { type ipv6_addr . inet_proto . inet_service; size 16384; flags dynamic,timeout; timeout 10s; }",
      "add set flows { type ipv4_addr . inet_service . ipv4_addr . inet_service; size 65536; flags dynamic,timeout; timeout 60s; }",
      "add chain rate-home-tcp/443",
      "add rule rate-home-tcp/443 ip saddr != { 10.0.0.0/8 } accept",
      "add rule rate-home-tcp/443 ip6 saddr != { 2001:db8::/32 } accept",
      "add rule rate-home-tcp/443 meta nfproto ipv4 update @visitors { ip saddr . meta l4proto . th dport & 0x0 | 443 limit rate over 250/second burst 250 packets } counter name "r-home-tcp/443" drop",
      "add rule rate-home-tcp/443 meta nfproto ipv6 update @visitors6 { ip6 saddr & ffff:ffff:ffff:ffff:: . meta l4proto . th dport & 0x0 | 443 limit rate over 250/second burst 250 packets } counter name "r-home-tcp/443" drop",
      "add rule rate-home-tcp/443 limit rate over 1000/second burst 1000 packets counter name "r-home-tcp/443" drop",
      "add chain rate-home-udp/27015-27030",
      "add rule rate-home-udp/27015-27030 ip saddr != { 10.0.0.0/8 } accept",
      "add rule rate-home-udp/27015-27030 meta nfproto ipv4 update @visitors { ip saddr . meta l4proto . th dport & 0x0 | 27015 limit rate over 250/second burst 250 packets } counter name "r-home-udp/27015-27030" drop",
      "add rule rate-home-udp/27015-27030 limit rate over 1000/second burst 1000 packets counter name "r-home-udp/27015-27030" drop",
      "add rule rate-home-udp/27015-27030 meta nfproto ipv4 meta l4proto udp limit rate 546/second burst 32768 packets add @flows { ip saddr . udp sport . ip daddr . udp dport }",
      "add chain rate-home-tcp/2222-198.51.100.7",
      "add rule rate-home-tcp/2222-198.51.100.7 ip saddr != { 10.0.0.0/8 } accept",
      "add rule rate-home-tcp/2222-198.51.100.7 meta nfproto ipv4 update @visitors { ip saddr . meta l4proto . th dport & 0x0 | 2222 limit rate over 250/second burst 250 packets } counter name "r-home-tcp/2222-198.51.100.7" drop",
      "add rule rate-home-tcp/2222-198.51.100.7 limit rate over 1000/second burst 1000 packets counter name "r-home-tcp/2222-198.51.100.7" drop",
      "add chain begun-address",
      "add rule begun-address ip daddr 198.51.100.7 meta nfproto ipv4 tcp dport vmap { 2222 : goto rate-home-tcp/2222-198.51.100.7 }",
      "add chain begun-any",
      "add rule begun-any meta nfproto ipv4 tcp dport vmap { 443 : goto rate-home-tcp/443 }",
      "add rule begun-any meta nfproto ipv4 udp dport vmap { 27015-27030 : goto rate-home-udp/27015-27030 }",
      "add rule begun-any meta nfproto ipv6 tcp dport vmap { 443 : goto rate-home-tcp/443 }",
      "add chain begun",
      "add rule begun ip daddr { 172.28.0.0 } return",
      "add rule begun ip6 daddr { fd28:: } return",
      "add rule begun ip daddr { 198.51.100.7 } jump begun-address",
      "add rule begun meta nfproto ipv4 tcp dport { 443 } fib daddr type local jump begun-any",
      "add rule begun meta nfproto ipv4 udp dport { 27015-27030 } fib daddr type local jump begun-any",
      "add rule begun meta nfproto ipv6 tcp dport { 443 } fib daddr type local jump begun-any",
      "add chain datagrams",
      "add rule datagrams udp dport 10000 accept",
      "add rule datagrams ip saddr . udp sport . ip daddr . udp dport @flows update @flows { ip saddr . udp sport . ip daddr . udp dport } accept",
      "add rule datagrams goto begun",
      "add chain beginning { type filter hook prerouting priority raw; policy accept; }",
      "add rule beginning tcp flags & (fin | syn | rst | ack) == syn goto begun",
      "add rule beginning meta l4proto udp goto datagrams",
      "add chain to-home-tcp/443",
      "add rule to-home-tcp/443 ip saddr != { 10.0.0.0/8 } accept",
      "add rule to-home-tcp/443 ip6 saddr != { 2001:db8::/32 } accept",
      "add rule to-home-tcp/443 tcp flags & (fin | syn | rst | ack) != syn jump rate-home-tcp/443",
      "add rule to-home-tcp/443 meta nfproto ipv4 counter name "n-home-tcp/443" dnat ip to 172.28.0.1",
      "add rule to-home-tcp/443 meta nfproto ipv6 counter name "n-home-tcp/443" dnat ip6 to fd28::1",
      "add chain to-home-udp/27015-27030",
      "add rule to-home-udp/27015-27030 ip saddr != { 10.0.0.0/8 } accept",
      "add rule to-home-udp/27015-27030 meta nfproto ipv4 counter name "n-home-udp/27015-27030" dnat ip to 192.168.1.9",
      "add chain to-home-tcp/2222-198.51.100.7",
      "add rule to-home-tcp/2222-198.51.100.7 ip saddr != { 10.0.0.0/8 } accept",
      "add rule to-home-tcp/2222-198.51.100.7 tcp flags & (fin | syn | rst | ack) != syn jump rate-home-tcp/2222-198.51.100.7",
      "add rule to-home-tcp/2222-198.51.100.7 meta nfproto ipv4 meta l4proto tcp counter name "n-home-tcp/2222-198.51.100.7" dnat ip to 172.28.0.1:22",
      "add chain at-address",
      "add rule at-address ip daddr 198.51.100.7 meta nfproto ipv4 tcp dport vmap { 2222 : goto to-home-tcp/2222-198.51.100.7 }",
      "add chain at-any",
      "add rule at-any meta nfproto ipv4 tcp dport vmap { 443 : goto to-home-tcp/443 }",
      "add rule at-any meta nfproto ipv4 udp dport vmap { 27015-27030 : goto to-home-udp/27015-27030 }",
      "add rule at-any meta nfproto ipv6 tcp dport vmap { 443 : goto to-home-tcp/443 }",
      "add chain arriving { type nat hook prerouting priority dstnat - 10; policy accept; }",
      "add rule arriving ip daddr { 172.28.0.0 } return",
      "add rule arriving ip6 daddr { fd28:: } return",
      "add rule arriving ip daddr { 198.51.100.7 } jump at-address",
      "add rule arriving meta nfproto ipv4 tcp dport { 443 } fib daddr type local jump at-any",
      "add rule arriving meta nfproto ipv4 udp dport { 27015-27030 } fib daddr type local jump at-any",
      "add rule arriving meta nfproto ipv6 tcp dport { 443 } fib daddr type local jump at-any",
      "add chain from-here { type nat hook output priority -110; policy accept; }",
      "add rule from-here ip daddr 127.0.0.0/8 return",
      "add rule from-here ip6 daddr ::1 return",
      "add rule from-here ip daddr { 172.28.0.0 } return",
      "add rule from-here ip6 daddr { fd28:: } return",
      "add rule from-here ip daddr { 198.51.100.7 } jump at-address",
      "add rule from-here meta nfproto ipv4 tcp dport { 443 } fib daddr type local jump at-any",
      "add rule from-here meta nfproto ipv4 udp dport { 27015-27030 } fib daddr type local jump at-any",
      "add rule from-here meta nfproto ipv6 tcp dport { 443 } fib daddr type local jump at-any",
      "add chain counted",
      "add rule counted meta nfproto ipv6 ct status & dnat != dnat drop",
      "add rule counted ct status & dnat != dnat return",
      "add rule counted ct original ip daddr 198.51.100.7 meta l4proto tcp ct original proto-dst 2222 counter name "b-home-tcp/2222-198.51.100.7" return",
      "add rule counted meta nfproto ipv4 meta l4proto tcp counter name ct original proto-dst map { 443 : "b-home-tcp/443" }",
      "add rule counted meta nfproto ipv4 meta l4proto udp counter name ct original proto-dst map { 27015-27030 : "b-home-udp/27015-27030" }",
      "add rule counted meta nfproto ipv6 meta l4proto tcp counter name ct original proto-dst map { 443 : "b-home-tcp/443" }",
      "add chain passing { type filter hook forward priority filter + 10; policy accept; }",
      "add rule passing iifname "ipipou0" goto counted",
      "add rule passing oifname "ipipou0" goto counted",
      "add rule passing iifname "ipipou0-*" goto counted",
      "add rule passing oifname "ipipou0-*" goto counted",
      "add chain claimed { type filter hook forward priority filter + 9; policy accept; }",
      "add rule claimed iifname "ipipou0" meta nfproto ipv6 meta mark set meta mark & 0x7fffffff | 0x80000000",
      "add rule claimed oifname "ipipou0" meta nfproto ipv6 meta mark set meta mark & 0x7fffffff | 0x80000000",
      "add rule claimed iifname "ipipou0-*" meta nfproto ipv6 meta mark set meta mark & 0x7fffffff | 0x80000000",
      "add rule claimed oifname "ipipou0-*" meta nfproto ipv6 meta mark set meta mark & 0x7fffffff | 0x80000000",
      "add chain forgotten { type filter hook forward priority filter + 11; policy accept; }",
      "add rule forgotten iifname "ipipou0" meta nfproto ipv6 meta mark set meta mark & 0x7fffffff",
      "add rule forgotten oifname "ipipou0" meta nfproto ipv6 meta mark set meta mark & 0x7fffffff",
      "add rule forgotten iifname "ipipou0-*" meta nfproto ipv6 meta mark set meta mark & 0x7fffffff",
      "add rule forgotten oifname "ipipou0-*" meta nfproto ipv6 meta mark set meta mark & 0x7fffffff",
      "add chain fitted",
      "add rule fitted ct status & dnat == dnat tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu",
      "add chain leaving { type filter hook postrouting priority mangle; policy accept; }",
      "add rule leaving oifname "ipipou0" goto fitted",
      "add rule leaving oifname "ipipou0-*" goto fitted",
      "add rule leaving ip daddr { 172.28.0.1, 192.168.1.9 } ct status & dnat == dnat ct direction original drop",
      "add rule leaving ip6 daddr { fd28::1 } ct status & dnat == dnat ct direction original drop",
    ]
  `);
});

test('a service has limits of its own, or those of all', () => {
  const limited = (text: string): readonly string[] => {
    const [service] = services(text);
    return rulesOf(`to-home-tcp/443`, [
      { ...home, exposed: { services: service ? [service] : [], from: [] } },
    ]);
  };
  expect(limited('tcp/443 rate 30 connections 7')).toMatchInlineSnapshot(`
    [
      "tcp flags & (fin | syn | rst | ack) != syn jump rate-home-tcp/443",
      "ct count over 7 counter name "r-home-tcp/443" drop",
      "meta nfproto ipv4 counter name "n-home-tcp/443" dnat ip to 172.28.0.1",
      "meta nfproto ipv6 counter name "n-home-tcp/443" dnat ip6 to fd28::1",
    ]
  `);
  expect(limited('tcp/443 rate none from 10.0.0.0/8')).toMatchInlineSnapshot(`
    [
      "ip saddr != { 10.0.0.0/8 } accept",
      "meta nfproto ipv4 counter name "n-home-tcp/443" dnat ip to 172.28.0.1",
    ]
  `);
});

test('all takes what no name, no socket and no lock-out has', () => {
  const office = { ...home, id: 'office' as PeerId, innerIps: [inner('172.28.0.2')] };
  const peers = [
    { ...home, exposed: { services: services('all', 'tcp/443 from 2001:db8::/32'), from: [] } },
    { ...office, exposed: { services: services('198.51.100.7:all'), from: [] } },
  ];
  expect(rulesOf('at-any', peers)).toMatchInlineSnapshot(`
    [
      "meta nfproto ipv4 tcp dport vmap { 443 : accept }",
      "meta nfproto ipv6 tcp dport vmap { 443 : goto to-home-tcp/443 }",
    ]
  `);
  expect(rulesOf('at-rest', peers)).toMatchInlineSnapshot(`
    [
      "tcp dport 22 return",
      "udp dport 10000 return",
      "socket wildcard 0 return",
      "socket wildcard 1 return",
      "ip daddr 198.51.100.7 goto to-office-all-198.51.100.7",
      "meta nfproto ipv4 fib daddr type local goto to-home-all",
      "meta nfproto ipv6 fib daddr type local goto to-home-all",
    ]
  `);
  expect(rulesOf('counted', peers)).toMatchInlineSnapshot(`
    [
      "meta nfproto ipv6 ct status & dnat != dnat drop",
      "ct status & dnat != dnat return",
      "meta nfproto ipv4 meta l4proto tcp counter name ct original proto-dst map { 443 : "b-home-tcp/443" }",
      "meta nfproto ipv6 meta l4proto tcp counter name ct original proto-dst map { 443 : "b-home-tcp/443" }",
      "meta nfproto ipv4 meta l4proto tcp ct original ip daddr 198.51.100.7 ct original proto-dst != { 443 } counter name "b-office-all-198.51.100.7" return",
      "meta nfproto ipv4 meta l4proto udp ct original ip daddr 198.51.100.7 counter name "b-office-all-198.51.100.7" return",
      "meta nfproto ipv4 meta l4proto tcp ct original proto-dst != { 443 } counter name "b-home-all" return",
      "meta nfproto ipv4 meta l4proto udp counter name "b-home-all" return",
      "meta nfproto ipv6 meta l4proto tcp ct original proto-dst != { 443 } counter name "b-home-all" return",
      "meta nfproto ipv6 meta l4proto udp counter name "b-home-all" return",
    ]
  `);
});

test('a public address is forwarded in and out, and nowhere else', () => {
  const peers = [{ ...home, exposed: undefined, publicIps: [inner('198.51.100.7')] }];
  expect(rulesOf('counted', peers)).toMatchInlineSnapshot(`
    [
      "ip daddr 198.51.100.7 ct state new counter name "n-home-ip-198.51.100.7"",
      "ip daddr 198.51.100.7 counter name "b-home-ip-198.51.100.7" return",
      "ip saddr 198.51.100.7 counter name "b-home-ip-198.51.100.7" return",
      "meta nfproto ipv6 ct status & dnat != dnat drop",
      "ct status & dnat != dnat return",
    ]
  `);
  expect(rulesOf('passing', peers).at(-1)).toBe('ip daddr { 198.51.100.7 } drop');
  expect(rulesOf('fitted', peers).at(-1)).toMatch(/^ip daddr { 198.51.100.7 } .*maxseg/);
});

test('what nobody has use for any longer is found by its name', () => {
  const there = [
    ...[
      { kind: 'counter', name: 'n-home-tcp/443' },
      { kind: 'counter', name: 'n-home-tcp/1' },
    ],
    ...[
      { kind: 'chain', name: 'to-home-tcp/443' },
      { kind: 'chain', name: 'to-home-tcp/1' },
    ],
    ...[
      { kind: 'chain', name: 'arriving' },
      { kind: 'set', name: 'visitors' },
    ],
  ];
  expect(staleObjects(there, servicesOf([home]), [])).toEqual([there[1], there[3]]);
});

test('what nobody claims is not forwarded where this host forwards for tunnels alone', () => {
  const rules = (closed: readonly Family[]): readonly string[] =>
    masqueradeScript({ table: 't', device: 'ipipou0', closed }).trim().split('\n').map(head);
  expect(rules(['ipv4'])).toMatchInlineSnapshot(`
    [
      "add table",
      "flush table",
      "add chain elsewhere",
      "add rule elsewhere oifname "ipipou0" return",
      "add rule elsewhere oifname "ipipou0-*" return",
      "add rule elsewhere masquerade",
      "add chain leaving { type nat hook postrouting priority srcnat; policy accept; }",
      "add rule leaving iifname "ipipou0" goto elsewhere",
      "add rule leaving iifname "ipipou0-*" goto elsewhere",
      "add chain unclaimed { type filter hook forward priority filter + 8; policy accept; }",
      "add rule unclaimed meta nfproto ipv4 meta mark set meta mark & 0x7fffffff",
      "add chain passing { type filter hook forward priority filter + 10; policy accept; }",
      "add rule passing meta nfproto ipv4 meta mark & 0x80000000 != 0x80000000 drop",
      "add chain claimed { type filter hook forward priority filter + 9; policy accept; }",
      "add rule claimed iifname "ipipou0" meta nfproto ipv4 meta mark set meta mark & 0x7fffffff | 0x80000000",
      "add rule claimed oifname "ipipou0" meta nfproto ipv4 meta mark set meta mark & 0x7fffffff | 0x80000000",
      "add rule claimed iifname "ipipou0-*" meta nfproto ipv4 meta mark set meta mark & 0x7fffffff | 0x80000000",
      "add rule claimed oifname "ipipou0-*" meta nfproto ipv4 meta mark set meta mark & 0x7fffffff | 0x80000000",
      "add chain forgotten { type filter hook forward priority filter + 11; policy accept; }",
      "add rule forgotten iifname "ipipou0" meta nfproto ipv4 meta mark set meta mark & 0x7fffffff",
      "add rule forgotten oifname "ipipou0" meta nfproto ipv4 meta mark set meta mark & 0x7fffffff",
      "add rule forgotten iifname "ipipou0-*" meta nfproto ipv4 meta mark set meta mark & 0x7fffffff",
      "add rule forgotten oifname "ipipou0-*" meta nfproto ipv4 meta mark set meta mark & 0x7fffffff",
    ]
  `);
  // A host that forwards already goes on as it did.
  expect(rules([]).filter((line) => line.includes('mark') || line.includes('drop'))).toEqual([]);
});

test('rules of the return path', () => {
  const script = returnScript({
    ...{ table: 't', device: 'ipipou0', mark: { value: 0x0100_0000, mask: 0x3f00_0000 } },
    answerers: [{ inner: inner('172.28.0.1'), chosen: ip('192.168.0.2') }],
  });
  expect(script).toMatchInlineSnapshot(`
    "add table inet t
    flush table inet t
    add chain inet t arriving { type filter hook prerouting priority mangle; policy accept; }
    add rule inet t arriving iifname "ipipou0" ct direction original ct mark & 0x3f000000 != 0x1000000 ct mark set ct mark & 0xc0ffffff | 0x1000000
    add rule inet t arriving iifname != "ipipou0" ct direction reply ct mark & 0x3f000000 == 0x1000000 meta mark set meta mark & 0xc0ffffff | 0x1000000
    add chain inet t unbound { type nat hook prerouting priority dstnat + 10; policy accept; }
    add rule inet t unbound iifname "ipipou0" ip daddr 172.28.0.1 meta l4proto udp socket wildcard 1 dnat ip to 192.168.0.2
    add chain inet t from-here { type route hook output priority mangle; policy accept; }
    add rule inet t from-here ct direction reply ct mark & 0x3f000000 == 0x1000000 meta mark set meta mark & 0xc0ffffff | 0x1000000
    add chain inet t leaving { type filter hook postrouting priority mangle; policy accept; }
    add rule inet t leaving oifname "ipipou0" ct mark & 0x3f000000 == 0x1000000 tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu
    add rule inet t leaving oifname "ipipou0" meta mark & 0x3f000000 == 0x1000000 meta mark set meta mark & 0xc0ffffff
    "
  `);
});

test('rules of who is answered beside the tunnel', () => {
  const script = besideScript({
    ...{ table: 't', device: 'ipipou0', mark: { value: 0x0200_0000, mask: 0x3f00_0000 } },
    listening: [port(443), port(22), port(22)],
  });
  expect(script).toMatchInlineSnapshot(`
    "add table inet t
    flush table inet t
    add chain inet t arriving { type filter hook prerouting priority mangle; policy accept; }
    add rule inet t arriving iifname "ipipou0" return
    add rule inet t arriving iifname "ipipou0-*" return
    add rule inet t arriving iifname "lo" return
    add rule inet t arriving ct direction original fib daddr type local ct mark & 0x3f000000 != 0x2000000 ct mark set ct mark & 0xc0ffffff | 0x2000000
    add rule inet t arriving ct direction reply ct mark & 0x3f000000 == 0x2000000 meta mark set meta mark & 0xc0ffffff | 0x2000000
    add chain inet t from-here { type route hook output priority mangle; policy accept; }
    add rule inet t from-here ct state new tcp flags & syn == 0 tcp sport { 22, 443 } oifname != "lo" ct mark set ct mark & 0xc0ffffff | 0x2000000
    add rule inet t from-here ct mark & 0x3f000000 == 0x2000000 meta mark set meta mark & 0xc0ffffff | 0x2000000
    "
  `);
  const nobody = { table: 't', device: 'ipipou0', mark: { value: 1, mask: 1 }, listening: [] };
  expect(besideScript(nobody)).not.toContain('tcp sport');
});

test('a mark is free that no rule asks for', () => {
  const rule = (value: number, mask: number) => ({ mark: { value, mask } });
  const first = { value: 0x0100_0000, mask: 0x3f00_0000 };
  expect(freeMark([])).toEqual(first);
  expect(freeMark([rule(0x77, 0xffff), {}])).toEqual({ ...first, value: 0x0100_0000 });
  expect(freeMark([rule(0x0100_0000, 0x3f00_0000)])).toEqual({ ...first, value: 0x0200_0000 });
  expect(freeMark([rule(0x0200_0000, 0x3f00_0000)], SECOND_MARK).value).toBe(0x0300_0000);
});

test('a table is named by its device, whatever that is called', () => {
  expect(ownTableName('expose', 'ipipou0')).toBe('ipipou-expose-ipipou0');
  expect(ownTableName('return', 'a+é')).toBe('ipipou-return-a/2b/c3/a9');
  expect(deviceOfTable('expose', 'ipipou-expose-x')).toBe('x');
  expect(deviceOfTable('expose', 'ipipou-return-x')).toBeUndefined();
});

test('what a counter counts is read from its name', () => {
  for (const text of [
    'tcp/443',
    'udp/5-9',
    '198.51.100.7:tcp/22',
    '[2001:db8::7]:udp/5-9',
    'all',
    '[2001:db8::7]:all',
  ]) {
    const [service] = servicesOf([{ ...home, exposed: { services: services(text), from: [] } }]);
    const name = service && countersOf(service).connections;
    const counted = countedService(name ?? '');
    expect(counted && formatExposure(counted), name).toBe(text);
  }
  expect(countedService('b-home-tcp/443')).toBeUndefined();
});
