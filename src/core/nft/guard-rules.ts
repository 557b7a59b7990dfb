import { innerIpv4FromNumber, type InnerIp } from '../addr.ts';
import { HINT_LENGTH, HINT_OFFSET } from '../auth/trailer.ts';
import { GUARD_LIMITS, type Rate } from '../budgets.ts';
import type { Port } from '../units.ts';
import type { PrefixLength } from './guard-peer.ts';

/**
 * The nftables ruleset that stands before a tunnel's FOU port. Theory of operation:
 *
 * The kernel's FOU listener strips the UDP header of whatever reaches it, and ipip then looks at the
 * outer addresses alone. So the guard, on the input hook, lets through only what comes on the exact
 * path of an admitted peer and is tunnelled data; every other packet to the port goes to the queue,
 * rate-limited, or is dropped. The queue rule has no `bypass`: without a daemon that listens, the
 * kernel drops what would be queued. Bare IPIP (protocol 4, no UDP) between a tunnel's outer
 * addresses would be taken by the ipip device as well, past every port check: it is dropped. (What
 * FOU decapsulates does not pass the input hook a second time.)
 *
 * What counts as data, from an admitted path: the first nibble is 4 (IPv4), and the packet is not of
 * an authentication packet's length, or it is, and the inner total-length field says that it is data
 * of exactly that length. Everything else from that path is queued, on a budget of that path alone, so
 * that refreshes are seen while data flows, and neither strangers' junk nor another peer can use up
 * what they need.
 *
 * Packets of unknown sources have budgets by what they are: those that carry the hint of a peer's key (a
 * client that has moved), by source and hint and then by hint; those from where a peer was admitted
 * lately; and all others, by source and then together. A flood of one kind leaves the others theirs.
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
 * are taken is put in and taken out by stateless rewriting before and after the host's own rules.
 */
export type GuardSpec = {
  readonly table: string;
  readonly port: Port;
  /** Only packets that come in by this device are considered; undefined = any. */
  readonly device: string | undefined;
  readonly queue: number;
  /** Whether packets of unknown sources go to the queue (a server), or are dropped (a client). */
  readonly strangers: boolean;
  /** UDP payload lengths of authentication packets; the least of them bounds what strangers may send. */
  readonly authLengths: readonly number[];
  /** Lengths of the peers' prefixes (prefixLengthsOf), the longest first. */
  readonly prefixLengths: readonly PrefixLength[];
  readonly counters: boolean;
};

/** Where `iptables -t mangle` has it (NF_IP_PRI_MANGLE): before the filters of what is forwarded. */
const MANGLE_PRIORITY = -150;
/** After the host's own filter chains (priority 0), so that its firewall keeps the first word. */
const INPUT_PRIORITY = 10;
/** Before conntrack (-200) and NAT (-100), so that the host's rules see the rewritten address. */
const RAW_PRIORITY = -300;
/** After source NAT (100). */
const POST_PRIORITY = 300;

/** Beginning of the name of every object of the tunnel on `port`. */
export function guardPrefix(port: Port): string {
  return `p${port}_`;
}

/** Names of the objects of the tunnel on `port`. */
export function objectNames(port: Port) {
  const prefix = guardPrefix(port);
  return {
    guard: `${prefix}guard`,
    input: `${prefix}input`,
    prerouting: `${prefix}prerouting`,
    postrouting: `${prefix}postrouting`,
    forward: `${prefix}forward`,
    foreign: `${prefix}foreign`,
    admitted: `${prefix}admitted`,
    pairs: `${prefix}pairs`,
    inwards: `${prefix}inwards`,
    outwards: `${prefix}outwards`,
    devices: `${prefix}devices`,
    strays: `${prefix}strays`,
    stray: `${prefix}stray`,
    everywhere: `${prefix}everywhere`,
    paths: `${prefix}paths`,
    sources: `${prefix}sources`,
    hints: `${prefix}hints`,
    hinted: `${prefix}hinted`,
    hintSources: `${prefix}hint_sources`,
    hintBudgets: `${prefix}hint_budgets`,
    knownSources: `${prefix}known_sources`,
    knownBudgets: `${prefix}known_budgets`,
    strangers: `${prefix}strangers`,
    refused: `${prefix}refused`,
  } as const;
}

/** What is declared by adding it: no effect on what is there already with the same type. */
export function declareObjects(spec: GuardSpec): string[] {
  const names = objectNames(spec.port);
  const { sources, paths, hintSources, knownSources } = GUARD_LIMITS;
  const hook = (name: string, where: string, priority: number) =>
    `add chain ip ${spec.table} ${name} { type filter hook ${where} priority ${priority}; policy accept; }`;
  const set = (name: string, what: string) => `add set ip ${spec.table} ${name} { ${what} }`;
  const map = (name: string, what: string) => `add map ip ${spec.table} ${name} { ${what} }`;
  const endpoints = 'type ipv4_addr . inet_service . ipv4_addr';
  const bounded = ({ size, timeout }: { size: number; timeout: number }) =>
    `size ${size}; flags dynamic,timeout; timeout ${timeout}s;`;
  return [
    `add table ip ${spec.table}`,
    set(names.admitted, `${endpoints};`),
    set(names.pairs, 'type ipv4_addr . ipv4_addr;'),
    map(names.inwards, `${endpoints} : ipv4_addr;`),
    map(names.outwards, 'type ipv4_addr . ipv4_addr . inet_service : ipv4_addr;'),
    set(names.devices, 'type ifname;'),
    set(names.strays, `type ifname;${spec.counters ? ' counter;' : ''}`),
    set(names.everywhere, 'type ifname;'),
    ...spec.prefixLengths.flatMap((length) => [
      set(`${guardPrefix(spec.port)}inner${length}`, 'type ifname . ipv4_addr;'),
      set(`${guardPrefix(spec.port)}claimed${length}`, 'type ipv4_addr;'),
    ]),
    set(names.paths, `${endpoints}; ${bounded(paths)}`),
    set(names.sources, `type ipv4_addr; ${bounded(sources)}`),
    set(names.hints, `typeof ${HINT};`),
    set(names.hintSources, `typeof ip saddr . ${HINT}; ${bounded(hintSources)}`),
    set(names.hintBudgets, `typeof ${HINT}; ${bounded(paths)}`),
    set(names.knownSources, `type ipv4_addr; ${bounded(knownSources)}`),
    set(names.knownBudgets, `type ipv4_addr; ${bounded(sources)}`),
    ...(spec.counters ? [`add counter ip ${spec.table} ${names.refused}`] : []),
    `add chain ip ${spec.table} ${names.guard}`,
    `add chain ip ${spec.table} ${names.foreign}`,
    `add chain ip ${spec.table} ${names.stray}`,
    `add chain ip ${spec.table} ${names.strangers}`,
    `add chain ip ${spec.table} ${names.hinted}`,
    hook(names.input, 'input', INPUT_PRIORITY),
    hook(names.forward, 'forward', MANGLE_PRIORITY),
    hook(names.prerouting, 'prerouting', RAW_PRIORITY),
    hook(names.postrouting, 'postrouting', POST_PRIORITY),
  ];
}

export type ChainRules = { readonly chain: string; readonly list: readonly string[] };

/** The rules of every chain, in their order. */
export function rulesOf(spec: GuardSpec): readonly ChainRules[] {
  const names = objectNames(spec.port);
  return [
    { chain: names.input, list: inputRules(spec) },
    { chain: names.guard, list: guardRules(spec) },
    { chain: names.hinted, list: spec.strangers ? hintedRules(spec) : [] },
    { chain: names.strangers, list: spec.strangers ? strangerRules(spec) : [] },
    { chain: names.prerouting, list: preroutingRules(spec) },
    { chain: names.foreign, list: foreignRules(spec) },
    { chain: names.stray, list: strayRules(spec) },
    { chain: names.postrouting, list: postroutingRules(spec) },
    { chain: names.forward, list: forwardRules(spec) },
  ];
}

function inputRules(spec: GuardSpec): string[] {
  const names = objectNames(spec.port);
  return [
    `ip protocol 4 ip saddr . ip daddr @${names.pairs} ${refuse(spec)}`,
    `udp dport ${spec.port} goto ${names.guard}`,
  ];
}

function guardRules(spec: GuardSpec): string[] {
  const names = objectNames(spec.port);
  const path = 'ip saddr . udp sport . ip daddr';
  const admitted = `${path} @${names.admitted}`;
  const accept = spec.counters ? 'counter accept' : 'accept';
  const budget = `{ ${path} limit ${rate(GUARD_LIMITS.admitted)} }`;
  return [
    ...(spec.device === undefined ? [] : [`iifname != "${spec.device}" ${refuse(spec)}`]),
    `iifname @${names.devices} ${refuse(spec)}`,
    // @th,64,4: the first nibble of the UDP payload, the IP version of tunnelled data.
    `${admitted} @th,64,4 4 ${otherLengths(spec)}${accept}`,
    // @th,80,16: bytes 2 and 3 of the payload, the inner packet's total length (RFC 791, 3.1).
    ...spec.authLengths
      .filter((length) => length >= SHORTEST_INNER)
      .map(
        (length) =>
          `${admitted} @th,64,4 4 udp length ${length + UDP_HEADER} @th,80,16 ${length} ${accept}`,
      ),
    // Without a verdict: when the set is full the packet goes on.
    ...(spec.strangers ? [`${admitted} update @${names.knownSources} { ip saddr }`] : []),
    `${admitted} update @${names.paths} ${budget} queue num ${spec.queue}`,
    `${admitted} ${refuse(spec)}`,
    ...(spec.strangers ? newcomerRules(spec) : []),
    refuse(spec),
  ];
}

/**
 * Data has a small budget of its own: a client whose NAT mapping has changed goes on sending data at
 * full speed, and that must not use up what its authentication packet needs.
 */
function newcomerRules(spec: GuardSpec): string[] {
  const names = objectNames(spec.port);
  const data = `@th,64,4 4 ${otherLengths(spec)}`;
  const shortest = Math.min(...spec.authLengths) + UDP_HEADER;
  return [
    `${data}limit ${rate(GUARD_LIMITS.early)} queue num ${spec.queue}`,
    `${data}${refuse(spec)}`,
    ...(shortest > UDP_HEADER ? [`udp length < ${shortest} ${refuse(spec)}`] : []),
    `${HINT} @${names.hints} goto ${names.hinted}`,
    `goto ${names.strangers}`,
  ];
}

/**
 * A hint can be read on the way and sent again, from any address: one source cannot use up what its
 * owner, elsewhere, needs, and nobody with the hint of one peer what the others need. What is beyond
 * these budgets, or finds the set of sources full, goes on as anybody's.
 */
function hintedRules(spec: GuardSpec): string[] {
  const { hintedSource, hinted } = GUARD_LIMITS;
  const { hintBudgets, hintSources, strangers } = objectNames(spec.port);
  return [
    `update @${hintSources} { ip saddr . ${HINT} limit ${rateOver(hintedSource)} } goto ${strangers}`,
    `update @${hintBudgets} { ${HINT} limit ${rate(hinted)} } queue num ${spec.queue}`,
    `goto ${strangers}`,
  ];
}

/** Where a peer was admitted lately it may come back by another port: those addresses are before the others. */
function strangerRules(spec: GuardSpec): string[] {
  const { source, strangers, knownSource, known } = GUARD_LIMITS;
  const { knownSources, knownBudgets, sources } = objectNames(spec.port);
  const budget = `update @${knownBudgets} { ip saddr limit ${rate(knownSource)} }`;
  return [
    `ip saddr @${knownSources} ${budget} limit ${rate(known)} queue num ${spec.queue}`,
    `update @${sources} { ip saddr limit ${rateOver(source)} } ${refuse(spec)}`,
    `limit ${rate(strangers)} queue num ${spec.queue}`,
    refuse(spec),
  ];
}

function rate({ perSecond, burst }: Rate): string {
  return `rate ${perSecond}/second burst ${burst} packets`;
}

function rateOver({ perSecond, burst }: Rate): string {
  return `rate over ${perSecond}/second burst ${burst} packets`;
}

/** Matches what has not the length of an authentication packet. */
function otherLengths(spec: GuardSpec): string {
  const lengths = spec.authLengths.map((length) => length + UDP_HEADER);
  return lengths.length === 0 ? '' : `udp length != { ${lengths.join(', ')} } `;
}

/** A map that has no answer ends its rule: nothing is rewritten then. */
function preroutingRules(spec: GuardSpec): string[] {
  const { devices, foreign, inwards } = objectNames(spec.port);
  return [
    `iifname @${devices} goto ${foreign}`,
    `udp dport ${spec.port} ip daddr set ip saddr . udp sport . ip daddr map @${inwards}`,
  ];
}

/** The first length whose sets know the source tells whose it is. */
function foreignRules(spec: GuardSpec): string[] {
  const { everywhere, stray } = objectNames(spec.port);
  const prefix = guardPrefix(spec.port);
  return [
    ...spec.prefixLengths.flatMap((length) => {
      const source = length === 32 ? 'ip saddr' : `ip saddr & ${maskOf(length)}`;
      return [
        `iifname . ${source} @${prefix}inner${length} accept`,
        `${source} @${prefix}claimed${length} goto ${stray}`,
      ];
    }),
    `iifname @${everywhere} accept`,
    `goto ${stray}`,
  ];
}

function maskOf(length: PrefixLength): InnerIp {
  return innerIpv4FromNumber((0xffff_ffff << (32 - length)) >>> 0);
}

/** Each element of the set counts the packets that find it: those that are dropped. */
function strayRules(spec: GuardSpec): string[] {
  return [...(spec.counters ? [`iifname @${objectNames(spec.port).strays} drop`] : []), 'drop'];
}

function postroutingRules(spec: GuardSpec): string[] {
  const { outwards } = objectNames(spec.port);
  return [`udp sport ${spec.port} ip saddr set ip saddr . ip daddr . udp dport map @${outwards}`];
}

/** `rt mtu` is the least of the routes to both ends, and an MSS is only ever lowered (nft_exthdr.c). */
function forwardRules(spec: GuardSpec): string[] {
  const { devices } = objectNames(spec.port);
  const clamp = 'tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu';
  return [`iifname @${devices} ${clamp}`, `oifname @${devices} ${clamp}`];
}

function refuse(spec: GuardSpec): string {
  return spec.counters ? `counter name ${objectNames(spec.port).refused} drop` : 'drop';
}

const UDP_HEADER = 8;
/** The hint of a key where an authentication packet has it; a shorter packet matches nothing. */
const HINT = `@th,${8 * (UDP_HEADER + HINT_OFFSET)},${8 * HINT_LENGTH}`;
/** Shortest inner IPv4 packet: a header without options. */
const SHORTEST_INNER = 20;
