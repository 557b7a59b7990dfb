import { bitsOf, type Family } from '../addr.ts';
import { HINT_LENGTH, HINT_OFFSET } from '../auth/trailer.ts';
import { GUARD_LIMITS } from '../budgets.ts';
import { firstMessageObjects, firstMessageRules, testedRules } from './guard-first.ts';
import {
  divisibleRules,
  inFragments,
  inwardRule,
  inwardRules,
  outwardRules,
} from './guard-rewriting.ts';
import { guardPrefix, objectNames, WORD, type ChainRules, type GuardSpec } from './guard-spec.ts';
import { bounded, maskOf, rate, rateOver, refuse, sourceOf, UDP_HEADER } from './guard-text.ts';

/*
 * The nftables ruleset that stands before a tunnel's FOU port. Theory of operation:
 *
 * The kernel's FOU listener strips the UDP header of whatever reaches it, and the tunnel devices then look
 * at the outer addresses alone. So the guard, on the input hook, lets through only what comes on the exact
 * path of an admitted peer and is tunnelled data; every other packet to the port goes to the queue,
 * rate-limited, or is dropped. The queue rule has no `bypass`: without a daemon that listens, the
 * kernel drops what would be queued. What is tunnelled without UDP (IPv4, IPv6 or MPLS behind an IP header)
 * between a tunnel's outer addresses would be taken by the device as well, past every port check: it is
 * dropped. (What FOU decapsulates does not pass the input hook a second time.)
 *
 * There is a table for each family, with the same chains and sets: that of the outer header before the port,
 * that of the inner header behind the devices. A tunnel of IPv4 alone has one, and it is not changed by the
 * other. In the outer IPv6 header nothing may stand before UDP: no extension header, no fragment. (Later
 * fragments have no port and pass, but nothing comes of them without the first.)
 *
 * What counts as data, from an admitted path: the first nibble is that of a family which the tunnel carries
 * (4, 6), and the packet is not of an authentication packet's length, or it is, and the inner length field says
 * that it is data of exactly that length. Headers of GUE, which a GUE listener takes as well, begin with 0.
 * Everything else from that path is queued, on a budget of that path alone, so
 * that refreshes are seen while data flows, and neither strangers' junk nor another peer can use up
 * what they need. One who has one address of IPv6 has its /64: budgets of sources are those of that.
 *
 * Packets of unknown sources have budgets by what they are: first messages of session 2 (in a queue of their own where the
 * daemon tests them), and what ends a handshake from where those came; those that carry the hint of a peer's key (a
 * client that has moved), by source and hint and then by hint; those from where a peer was admitted
 * lately; and all others, by source and then together, in another queue, so that they take nobody's room while the daemon
 * waits for the processor. A flood of one kind leaves the others theirs.
 *
 * What comes out of a peer's device must have an inner source that is that peer's: who sends from an
 * address must be the one that has its longest prefix. It is looked at before anything routes it, by one
 * pair of sets for every length of prefixes in use, the longest first; all are hash tables, since sets of
 * intervals lose what they hold for moments while a transaction commits. Nothing that comes out of a tunnel device reaches the port: one peer
 * could otherwise pretend, inside, to be another one's outside. TCP connections that are forwarded
 * through a tunnel device are told to send segments that fit.
 *
 * Tunnels of one host share the table; every object of a tunnel begins with `p<port>_`. All that is
 * particular to a peer is elements of sets and maps (guard-peer.ts), so a change of one peer touches
 * no other. No conntrack is needed or used: the alternative address of a peer whose outer addresses
 * are taken is put in and taken out by stateless rewriting before and after the host's own rules (guard-rewriting.ts).
 */

/** Where `iptables -t mangle` has it (NF_IP_PRI_MANGLE): before the filters of what is forwarded. */
const MANGLE_PRIORITY = -150;
/** After the host's own filter chains (priority 0), so that its firewall keeps the first word. */
const INPUT_PRIORITY = 10;
/** Before conntrack (-200) and NAT (-100), so that the host's rules see the rewritten address. */
const RAW_PRIORITY = -300;
/** After source NAT (100). */
const POST_PRIORITY = 300;

/** What is declared by adding it: no effect on what is there already with the same type. */
export function declareObjects(spec: GuardSpec, family: Family): string[] {
  const names = objectNames(spec.port);
  const { sources, paths, hintSources, knownSources } = GUARD_LIMITS;
  const word = WORD[family];
  const table = `${word} ${spec.table}`;
  const address = `${family}_addr`;
  const hook = (name: string, where: string, priority: number) =>
    `add chain ${table} ${name} { type filter hook ${where} priority ${priority}; policy accept; }`;
  const set = (name: string, what: string) => `add set ${table} ${name} { ${what} }`;
  const map = (name: string, what: string) => `add map ${table} ${name} { ${what} }`;
  const endpoints = `type ${address} . inet_service . ${address}`;
  return [
    `add table ${table}`,
    set(names.admitted, `${endpoints};`),
    set(names.pairs, `type ${address} . ${address};`),
    map(names.inwards, `${endpoints} : ${address};`),
    map(names.outwards, `type ${address} . ${address} . inet_service : ${address};`),
    set(names.devices, 'type ifname;'),
    set(names.strays, `type ifname;${spec.counters ? ' counter;' : ''}`),
    set(names.everywhere, 'type ifname;'),
    ...spec.prefixLengths[family].flatMap((length) => [
      set(`${guardPrefix(spec.port)}inner${length}`, `type ifname . ${address};`),
      set(`${guardPrefix(spec.port)}claimed${length}`, `type ${address};`),
    ]),
    set(names.paths, `${endpoints}; ${bounded(paths)}`),
    set(names.sources, `type ${address}; ${bounded(sources)}`),
    set(names.hints, `typeof ${HINT};`),
    set(names.hintSources, `typeof ${word} saddr . ${HINT}; ${bounded(hintSources)}`),
    set(names.hintBudgets, `typeof ${HINT}; ${bounded(paths)}`),
    set(names.knownSources, `type ${address}; ${bounded(knownSources)}`),
    set(names.knownBudgets, `type ${address}; ${bounded(sources)}`),
    ...firstMessageObjects(spec, family),
    ...(spec.counters ? [`add counter ${table} ${names.refused}`] : []),
    `add chain ${table} ${names.guard}`,
    `add chain ${table} ${names.foreign}`,
    `add chain ${table} ${names.stray}`,
    `add chain ${table} ${names.strangers}`,
    `add chain ${table} ${names.hinted}`,
    hook(names.input, 'input', INPUT_PRIORITY),
    hook(names.forward, 'forward', MANGLE_PRIORITY),
    hook(names.prerouting, 'prerouting', RAW_PRIORITY),
    hook(names.postrouting, 'postrouting', POST_PRIORITY),
  ];
}

/** The rules of every chain of a family's table, in their order. */
export function rulesOf(spec: GuardSpec, family: Family): readonly ChainRules[] {
  const names = objectNames(spec.port);
  const outside = spec.outside.includes(family);
  const strangers = outside && spec.strangers;
  return [
    { chain: names.input, list: outside ? inputRules(spec, family) : [] },
    { chain: names.guard, list: outside ? guardRules(spec, family) : [] },
    { chain: names.hinted, list: strangers ? hintedRules(spec, family) : [] },
    { chain: names.strangers, list: strangers ? strangerRules(spec, family) : [] },
    ...(strangers ? testedRules(spec, family) : []),
    {
      chain: names.prerouting,
      list: [...deviceRules(spec), ...(outside ? inwardRules(spec, family) : [])],
    },
    { chain: names.foreign, list: foreignRules(spec, family) },
    { chain: names.stray, list: strayRules(spec) },
    {
      chain: names.postrouting,
      list: [...divisibleRules(spec, family), ...(outside ? outwardRules(spec, family) : [])],
    },
    { chain: names.forward, list: forwardRules(spec) },
  ];
}

function inputRules(spec: GuardSpec, family: Family): string[] {
  const names = objectNames(spec.port);
  const word = WORD[family];
  return [
    ...(inFragments(spec, family) ? [inwardRule(spec, family)] : []),
    `${bareTunnels(spec, family)} ${word} saddr . ${word} daddr @${names.pairs} ${refuse(spec)}`,
    `udp dport ${spec.port} goto ${names.guard}`,
  ];
}

/** What the devices take without UDP (linux/in.h): `ipip` IPv4 alone, the others IPv6 and MPLS as well. */
function bareTunnels({ inside }: GuardSpec, family: Family): string {
  if (family === 'ipv6') return 'meta l4proto { 4, 41, 137 }';
  return inside.includes('ipv6') ? 'ip protocol { 4, 41, 137 }' : 'ip protocol 4';
}

function guardRules(spec: GuardSpec, family: Family): string[] {
  const names = objectNames(spec.port);
  const word = WORD[family];
  const path = `${word} saddr . udp sport . ${word} daddr`;
  const admitted = `${path} @${names.admitted}`;
  const accept = spec.counters ? 'counter accept' : 'accept';
  const budget = `{ ${path} limit ${rate(GUARD_LIMITS.admitted)} }`;
  return [
    ...(spec.device === undefined ? [] : [`iifname != "${spec.device}" ${refuse(spec)}`]),
    `iifname @${names.devices} ${refuse(spec)}`,
    ...(family === 'ipv6' ? unusualRules(spec) : []),
    `${admitted} ${versions(spec)} ${otherLengths(spec)}${accept}`,
    ...spec.inside.flatMap((inner) => exactLengthRules(spec, inner, admitted, accept)),
    // Without a verdict: when the set is full the packet goes on.
    ...(spec.strangers
      ? [`${admitted} update @${names.knownSources} { ${sourceOf(family)} }`]
      : []),
    `${admitted} update @${names.paths} ${budget} queue num ${spec.queue}`,
    `${admitted} ${refuse(spec)}`,
    ...(spec.strangers ? newcomerRules(spec, family) : []),
    refuse(spec),
  ];
}

/** Nothing stands between the outer IPv6 header and UDP, and its ends are hosts that can be reached from afar. */
function unusualRules(spec: GuardSpec): string[] {
  return [
    `ip6 nexthdr != 17 ${refuse(spec)}`,
    `ip6 saddr { ${NO_SOURCE.join(', ')} } ${refuse(spec)}`,
    `ip6 daddr { ${NO_HOST.join(', ')} } ${refuse(spec)}`,
  ];
}

/** An authentication packet may begin like data: the inner packet's own length field tells, by its version's layout. */
function exactLengthRules(
  spec: GuardSpec,
  inner: Family,
  admitted: string,
  accept: string,
): string[] {
  const { version, header, lengthAt, uncounted } = INNER[inner];
  return spec.authLengths
    .filter((length) => length >= header)
    .map(
      (length) =>
        `${admitted} ${VERSION} ${version} udp length ${length + UDP_HEADER} ` +
        `@th,${8 * (UDP_HEADER + lengthAt)},16 ${length - uncounted} ${accept}`,
    );
}

/** Matches what begins with the version of a family that the tunnel carries. */
function versions({ inside }: GuardSpec): string {
  const list = inside.map((family) => INNER[family].version);
  return list.length === 1 ? `${VERSION} ${list[0]}` : `${VERSION} { ${list.join(', ')} }`;
}

/**
 * Data has a small budget of its own: a client whose NAT mapping has changed goes on sending data at
 * full speed, and that must not use up what its authentication packet needs.
 */
function newcomerRules(spec: GuardSpec, family: Family): string[] {
  const names = objectNames(spec.port);
  const data = `${versions(spec)} ${otherLengths(spec)}`;
  const shortest = Math.min(...spec.authLengths) + UDP_HEADER;
  return [
    `${data}limit ${rate(GUARD_LIMITS.early)} queue num ${spec.queue}`,
    `${data}${refuse(spec)}`,
    ...(shortest > UDP_HEADER ? [`udp length < ${shortest} ${refuse(spec)}`] : []),
    ...firstMessageRules(spec, family),
    `${HINT} @${names.hints} goto ${names.hinted}`,
    `goto ${names.strangers}`,
  ];
}

/**
 * A hint can be read on the way and sent again, from any address: one source cannot use up what its
 * owner, elsewhere, needs, and nobody with the hint of one peer what the others need. What is beyond
 * these budgets, or finds the set of sources full, goes on as anybody's.
 */
function hintedRules(spec: GuardSpec, family: Family): string[] {
  const { hintedSource, hinted } = GUARD_LIMITS;
  const { hintBudgets, hintSources, strangers } = objectNames(spec.port);
  const source = sourceOf(family);
  return [
    `update @${hintSources} { ${source} . ${HINT} limit ${rateOver(hintedSource)} } goto ${strangers}`,
    `update @${hintBudgets} { ${HINT} limit ${rate(hinted)} } queue num ${spec.queue}`,
    `goto ${strangers}`,
  ];
}

/** Where a peer was admitted lately it may come back by another port: those addresses are before the others. */
function strangerRules(spec: GuardSpec, family: Family): string[] {
  const { source, strangers, knownSource, known } = GUARD_LIMITS;
  const { knownSources, knownBudgets, sources } = objectNames(spec.port);
  const from = sourceOf(family);
  const budget = `update @${knownBudgets} { ${from} limit ${rate(knownSource)} }`;
  return [
    `${from} @${knownSources} ${budget} limit ${rate(known)} queue num ${spec.queue}`,
    `update @${sources} { ${from} limit ${rateOver(source)} } ${refuse(spec)}`,
    `limit ${rate(strangers)} queue num ${spec.strangerQueue}`,
    refuse(spec),
  ];
}

/** Matches what has not the length of an authentication packet. */
function otherLengths(spec: GuardSpec): string {
  const lengths = spec.authLengths.map((length) => length + UDP_HEADER);
  return lengths.length === 0 ? '' : `udp length != { ${lengths.join(', ')} } `;
}

function deviceRules(spec: GuardSpec): string[] {
  const { devices, foreign } = objectNames(spec.port);
  return [`iifname @${devices} goto ${foreign}`];
}

/** The first length whose sets know the source tells whose it is. */
function foreignRules(spec: GuardSpec, family: Family): string[] {
  const { everywhere, stray } = objectNames(spec.port);
  const prefix = guardPrefix(spec.port);
  const word = WORD[family];
  return [
    ...(family === 'ipv6'
      ? [
          `ip6 saddr { ${[...RESERVED, ...NO_HOST].join(', ')} } goto ${stray}`,
          `ip6 daddr { ${RESERVED.join(', ')} } goto ${stray}`,
        ]
      : []),
    ...spec.prefixLengths[family].flatMap((length) => {
      const whole = length === bitsOf(family);
      const source = whole ? `${word} saddr` : `${word} saddr & ${maskOf(family, length)}`;
      return [
        `iifname . ${source} @${prefix}inner${length} accept`,
        `${source} @${prefix}claimed${length} goto ${stray}`,
      ];
    }),
    `iifname @${everywhere} accept`,
    `goto ${stray}`,
  ];
}

/** Each element of the set counts the packets that find it: those that are dropped. */
function strayRules(spec: GuardSpec): string[] {
  return [...(spec.counters ? [`iifname @${objectNames(spec.port).strays} drop`] : []), 'drop'];
}

/** `rt mtu` is the least of the routes to both ends, and an MSS is only ever lowered (nft_exthdr.c). */
function forwardRules(spec: GuardSpec): string[] {
  const { devices } = objectNames(spec.port);
  const clamp = 'tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu';
  return [`iifname @${devices} ${clamp}`, `oifname @${devices} ${clamp}`];
}

/** The first nibble of the UDP payload, the IP version of tunnelled data. */
const VERSION = '@th,64,4';
/** The hint of a key where an authentication packet has it; a shorter packet matches nothing. */
const HINT = `@th,${8 * (UDP_HEADER + HINT_OFFSET)},${8 * HINT_LENGTH}`;

/**
 * Inner packets: their version, the bytes of the shortest header, where the length field is, and how many bytes
 * it does not count (RFC 791, 3.1: total length; RFC 8200, 3: payload length).
 */
const INNER = {
  ipv4: { version: 4, header: 20, lengthAt: 2, uncounted: 0 },
  ipv6: { version: 6, header: 40, lengthAt: 4, uncounted: 40 },
} as const satisfies Record<Family, object>;

/** IPv4 addresses as IPv6 ones: they are on no wire. */
const MAPPED = '::ffff:0:0/96';
/** Link-local ones and groups: nobody who is far off. */
const NO_HOST = ['fe80::/10', 'ff00::/8'];
/** What no packet comes from that a tunnel has to do with. */
const NO_SOURCE = ['::', MAPPED, ...NO_HOST];
/** IPv4 addresses in both clothes of IPv6 (RFC 4291, 2.5.5), the loopback address, or none: nobody's inside. */
const RESERVED = ['::/96', MAPPED];
