import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { AUTH_BYTES, STRUCTS } from '../../src/adapters/planes/bpf/abi.ts';
import {
  attachedProgram,
  attachFilter,
  BpfMapHandle,
  checkedBpf,
  libbpf,
  mapIdsOf,
  openMap,
  reopenMap,
  type Hook,
} from '../../src/adapters/planes/bpf/bpf-calls.ts';
import { encodeU32host } from '../../src/core/bytes.ts';

export type FormerVersion = 1 | 2 | 3;

/** A hook, and the name of the program for it. */
export type Hung = { readonly hook: Hook; readonly program: string };

/** Maps that go on with what they hold; what else an old version has is empty, and asked for by no flag. */
const KEPT = ['ipipou_config', 'ipipou_peers', 'ipipou_paths', 'ipipou_counters'] as const;
const SIZED = new Set([
  ...['ipipou_peers', 'ipipou_paths', 'ipipou_counters'],
  ...['ipipou_hosts', 'ipipou_prefixes', 'ipipou_hints'],
]);
/** Of a struct ipipou_config, what every version begins with. */
const COMMON_CONFIG = STRUCTS.ipipou_config.fields.rate_hint_source.offset;
/** And what those have that know no tags; lengths of authentication are behind it. */
const BEFORE_TAGS = STRUCTS.ipipou_config.fields.rate_init.offset;

/**
 * Hangs programs of an earlier version (test/fixtures/bpf) in the places of those that are there, with what these
 * have in their maps: as if a run of that version had left them. In the namespace of the calling thread.
 */
export function hangFormer(version: FormerVersion, hung: readonly Hung[]): void {
  const library = libbpf();
  const file = new URL(`../fixtures/bpf/version-${version}.bpf.o.gz`, import.meta.url);
  const bytes = gunzipSync(readFileSync(file));
  const object = library.bpf_object__open_mem(bytes, bytes.length, null);
  if (!object) throw new Error('libbpf refuses the fixture');
  const there = mapsOf(hung);
  try {
    const room = there.get('ipipou_peers')?.info.maxEntries ?? 0;
    for (const name of SIZED) {
      const map = library.bpf_object__find_map_by_name(object, name);
      if (map) checkedBpf(library.bpf_map__set_max_entries(map, room), 'max_entries', name);
    }
    checkedBpf(library.bpf_object__load(object), 'bpf_object__load', `version ${version}`);
    for (const name of KEPT) {
      const map = library.bpf_object__find_map_by_name(object, name);
      const from = there.get(name);
      if (!map || !from) throw new Error(`no map ${name}`);
      using to = new BpfMapHandle(reopenMap(library.bpf_map__fd(map)));
      for (const key of from.keys()) {
        const value = from.get(key);
        if (value) to.set(key, name === 'ipipou_config' ? configOf(value, version, to) : value);
      }
    }
    for (const { hook, program } of hung) {
      const found = library.bpf_object__find_program_by_name(object, program);
      if (!found) throw new Error(`no program ${program}`);
      attachFilter(hook, library.bpf_program__fd(found));
    }
  } finally {
    for (const map of there.values()) map[Symbol.dispose]();
    library.bpf_object__close(object);
  }
}

/** The maps of the programs that are there, by name. */
function mapsOf(hung: readonly Hung[]): ReadonlyMap<string, BpfMapHandle> {
  const ids = hung.flatMap(({ hook }) => {
    const program = attachedProgram(hook);
    return program === undefined ? [] : mapIdsOf(program);
  });
  const maps = new Map<string, BpfMapHandle>();
  for (const id of new Set(ids)) {
    const map = openMap(id);
    // Each load has constants of its own.
    maps.get(map.info.name)?.[Symbol.dispose]();
    maps.set(map.info.name, map);
  }
  return maps;
}

/** A config as that version has it: as long, and of it what all have. */
function configOf(config: Uint8Array, version: FormerVersion, { info }: BpfMapHandle): Uint8Array {
  const value = new Uint8Array(info.valueSize);
  value.set(config.subarray(0, version === 1 ? COMMON_CONFIG : BEFORE_TAGS));
  const lengths = config.subarray(-AUTH_BYTES);
  if (version > 1) value.set(lengths, value.length - lengths.length);
  value.set(encodeU32host(version), STRUCTS.ipipou_config.fields.abi_version.offset);
  return value;
}
