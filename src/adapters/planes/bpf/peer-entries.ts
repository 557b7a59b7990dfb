import { familyOf, type Path } from '../../../core/addr.ts';
import { encodeU32host, getU32host } from '../../../core/bytes.ts';
import {
  ABI_VERSION,
  ADOPTED_VERSIONS,
  MAPS,
  type ProgramCounters,
  type ProgramPeer,
} from './abi.ts';
import { attachedProgram, mapIdsOf, openMap, type BpfMapHandle, type Hook } from './bpf-calls.ts';
import {
  decodeAbiVersion,
  decodeCounters,
  decodePathKey,
  decodePeer,
  decodePlace,
  encodePathKey,
} from './program-codec.ts';
import type { SharedMaps } from './tag-maps.ts';

/** Maps that say who is admitted where, and what was counted: the same in every version that is adopted. */
const ENTRY_MAPS = ['ipipou_peers', 'ipipou_paths', 'ipipou_counters'] as const;
/** What says it of peers over IPv6, from version 3 on. */
const ENTRY_MAPS6 = ['ipipou_ends6', 'ipipou_paths6'] as const;
type EntryMap = (typeof ENTRY_MAPS)[number];
type EntryMap6 = (typeof ENTRY_MAPS6)[number];

export type EntryMaps = Readonly<Record<EntryMap, BpfMapHandle>> &
  Readonly<Partial<Record<EntryMap6, BpfMapHandle>>>;

/** Who is admitted, in the maps of programs that run; the maps belong to the caller. */
export class PeerEntries {
  readonly #maps: EntryMaps;

  constructor(maps: EntryMaps) {
    this.#maps = maps;
  }

  /** The peer that is admitted at an index. */
  peer(index: number): ProgramPeer | undefined {
    const bytes = this.#maps.ipipou_peers.get(encodeU32host(index));
    if (!bytes) return undefined;
    const place = decodePlace(bytes);
    if (place === undefined) return decodePeer(bytes, undefined);
    const end = this.#maps.ipipou_ends6?.get(encodeU32host(place));
    return end && decodePeer(bytes, end);
  }

  /** The place of the ends of the peer at an index; undefined where it has none. */
  placeOf(index: number): number | undefined {
    const bytes = this.#maps.ipipou_peers.get(encodeU32host(index));
    return bytes && decodePlace(bytes);
  }

  /** The index of the peer that is admitted on a path. */
  indexAt(path: Path): number | undefined {
    const map = familyOf(path.remote.ip) === 'ipv4' ? 'ipipou_paths' : 'ipipou_paths6';
    const index = this.#maps[map]?.get(encodePathKey(path));
    return index && getU32host(index, 0);
  }

  /** All admitted paths with their peers' indexes; `localPort` is the tunnel's. */
  *paths(localPort: number): Generator<{ readonly path: Path; readonly index: number }> {
    for (const map of [this.#maps.ipipou_paths, this.#maps.ipipou_paths6]) {
      for (const key of map?.keys() ?? []) {
        const index = map?.get(key);
        if (index) yield { path: decodePathKey(key, localPort), index: getU32host(index, 0) };
      }
    }
  }

  counters(index: number): ProgramCounters {
    const bytes = this.rawCounters(index);
    if (!bytes) throw new RangeError(`peer index ${index}`);
    return decodeCounters(bytes);
  }

  /** Counters and budgets of a peer, to go on with in other maps. */
  rawCounters(index: number): Uint8Array | undefined {
    return this.#maps.ipipou_counters.get(encodeU32host(index));
  }
}

/** What an earlier run's programs go on with, to be read and let go. */
export class FormerEntries extends PeerEntries implements Disposable {
  readonly #owned: OpenMaps;

  /** The keys of tags that go on, if there are any. */
  readonly tags: SharedMaps | undefined;

  constructor(owned: OpenMaps, maps: EntryMaps, tags: SharedMaps | undefined) {
    super(maps);
    this.#owned = owned;
    this.tags = tags;
  }

  [Symbol.dispose](): void {
    this.#owned[Symbol.dispose]();
  }
}

/** Entries of the programs in these hooks; undefined where none of ours is, or of no version that is known. */
export function findFormerEntries(hooks: readonly Hook[]): FormerEntries | undefined {
  const found = new OpenMaps();
  let entries: FormerEntries | undefined;
  try {
    const ids = hooks.flatMap((hook) => {
      const program = attachedProgram(hook);
      return program === undefined ? [] : mapIdsOf(program);
    });
    for (const id of new Set(ids)) found.take(id);
    entries = found.entries();
    return entries;
  } finally {
    if (!entries) found[Symbol.dispose]();
  }
}

class OpenMaps implements Disposable {
  readonly #maps = new Map<string, BpfMapHandle>();

  /** Opens a map; one of the same name gives way to it. */
  take(id: number): void {
    const map = openMap(id);
    this.#maps.get(map.info.name)?.[Symbol.dispose]();
    this.#maps.set(map.info.name, map);
  }

  entries(): FormerEntries | undefined {
    const config = this.#maps.get('ipipou_config')?.get(encodeU32host(0));
    if (!config || !ADOPTED_VERSIONS.includes(decodeAbiVersion(config))) return undefined;
    const [peers, paths, counters] = ENTRY_MAPS.map((name) => this.#sized(name));
    if (!peers || !paths || !counters) return undefined;
    const [ends6, paths6] = ENTRY_MAPS6.map((name) => this.#sized(name));
    const maps = {
      ipipou_peers: peers,
      ipipou_paths: paths,
      ipipou_counters: counters,
      ...(ends6 && paths6 ? { ipipou_ends6: ends6, ipipou_paths6: paths6 } : {}),
    };
    return new FormerEntries(this, maps, this.#tags(decodeAbiVersion(config)));
  }

  #tags(version: number): SharedMaps | undefined {
    if (version !== ABI_VERSION) return undefined;
    const [tagsIn, tagsOut] = [this.#sized('ipipou_tags_in'), this.#sized('ipipou_tags_out')];
    if (!tagsIn || !tagsOut || tagsOut.info.maxEntries === 1) return undefined;
    return { ipipou_tags_in: tagsIn, ipipou_tags_out: tagsOut };
  }

  #sized(name: EntryMap | EntryMap6 | keyof SharedMaps): BpfMapHandle | undefined {
    const map = this.#maps.get(name);
    const same = map?.info.keySize === MAPS[name].key && map.info.valueSize === MAPS[name].value;
    return same ? map : undefined;
  }

  [Symbol.dispose](): void {
    for (const map of this.#maps.values()) map[Symbol.dispose]();
  }
}
