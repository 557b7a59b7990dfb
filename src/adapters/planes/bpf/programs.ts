import { readFileSync } from 'node:fs';
import { encodeIp, familyOf, type InnerIp, type OuterIp, type Prefix } from '../../../core/addr.ts';
import { concatBytes, encodeU32host, getU32host, getU64host } from '../../../core/bytes.ts';
import { port } from '../../../core/units.ts';
import {
  MAPS,
  MAX_FORMERS,
  REASONS,
  type MapName,
  type ProgramConfig,
  type ProgramName,
  type ProgramPeer,
  type Reason,
  type Room,
} from './abi.ts';
import type { BpfMap } from '../../ffi/libbpf.ts';
import { attachFilter, checkedBpf, libbpf, type BpfMapHandle, type Hook } from './bpf-calls.ts';
import {
  decodeHint,
  EMPTY_PEER,
  encodeConfig,
  encodeEnd,
  encodeHint,
  encodePathKey,
  encodePeer,
  encodePrefixKey,
  encodeSourceKey,
  flagsOf,
} from './program-codec.ts';
import { LoadedObject } from './loaded-object.ts';
import { PeerEntries } from './peer-entries.ts';
import { Places, SPARE_PLACES } from './places.ts';
import { TagMaps, type SharedMaps, type TagRoom } from './tag-maps.ts';

export type LoadOptions = {
  /** How many peers there is room for: indexes 0 to `maxPeers` - 1; about 170 bytes each at once, 280 with IPv6. */
  readonly maxPeers: number;
  /** Inner addresses and prefixes of all peers together; default 2 for each peer. */
  readonly maxInner?: number;
  /** Where there is room for IPv6: for peers that are reached over it, and for what they have inside. */
  readonly ipv6?: { readonly outside: boolean; readonly inside: boolean };
  /** Keys of tags that there is room for, in each direction; none by default. */
  readonly tags?: TagRoom | undefined;
  /** Maps of other programs that these go on with, instead of their own. */
  readonly shared?: SharedMaps | undefined;
  /** Flags that `configure` may ever have; all by default. What is behind others the programs do without. */
  readonly possible?: number;
};

const ALL_FLAGS = 0xffff_ffff;

/** Makes the maps in the kernel; programs are loaded when they are asked for (`ready`, or what needs one). */
export function loadPrograms(options: LoadOptions): Programs {
  const room = roomOf(options);
  const { possible = ALL_FLAGS } = options;
  const shared: Partial<Record<MapName, BpfMapHandle>> = options.shared ?? {};
  const prepare = (name: MapName, map: BpfMap): void => {
    const other = shared[name];
    if (other) {
      checkedBpf(libbpf().bpf_map__reuse_fd(map, other.fd), 'bpf_map__reuse_fd', `map ${name}`);
      return;
    }
    const entries = room[MAPS[name].room];
    if (entries === undefined) return;
    const set = libbpf().bpf_map__set_max_entries(map, entries);
    checkedBpf(set, 'bpf_map__set_max_entries', `map ${name}`);
  };
  return new Programs(LoadedObject.load(prepare, possible), possible);
}

/** undefined: as the map is declared. */
function roomOf({
  maxPeers,
  maxInner = Math.max(2 * maxPeers, 16),
  ipv6 = { outside: false, inside: false },
  tags,
}: LoadOptions): Readonly<Record<Room, number | undefined>> {
  return {
    fixed: undefined,
    peers: maxPeers,
    inner: maxInner,
    places6: ipv6.outside ? maxPeers + SPARE_PLACES : undefined,
    peers6: ipv6.outside ? maxPeers : undefined,
    inner6: ipv6.inside ? maxInner : undefined,
    sources6: ipv6.outside ? MAX_FORMERS : undefined,
    tagsIn: tags?.receive,
    tagsOut: tags?.send,
  };
}

/**
 * The programs in the kernel, and what they go by. Closing lets go of user space's part alone: attached
 * programs go on with their maps, those attached nowhere are gone.
 */
export class Programs implements Disposable {
  readonly #owned: LoadedObject;
  readonly #possible: number;
  /** Who is admitted, as the programs have it. */
  readonly entries: PeerEntries;
  /** Indexes of peers are below this. */
  readonly maxPeers: number;
  /** The keys of peers' tags. */
  readonly tags: TagMaps;
  readonly #places: Places;

  constructor(owned: LoadedObject, possible: number) {
    this.#owned = owned;
    this.#possible = possible;
    this.entries = new PeerEntries({
      ipipou_peers: this.#map('ipipou_peers'),
      ipipou_paths: this.#map('ipipou_paths'),
      ipipou_counters: this.#map('ipipou_counters'),
      ipipou_ends6: this.#map('ipipou_ends6'),
      ipipou_paths6: this.#map('ipipou_paths6'),
    });
    this.tags = new TagMaps({
      ipipou_tags_in: this.#map('ipipou_tags_in'),
      ipipou_tags_out: this.#map('ipipou_tags_out'),
      ipipou_owners: this.#map('ipipou_owners'),
    });
    this.#places = new Places(this.#map('ipipou_ends6').info.maxEntries);
    this.maxPeers = this.#map('ipipou_peers').info.maxEntries;
  }

  /** Loads programs, attached nowhere yet, while this thread does something else. What of them fails is told by `descriptor`. */
  ready(names: readonly ProgramName[]): Promise<void> {
    return this.#owned.ready(names);
  }

  /** Loads what others have loaded; nothing of it can fail later. */
  async loadAsMuchAs(others: Programs): Promise<void> {
    const names = others.#owned.loaded;
    await this.ready(names);
    for (const name of names) this.descriptor(name);
  }

  /**
   * The descriptor of a program, loaded now unless it is `ready`; it stays this object's. Throws KernelError with the
   * verifier's words when the kernel refuses it.
   */
  descriptor(name: ProgramName): number {
    return this.#owned.descriptor(name);
  }

  /** Puts a program into a hook, in the place of ours that is there. */
  attach(hook: Hook, name: ProgramName): { readonly madeQdisc: boolean } {
    return attachFilter(hook, this.descriptor(name));
  }

  /** The descriptor of the ring in which the programs tell of packets from elsewhere, which stays this object's. */
  get roamed(): number {
    return this.#map('ipipou_roamed').fd;
  }

  /** Whether `configure` may have these flags. */
  allow(flags: number): boolean {
    return (flags & ~this.#possible) === 0;
  }

  configure(config: ProgramConfig): void {
    if (!this.allow(flagsOf(config))) throw new Error('the programs do without what is asked for');
    this.#map('ipipou_config').set(encodeU32host(0), encodeConfig(config));
  }

  /** Admits a peer, or re-points it; whoever else had its path loses it. Its counters go on. */
  admit(index: number, peer: ProgramPeer): void {
    const former = this.entries.peer(index);
    const place = this.entries.placeOf(index);
    this.#map('ipipou_peers').set(encodeU32host(index), encodePeer(peer, this.#placed(peer)));
    const key = keyOf(peer);
    this.#map(pathsOf(peer)).set(key, encodeU32host(index));
    if (former && !same(keyOf(former), key)) this.#removePath(former, index);
    this.#places.giveUp(place);
  }

  /** As `admit`, for many peers that are not admitted yet, in few calls of the kernel. */
  admitMany(peers: readonly (readonly [index: number, peer: ProgramPeer])[]): void {
    const values = peers.map(([, peer]) => encodePeer(peer, this.#placed(peer)));
    const indexes = concatBytes(peers.map(([index]) => encodeU32host(index)));
    this.#map('ipipou_peers').setMany(indexes, concatBytes(values), peers.length);
    for (const name of ['ipipou_paths', 'ipipou_paths6'] as const) {
      const some = peers.filter(([, peer]) => pathsOf(peer) === name);
      const keys = concatBytes(some.map(([, peer]) => keyOf(peer)));
      const ours = concatBytes(some.map(([index]) => encodeU32host(index)));
      this.#map(name).setMany(keys, ours, some.length);
    }
  }

  /** Stops carrying a peer's packets. Its counters stay. */
  evict(index: number): void {
    const former = this.entries.peer(index);
    if (!former) return;
    const place = this.entries.placeOf(index);
    this.#removePath(former, index);
    this.#map('ipipou_peers').set(encodeU32host(index), EMPTY_PEER);
    this.#places.giveUp(place);
  }

  /** Writes down the ends of a peer over IPv6, where no program looks yet; where that is. */
  #placed(peer: ProgramPeer): number | undefined {
    if (familyOf(peer.remoteIp) === 'ipv4') return undefined;
    const place = this.#places.take();
    this.#map('ipipou_ends6').set(encodeU32host(place), encodeEnd(peer));
    return place;
  }

  /** Gives an inner address to a peer; `hasHosts` (`hasHosts6`) of the config must say that there are any. */
  setHost(address: InnerIp, index: number): void {
    this.setHosts([[address, index]]);
  }

  /** As `setHost`, for many, in one call of the kernel a family. */
  setHosts(hosts: readonly (readonly [address: InnerIp, index: number])[]): void {
    for (const name of ['ipipou_hosts', 'ipipou_hosts6'] as const) {
      const some = hosts.filter(([address]) => hostsOf(address) === name);
      const keys = concatBytes(some.map(([address]) => encodeIp(address)));
      const values = concatBytes(some.map(([, index]) => encodeU32host(index)));
      this.#map(name).setMany(keys, values, some.length);
    }
  }

  removeHost(address: InnerIp): void {
    this.#map(hostsOf(address)).remove(encodeIp(address));
  }

  /** Gives a prefix to a peer; the longest one wins. `hasPrefixes` (`hasPrefixes6`) of the config must say so. */
  setPrefix(prefix: Prefix, index: number): void {
    this.#map(prefixesOf(prefix)).set(encodePrefixKey(prefix), encodeU32host(index));
  }

  removePrefix(prefix: Prefix): void {
    this.#map(prefixesOf(prefix)).remove(encodePrefixKey(prefix));
  }

  /** Sets a peer's counters to zero, for an index that is given to another peer. */
  clearCounters(index: number): void {
    this.#map('ipipou_counters').set(
      encodeU32host(index),
      new Uint8Array(MAPS.ipipou_counters.value),
    );
  }

  /** Goes on with the counts that a peer has in other maps (`rawCounters`). */
  setCounters(index: number, bytes: Uint8Array): void {
    this.#map('ipipou_counters').set(encodeU32host(index), bytes);
  }

  /** Gives requests with these hints the budgets of these peers; in one call of the kernel. */
  setHints(hints: readonly (readonly [hint: Uint8Array, index: number])[]): void {
    const keys = concatBytes(hints.map(([hint]) => hint));
    const values = concatBytes(hints.map(([, index]) => encodeHint(index)));
    this.#map('ipipou_hints').setMany(keys, values, hints.length);
  }

  /** Only while it is that peer's: another's key may begin alike. */
  removeHint(hint: Uint8Array, index: number): void {
    const map = this.#map('ipipou_hints');
    const owner = map.get(hint);
    if (owner && decodeHint(owner) === index) map.remove(hint);
  }

  /** Gives sources where peers are, or were, budgets apart from strangers'. */
  rememberSources(sources: readonly OuterIp[]): void {
    for (const name of ['ipipou_formers', 'ipipou_formers6'] as const) {
      const some = sources.filter((source) => formersOf(source) === name);
      const values = new Uint8Array(some.length * MAPS[name].value);
      this.#map(name).setMany(concatBytes(some.map(encodeSourceKey)), values, some.length);
    }
  }

  /** How many packets were refused, by reason, and (`passed-up`) how many went to the socket. */
  reasons(): Readonly<Record<Reason, bigint>> {
    const map = this.#map('ipipou_reasons');
    const counts = REASONS.map((reason, index) => {
      const bytes = map.get(encodeU32host(index), 8 * possibleCpus()) ?? new Uint8Array(0);
      let sum = 0n;
      for (let at = 0; at < bytes.length; at += 8) sum += getU64host(bytes, at);
      return [reason, sum] as const;
    });
    return Object.fromEntries(counts) as Record<Reason, bigint>;
  }

  [Symbol.dispose](): void {
    this.#owned[Symbol.dispose]();
  }

  #map(name: MapName): BpfMapHandle {
    return this.#owned.map(name);
  }

  /** Only while it leads to that peer: another may have taken it over. */
  #removePath(peer: ProgramPeer, index: number): void {
    const map = this.#map(pathsOf(peer));
    const key = keyOf(peer);
    const owner = map.get(key);
    if (owner && getU32host(owner, 0) === index) map.remove(key);
  }
}

function keyOf(peer: ProgramPeer): Uint8Array {
  // The key has no local port: all paths of a tunnel end at its own.
  const local = { ip: peer.localIp, port: port(peer.remotePort) };
  return encodePathKey({ local, remote: { ip: peer.remoteIp, port: port(peer.remotePort) } });
}

function pathsOf({ remoteIp }: ProgramPeer): 'ipipou_paths' | 'ipipou_paths6' {
  return familyOf(remoteIp) === 'ipv4' ? 'ipipou_paths' : 'ipipou_paths6';
}

function hostsOf(address: InnerIp): 'ipipou_hosts' | 'ipipou_hosts6' {
  return familyOf(address) === 'ipv4' ? 'ipipou_hosts' : 'ipipou_hosts6';
}

function prefixesOf({ ip }: Prefix): 'ipipou_prefixes' | 'ipipou_prefix6' {
  return familyOf(ip) === 'ipv4' ? 'ipipou_prefixes' : 'ipipou_prefix6';
}

function formersOf(source: OuterIp): 'ipipou_formers' | 'ipipou_formers6' {
  return familyOf(source) === 'ipv4' ? 'ipipou_formers' : 'ipipou_formers6';
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}

let cpus: number | undefined;

/** How many processors a per-CPU map has values for ("0-3,8": nine); fixed when the machine starts. */
function possibleCpus(): number {
  if (cpus !== undefined) return cpus;
  const list = readFileSync('/sys/devices/system/cpu/possible', 'utf8');
  return (cpus = Number(/([0-9]+)\s*$/.exec(list)?.[1] ?? '0') + 1);
}
