import { existsSync, readFileSync } from 'node:fs';
import { encodeIpv4, type InnerIp, type OuterIp, type Prefix } from '../../../core/addr.ts';
import { concatBytes, encodeU32host, getU32host, getU64host } from '../../../core/bytes.ts';
import { IpipouError } from '../../../core/errors.ts';
import { port } from '../../../core/units.ts';
import { close } from '../../ffi/libc.ts';
import type { BpfMap } from '../../ffi/libbpf.ts';
import { packageFile } from '../../system/package-files.ts';
import {
  MAP_NAMES,
  MAPS,
  PROGRAMS,
  REASONS,
  type MapName,
  type ProgramConfig,
  type ProgramName,
  type ProgramPeer,
  type Reason,
} from './abi.ts';
import {
  attachFilter,
  BpfMapHandle,
  checkedBpf,
  libbpf,
  reopenMap,
  reopenProgram,
  type Hook,
} from './bpf-calls.ts';
import {
  decodeHint,
  EMPTY_PEER,
  encodeConfig,
  encodeHint,
  encodePathKey,
  encodePeer,
  encodePrefixKey,
} from './program-codec.ts';
import { PeerEntries } from './peer-entries.ts';

/** The compiled programs, as they were built last. */
export function objectFile(): string {
  const file = packageFile('dist/bpf/ipipou.bpf.o');
  if (existsSync(file)) return file;
  throw new IpipouError('createTunnel', `the eBPF programs are not built: no ${file}`, {
    hint: 'run "npm run build" (it needs clang and libbpf-dev)',
  });
}

export type LoadOptions = {
  /** How many peers there is room for: indexes 0 to `maxPeers` - 1; about 170 bytes each at once. */
  readonly maxPeers: number;
  /** Inner addresses and prefixes of all peers together; default 2 for each peer. */
  readonly maxInner?: number;
};

/**
 * Loads the programs into the kernel, with maps of their own, attached nowhere yet. Throws KernelError
 * with the verifier's words when the kernel refuses them.
 */
export function loadPrograms(options: LoadOptions): Programs {
  const { maxPeers, maxInner = Math.max(2 * maxPeers, 16) } = options;
  return load((name, map) => {
    if (!MAPS[name].peers) return;
    const inner = name === 'ipipou_hosts' || name === 'ipipou_prefixes';
    const set = libbpf().bpf_map__set_max_entries(map, inner ? maxInner : maxPeers);
    checkedBpf(set, 'bpf_map__set_max_entries', `map ${name}`);
  });
}

function load(prepare: (name: MapName, map: BpfMap) => void): Programs {
  const bytes = readFileSync(objectFile());
  const library = libbpf();
  const object = library.bpf_object__open_mem(bytes, bytes.length, null);
  if (!object) throw new IpipouError('createTunnel', 'libbpf refuses the eBPF object');
  try {
    for (const name of MAP_NAMES) {
      prepare(name, sure(library.bpf_object__find_map_by_name(object, name), name));
    }
    checkedBpf(library.bpf_object__load(object), 'bpf_object__load', 'eBPF programs');
    const owned = new DescriptorSet();
    try {
      for (const name of PROGRAMS) {
        const program = sure(library.bpf_object__find_program_by_name(object, name), name);
        owned.programs.set(name, reopenProgram(library.bpf_program__fd(program)));
      }
      for (const name of MAP_NAMES) {
        const map = sure(library.bpf_object__find_map_by_name(object, name), name);
        owned.maps.set(name, new BpfMapHandle(reopenMap(library.bpf_map__fd(map))));
      }
      return new Programs(owned);
    } catch (error) {
      owned[Symbol.dispose]();
      throw error;
    }
  } finally {
    library.bpf_object__close(object);
  }
}

function sure<T>(found: T | null, name: string): T {
  if (found) return found;
  throw new IpipouError('createTunnel', `the eBPF object has no ${name}`);
}

class DescriptorSet implements Disposable {
  readonly programs = new Map<ProgramName, number>();
  readonly maps = new Map<MapName, BpfMapHandle>();

  [Symbol.dispose](): void {
    for (const fd of this.programs.values()) close(fd);
    for (const map of this.maps.values()) map[Symbol.dispose]();
  }
}

/**
 * The programs in the kernel, and what they go by. Closing lets go of user space's part alone: attached
 * programs go on with their maps, those attached nowhere are gone.
 */
export class Programs implements Disposable {
  readonly #owned: DescriptorSet;
  /** Who is admitted, as the programs have it. */
  readonly entries: PeerEntries;
  /** Indexes of peers are below this. */
  readonly maxPeers: number;

  constructor(owned: DescriptorSet) {
    this.#owned = owned;
    this.entries = new PeerEntries({
      ipipou_peers: this.#map('ipipou_peers'),
      ipipou_paths: this.#map('ipipou_paths'),
      ipipou_counters: this.#map('ipipou_counters'),
    });
    this.maxPeers = this.#map('ipipou_peers').info.maxEntries;
  }

  /** The descriptor of a program, which stays this object's. */
  descriptor(name: ProgramName): number {
    const fd = this.#owned.programs.get(name);
    if (fd === undefined) throw new IpipouError('generic', `no program ${name}`);
    return fd;
  }

  /** Puts a program into a hook, in the place of ours that is there. */
  attach(hook: Hook, name: ProgramName): { readonly madeQdisc: boolean } {
    return attachFilter(hook, this.descriptor(name));
  }

  configure(config: ProgramConfig): void {
    this.#map('ipipou_config').set(encodeU32host(0), encodeConfig(config));
  }

  /** Admits a peer, or re-points it; whoever else had its path loses it. Its counters go on. */
  admit(index: number, peer: ProgramPeer): void {
    const former = this.entries.peer(index);
    this.#map('ipipou_peers').set(encodeU32host(index), encodePeer(peer));
    const key = encodeKeyOf(peer);
    this.#map('ipipou_paths').set(key, encodeU32host(index));
    if (former && !same(encodeKeyOf(former), key)) this.#removePath(encodeKeyOf(former), index);
  }

  /** As `admit`, for many peers that are not admitted yet, in two calls of the kernel. */
  admitMany(peers: readonly (readonly [index: number, peer: ProgramPeer])[]): void {
    const indexes = concatBytes(peers.map(([index]) => encodeU32host(index)));
    const values = concatBytes(peers.map(([, peer]) => encodePeer(peer)));
    this.#map('ipipou_peers').setMany(indexes, values, peers.length);
    const keys = concatBytes(peers.map(([, peer]) => encodeKeyOf(peer)));
    this.#map('ipipou_paths').setMany(keys, indexes, peers.length);
  }

  /** Stops carrying a peer's packets. Its counters stay. */
  evict(index: number): void {
    const former = this.entries.peer(index);
    if (!former) return;
    this.#removePath(encodeKeyOf(former), index);
    this.#map('ipipou_peers').set(encodeU32host(index), EMPTY_PEER);
  }

  /** Gives an inner address to a peer; `hasHosts` of the config must say that there are any. */
  setHost(address: InnerIp, index: number): void {
    this.#map('ipipou_hosts').set(encodeIpv4(address), encodeU32host(index));
  }

  /** As `setHost`, for many, in one call of the kernel. */
  setHosts(hosts: readonly (readonly [address: InnerIp, index: number])[]): void {
    const keys = concatBytes(hosts.map(([address]) => encodeIpv4(address)));
    const values = concatBytes(hosts.map(([, index]) => encodeU32host(index)));
    this.#map('ipipou_hosts').setMany(keys, values, hosts.length);
  }

  removeHost(address: InnerIp): void {
    this.#map('ipipou_hosts').remove(encodeIpv4(address));
  }

  /** Gives a prefix to a peer; the longest one wins. `hasPrefixes` of the config must say so. */
  setPrefix(prefix: Prefix, index: number): void {
    this.#map('ipipou_prefixes').set(encodePrefixKey(prefix), encodeU32host(index));
  }

  removePrefix(prefix: Prefix): void {
    this.#map('ipipou_prefixes').remove(encodePrefixKey(prefix));
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
    const keys = concatBytes(sources.map((source) => encodeIpv4(source)));
    const values = new Uint8Array(sources.length * MAPS.ipipou_formers.value);
    this.#map('ipipou_formers').setMany(keys, values, sources.length);
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
    const map = this.#owned.maps.get(name);
    if (!map) throw new IpipouError('generic', `no map ${name}`);
    return map;
  }

  /** Only while it leads to that peer: another may have taken it over. */
  #removePath(key: Uint8Array, index: number): void {
    const map = this.#map('ipipou_paths');
    const owner = map.get(key);
    if (owner && getU32host(owner, 0) === index) map.remove(key);
  }
}

function encodeKeyOf(peer: ProgramPeer): Uint8Array {
  // The key has no local port: all paths of a tunnel end at its own.
  const local = { ip: peer.localIp, port: port(peer.remotePort) };
  return encodePathKey({ local, remote: { ip: peer.remoteIp, port: port(peer.remotePort) } });
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.every((byte, index) => byte === b[index]);
}

let cpus: number | undefined;

/** How many processors a per-CPU map has values for ("0-3,8": nine); fixed when the machine starts. */
function possibleCpus(): number {
  if (cpus !== undefined) return cpus;
  const list = readFileSync('/sys/devices/system/cpu/possible', 'utf8');
  return (cpus = Number(/([0-9]+)\s*$/.exec(list)?.[1] ?? '0') + 1);
}
