import type { Ipv4, Path } from '../addr.ts';
import type { Port } from '../units.ts';

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
 * of exactly that length. Everything else from that path is queued, on a budget of its own, so that
 * refreshes are seen while data flows and strangers' junk cannot starve them.
 *
 * Tunnels of one host share the table; every object of a tunnel begins with `p<port>_`. No
 * conntrack is needed or used: the alternative address of a tunnel whose outer addresses are taken
 * is put in and taken out by stateless rewriting before and after the host's own rules.
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
  readonly counters: boolean;
};

/** An admitted peer: its path in public addresses, and the alternative local address if it has one. */
export type Admission = { readonly path: Path; readonly alt: Ipv4 | undefined };

export const GUARD_LIMITS = {
  /** Packets a second, and burst, from the admitted path to the queue. */
  admitted: { rate: 50, burst: 50 },
  /** What looks like data from unknown sources: it may have overtaken its authentication packet. */
  early: { rate: 10, burst: 8 },
  /** Packets a second, and burst, from one unknown source to the queue. */
  source: { rate: 10, burst: 20 },
  /** Sources remembered at once, and for how long after their last packet, in seconds. */
  sources: { size: 4096, timeout: 10 },
  /** Packets a second, and burst, from all unknown sources together to the queue. */
  strangers: { rate: 200, burst: 100 },
} as const;

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
    admitted: `${prefix}admitted`,
    pairs: `${prefix}pairs`,
    sources: `${prefix}sources`,
    refused: `${prefix}refused`,
  } as const;
}

/**
 * One transaction that makes the guard anew, whatever is there: objects are added if missing, the
 * chains and sets of this tunnel are emptied and filled. There is no moment without a guard.
 */
export function installGuard(spec: GuardSpec, admission: Admission | undefined): string {
  const names = objectNames(spec.port);
  return script(
    ...declareObjects(spec),
    `flush chain ip ${spec.table} ${names.input}`,
    `flush chain ip ${spec.table} ${names.guard}`,
    ...inputRules(spec).map((rule) => addRule(spec, names.input, rule)),
    ...guardRules(spec).map((rule) => addRule(spec, names.guard, rule)),
    admitPeer(spec, admission),
  );
}

/** One transaction that makes `admission` the only one; undefined = nobody is admitted. */
export function admitPeer(spec: GuardSpec, admission: Admission | undefined): string {
  const names = objectNames(spec.port);
  const empty = [
    `flush set ip ${spec.table} ${names.admitted}`,
    `flush set ip ${spec.table} ${names.pairs}`,
    `flush chain ip ${spec.table} ${names.prerouting}`,
    `flush chain ip ${spec.table} ${names.postrouting}`,
  ];
  if (admission === undefined) return script(...empty);
  const { path, alt } = admission;
  const { remote } = path;
  const local = alt ?? path.local.ip;
  return script(
    ...empty,
    `add element ip ${spec.table} ${names.admitted} { ${remote.ip} . ${remote.port} . ${local} }`,
    `add element ip ${spec.table} ${names.pairs} { ${remote.ip} . ${local} }`,
    ...(alt === undefined ? [] : alternativeAddress(spec, path, alt)),
  );
}

/**
 * Refuses bare IPIP between two outer addresses, before a device is pointed along them; the next
 * `admitPeer` sets the pair of its own path alone.
 */
export function refuseBareIpip(spec: GuardSpec, remote: Ipv4, local: Ipv4): string {
  return `add element ip ${spec.table} ${objectNames(spec.port).pairs} { ${remote} . ${local} }`;
}

/** One transaction that removes every object of this tunnel, present or not; the table stays. */
export function removeGuard(spec: Pick<GuardSpec, 'table' | 'port'>): string {
  const names = objectNames(spec.port);
  const chains = [names.input, names.prerouting, names.postrouting, names.guard];
  return script(
    // Declared first: deleting what is not there would fail the whole transaction.
    ...declareObjects({ ...spec, counters: true }),
    ...chains.map((name) => `flush chain ip ${spec.table} ${name}`),
    ...chains.map((name) => `delete chain ip ${spec.table} ${name}`),
    ...[names.admitted, names.pairs, names.sources].map(
      (name) => `delete set ip ${spec.table} ${name}`,
    ),
    `delete counter ip ${spec.table} ${names.refused}`,
  );
}

/** What is declared by adding it: no effect on what is there already with the same type. */
function declareObjects(spec: Pick<GuardSpec, 'table' | 'port' | 'counters'>): string[] {
  const names = objectNames(spec.port);
  const { size, timeout } = GUARD_LIMITS.sources;
  const hook = (name: string, where: string, priority: number) =>
    `add chain ip ${spec.table} ${name} { type filter hook ${where} priority ${priority}; policy accept; }`;
  return [
    `add table ip ${spec.table}`,
    `add set ip ${spec.table} ${names.admitted} { type ipv4_addr . inet_service . ipv4_addr; }`,
    `add set ip ${spec.table} ${names.pairs} { type ipv4_addr . ipv4_addr; }`,
    `add set ip ${spec.table} ${names.sources} { type ipv4_addr; size ${size}; flags dynamic,timeout; timeout ${timeout}s; }`,
    ...(spec.counters ? [`add counter ip ${spec.table} ${names.refused}`] : []),
    `add chain ip ${spec.table} ${names.guard}`,
    hook(names.input, 'input', INPUT_PRIORITY),
    hook(names.prerouting, 'prerouting', RAW_PRIORITY),
    hook(names.postrouting, 'postrouting', POST_PRIORITY),
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
  const admitted = `ip saddr . udp sport . ip daddr @${names.admitted}`;
  const accept = spec.counters ? 'counter accept' : 'accept';
  const { rate, burst } = GUARD_LIMITS.admitted;
  return [
    ...(spec.device === undefined ? [] : [`iifname != "${spec.device}" ${refuse(spec)}`]),
    // @th,64,4: the first nibble of the UDP payload, the IP version of tunnelled data.
    `${admitted} @th,64,4 4 ${otherLengths(spec)}${accept}`,
    // @th,80,16: bytes 2 and 3 of the payload, the inner packet's total length (RFC 791, 3.1).
    ...spec.authLengths
      .filter((length) => length >= SHORTEST_INNER)
      .map(
        (length) =>
          `${admitted} @th,64,4 4 udp length ${length + UDP_HEADER} @th,80,16 ${length} ${accept}`,
      ),
    `${admitted} limit rate ${rate}/second burst ${burst} packets queue num ${spec.queue}`,
    `${admitted} ${refuse(spec)}`,
    ...(spec.strangers ? strangerRules(spec) : []),
    refuse(spec),
  ];
}

/**
 * Data has a small budget of its own: a client whose NAT mapping has changed goes on sending data at
 * full speed, and that must not use up what its authentication packet needs.
 */
function strangerRules(spec: GuardSpec): string[] {
  const { early, source, strangers } = GUARD_LIMITS;
  const data = `@th,64,4 4 ${otherLengths(spec)}`;
  const shortest = Math.min(...spec.authLengths) + UDP_HEADER;
  const perSource = `limit rate over ${source.rate}/second burst ${source.burst} packets`;
  return [
    `${data}limit rate ${early.rate}/second burst ${early.burst} packets queue num ${spec.queue}`,
    `${data}${refuse(spec)}`,
    ...(shortest > UDP_HEADER ? [`udp length < ${shortest} ${refuse(spec)}`] : []),
    `update @${objectNames(spec.port).sources} { ip saddr ${perSource} } ${refuse(spec)}`,
    `limit rate ${strangers.rate}/second burst ${strangers.burst} packets queue num ${spec.queue}`,
  ];
}

/** Matches what has not the length of an authentication packet. */
function otherLengths(spec: GuardSpec): string {
  const lengths = spec.authLengths.map((length) => length + UDP_HEADER);
  return lengths.length === 0 ? '' : `udp length != { ${lengths.join(', ')} } `;
}

function alternativeAddress(spec: GuardSpec, { local, remote }: Path, alt: Ipv4): string[] {
  const names = objectNames(spec.port);
  return [
    addRule(
      spec,
      names.prerouting,
      `ip saddr ${remote.ip} ip daddr ${local.ip} udp sport ${remote.port} udp dport ${spec.port} ip daddr set ${alt}`,
    ),
    addRule(
      spec,
      names.postrouting,
      `ip saddr ${alt} ip daddr ${remote.ip} udp sport ${spec.port} udp dport ${remote.port} ip saddr set ${local.ip}`,
    ),
  ];
}

function refuse(spec: GuardSpec): string {
  return spec.counters ? `counter name ${objectNames(spec.port).refused} drop` : 'drop';
}

function addRule(spec: GuardSpec, chain: string, rule: string): string {
  return `add rule ip ${spec.table} ${chain} ${rule}`;
}

function script(...commands: readonly string[]): string {
  return commands.join('\n');
}

const UDP_HEADER = 8;
/** Shortest inner IPv4 packet: a header without options. */
const SHORTEST_INNER = 20;
