/** Conditions of nftables as it lists them: what is looked at, and what it is compared with. */
import type { Ip } from '../addr.ts';
import type { NftListed } from '../nft/listing.ts';
import {
  all,
  any,
  holdsIf,
  inPrefix,
  namesDevice,
  not,
  readPrefix,
  type Holds,
  type Packet,
} from './packet.ts';

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

type Condition = (packet: Packet) => Holds;
type Place = { readonly family: string; readonly table: string };

/** What a packet has where a rule looks. `absent`: it has no such thing, so no rule that looks there is for it. */
type Seen =
  | { readonly kind: 'address'; readonly ip: Ip | undefined }
  | { readonly kind: 'device'; readonly name: string | undefined }
  | { readonly kind: 'number'; readonly value: number | undefined }
  | { readonly kind: 'words'; readonly words: readonly string[] }
  | { readonly kind: 'parts'; readonly parts: readonly Seen[] }
  | { readonly kind: 'absent' }
  | { readonly kind: 'unknown' };

const ABSENT: Seen = { kind: 'absent' };
const UNKNOWN: Seen = { kind: 'unknown' };

export class NftMatcher {
  /** Elements of sets and maps, by family, table and name. */
  readonly #sets = new Map<string, readonly unknown[]>();

  constructor(listed: readonly NftListed[]) {
    for (const { kind, fields } of listed) {
      if (kind !== 'set' && kind !== 'map') continue;
      const { family, table, name, elem } = fields;
      const elements = Array.isArray(elem) ? (elem as readonly unknown[]) : [];
      this.#sets.set(`${String(family)} ${String(table)} ${String(name)}`, elements);
    }
  }

  /** Of a `match` statement. */
  condition(match: unknown, place: Place): Condition {
    if (!isRecord(match)) return () => 'unknown';
    const { op, left, right } = match;
    return (packet) => {
      const seen = look(left, packet);
      if (seen.kind === 'absent') return 'no';
      if (seen.kind === 'unknown') return 'unknown';
      if (op === '==' || op === 'in') return this.#isAmong(seen, right, place);
      if (op === '!=') return not(this.#isAmong(seen, right, place));
      return ordered(seen, op, right);
    };
  }

  /** Of a `vmap` statement: what it gives, and when. */
  entries(
    vmap: unknown,
    place: Place,
  ): readonly { readonly condition: Condition; readonly result: unknown }[] {
    if (!isRecord(vmap)) return [];
    const { key, data } = vmap;
    return this.#elements(data, place).flatMap((pair) => {
      if (!Array.isArray(pair) || pair.length !== 2) return [];
      const [right, result] = pair as readonly unknown[];
      return [{ condition: this.condition({ op: '==', left: key, right }, place), result }];
    });
  }

  #elements(data: unknown, { family, table }: Place): readonly unknown[] {
    if (typeof data === 'string' && data.startsWith('@')) {
      return this.#sets.get(`${family} ${table} ${data.slice(1)}`) ?? [];
    }
    const set = isRecord(data) ? data['set'] : undefined;
    return Array.isArray(set) ? (set as readonly unknown[]) : [];
  }

  #isAmong(seen: Seen, right: unknown, place: Place): Holds {
    const isSet = isRecord(right) && 'set' in right;
    if (isSet || (typeof right === 'string' && right.startsWith('@'))) {
      return any(this.#elements(right, place).map((one) => this.#isAmong(seen, one, place)));
    }
    if (isRecord(right) && isRecord(right['elem'])) {
      return this.#isAmong(seen, right['elem']['val'], place);
    }
    if (seen.kind === 'parts') return this.#areParts(seen.parts, right, place);
    if (Array.isArray(right)) return any(right.map((one) => isOne(seen, one)));
    return isOne(seen, right);
  }

  #areParts(parts: readonly Seen[], right: unknown, place: Place): Holds {
    const wanted = isRecord(right) ? right['concat'] : undefined;
    if (!Array.isArray(wanted) || wanted.length !== parts.length) return 'unknown';
    return all(
      parts.map((part, index) => {
        if (part.kind === 'absent') return 'no';
        return part.kind === 'unknown' ? 'unknown' : this.#isAmong(part, wanted[index], place);
      }),
    );
  }
}

/** What an expression sees of a packet. */
function look(left: unknown, packet: Packet): Seen {
  if (!isRecord(left)) return UNKNOWN;
  const [kind = '', value] = Object.entries(left)[0] ?? [];
  if (kind === 'concat' && Array.isArray(value)) {
    return { kind: 'parts', parts: value.map((part) => look(part, packet)) };
  }
  if (kind === '&' && Array.isArray(value)) return masked(look(value[0], packet), value[1]);
  if (!isRecord(value)) return UNKNOWN;
  if (kind === 'payload') return header(value, packet);
  if (kind === 'meta') return meta(value['key'], packet);
  if (kind === 'ct') return connection(value['key'], packet);
  if (kind === 'fib') return lookUp(value['result'], packet);
  return UNKNOWN;
}

/** Of what is nought every part is. */
function masked(seen: Seen, mask: unknown): Seen {
  if (seen.kind !== 'number' || typeof mask !== 'number') {
    return seen.kind === 'absent' ? ABSENT : UNKNOWN;
  }
  return { kind: 'number', value: seen.value === undefined ? undefined : seen.value & mask };
}

function header({ protocol, field }: Readonly<Record<string, unknown>>, packet: Packet): Seen {
  if (protocol === 'ip' || protocol === 'ip6') {
    if ((protocol === 'ip') !== (packet.family === 'ipv4')) return ABSENT;
    if (field === 'saddr') return { kind: 'address', ip: packet.source };
    if (field === 'daddr') return { kind: 'address', ip: packet.destination };
    if (field === 'protocol' || field === 'nexthdr') return protocolOf(packet);
    return UNKNOWN;
  }
  if (protocol === 'th' || protocol === packet.protocol) {
    if (field === 'dport') return { kind: 'number', value: packet.destinationPort };
    if (field === 'sport') return { kind: 'number', value: packet.sourcePort };
    return UNKNOWN;
  }
  return OTHER_PROTOCOLS.has(String(protocol)) ? ABSENT : UNKNOWN;
}

const OTHER_PROTOCOLS = new Set([
  ...['tcp', 'udp', 'udplite', 'sctp', 'dccp', 'icmp', 'icmpv6', 'igmp', 'esp', 'ah', 'comp'],
  ...['arp', 'vlan'],
]);

function protocolOf({ protocol }: Packet): Seen {
  return { kind: 'words', words: [protocol, protocol === 'udp' ? '17' : '6'] };
}

function meta(key: unknown, packet: Packet): Seen {
  switch (key) {
    case 'iif':
    case 'iifname':
      return { kind: 'device', name: packet.from };
    case 'oif':
    case 'oifname':
      return { kind: 'device', name: packet.to };
    case 'l4proto':
      return protocolOf(packet);
    case 'nfproto':
      return { kind: 'words', words: [packet.family] };
    case 'protocol':
      return { kind: 'words', words: [packet.family === 'ipv4' ? 'ip' : 'ip6'] };
    case 'pkttype':
      return { kind: 'words', words: ['unicast', 'host', '0'] };
    // Nothing has marked it.
    case 'mark':
      return { kind: 'number', value: 0 };
    default:
      return UNKNOWN;
  }
}

function connection(key: unknown, { state, translated }: Packet): Seen {
  switch (key) {
    case 'state':
      return { kind: 'words', words: [state] };
    case 'status':
      return { kind: 'words', words: translated ? ['dnat'] : [] };
    case 'direction':
      return { kind: 'words', words: [state === 'new' ? 'original' : 'reply'] };
    case 'mark':
      return { kind: 'number', value: 0 };
    default:
      return UNKNOWN;
  }
}

/** There is a way back to its sender, out of the device that it came by. */
function lookUp(result: unknown, { forHost }: Packet): Seen {
  if (result === 'type') return { kind: 'words', words: [forHost ? 'local' : 'unicast'] };
  return result === 'oif' || result === 'oifname' ? { kind: 'words', words: ['true'] } : UNKNOWN;
}

function isOne(seen: Seen, right: unknown): Holds {
  switch (seen.kind) {
    case 'words':
      return holdsIf(seen.words.includes(String(right)));
    case 'device':
      return holdsIf(seen.name !== undefined && namesDevice(String(right), seen.name, '*'));
    case 'number':
      return isNumber(seen.value, right);
    case 'address':
      return isAddress(seen.ip, right);
    default:
      return 'unknown';
  }
}

function isNumber(value: number | undefined, right: unknown): Holds {
  if (value === undefined) return 'some';
  if (typeof right === 'number') return holdsIf(value === right);
  const range = isRecord(right) ? right['range'] : undefined;
  if (!Array.isArray(range)) return 'unknown';
  const [first, last] = range as readonly unknown[];
  if (typeof first !== 'number' || typeof last !== 'number') return 'unknown';
  return holdsIf(value >= first && value <= last);
}

function isAddress(ip: Ip | undefined, right: unknown): Holds {
  if (typeof right === 'string') {
    const prefix = readPrefix(right);
    return prefix ? inPrefix(ip, prefix) : 'unknown';
  }
  const prefix = isRecord(right) ? right['prefix'] : undefined;
  // Ranges, and what else there may be: those who send it may be there or not.
  if (!isRecord(prefix)) return ip === undefined ? 'some' : 'unknown';
  const read = readPrefix(`${String(prefix['addr'])}/${String(prefix['len'])}`);
  return read ? inPrefix(ip, read) : 'unknown';
}

function ordered(seen: Seen, op: unknown, right: unknown): Holds {
  if (seen.kind !== 'number' || typeof right !== 'number') return 'unknown';
  const { value } = seen;
  if (value === undefined) return 'some';
  if (op === '<') return holdsIf(value < right);
  if (op === '>') return holdsIf(value > right);
  if (op === '<=') return holdsIf(value <= right);
  return op === '>=' ? holdsIf(value >= right) : 'unknown';
}
