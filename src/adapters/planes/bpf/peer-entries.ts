import type { Path } from '../../../core/addr.ts';
import { encodeU32host, getU32host } from '../../../core/bytes.ts';
import { ADOPTED_VERSIONS, MAPS, type ProgramCounters, type ProgramPeer } from './abi.ts';
import { attachedProgram, mapIdsOf, openMap, type BpfMapHandle, type Hook } from './bpf-calls.ts';
import {
  decodeAbiVersion,
  decodeCounters,
  decodePathKey,
  decodePeer,
  encodePathKey,
} from './program-codec.ts';

/** Maps that say who is admitted where, and what was counted: the same in every version that is adopted. */
const ENTRY_MAPS = ['ipipou_peers', 'ipipou_paths', 'ipipou_counters'] as const;
type EntryMap = (typeof ENTRY_MAPS)[number];

/** Who is admitted, in the maps of programs that run; the maps belong to the caller. */
export class PeerEntries {
  readonly #maps: Readonly<Record<EntryMap, BpfMapHandle>>;

  constructor(maps: Readonly<Record<EntryMap, BpfMapHandle>>) {
    this.#maps = maps;
  }

  /** The peer that is admitted at an index. */
  peer(index: number): ProgramPeer | undefined {
    const bytes = this.#maps.ipipou_peers.get(encodeU32host(index));
    return bytes && decodePeer(bytes);
  }

  /** The index of the peer that is admitted on a path. */
  indexAt(path: Path): number | undefined {
    const index = this.#maps.ipipou_paths.get(encodePathKey(path));
    return index && getU32host(index, 0);
  }

  /** All admitted paths with their peers' indexes; `localPort` is the tunnel's. */
  *paths(localPort: number): Generator<{ readonly path: Path; readonly index: number }> {
    const map = this.#maps.ipipou_paths;
    for (const key of map.keys()) {
      const index = map.get(key);
      if (index) yield { path: decodePathKey(key, localPort), index: getU32host(index, 0) };
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

  constructor(owned: OpenMaps, maps: Readonly<Record<EntryMap, BpfMapHandle>>) {
    super(maps);
    this.#owned = owned;
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
    return new FormerEntries(this, {
      ipipou_peers: peers,
      ipipou_paths: paths,
      ipipou_counters: counters,
    });
  }

  #sized(name: EntryMap): BpfMapHandle | undefined {
    const map = this.#maps.get(name);
    const same = map?.info.keySize === MAPS[name].key && map.info.valueSize === MAPS[name].value;
    return same ? map : undefined;
  }

  [Symbol.dispose](): void {
    for (const map of this.#maps.values()) map[Symbol.dispose]();
  }
}
