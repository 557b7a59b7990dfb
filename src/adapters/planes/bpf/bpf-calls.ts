/**
 * libbpf's calls with their structs (bpf/libbpf.h of 1.1, linux/bpf.h of 6.1) and its failures as
 * KernelErrors. A size before everything says how much of a struct a caller knows.
 */
import { encodeU32host, getU32host } from '../../../core/bytes.ts';
import { IpipouError, KernelError } from '../../../core/errors.ts';
import type { IfIndex } from '../../../core/units.ts';
import { EEXIST, ENOENT, errnoName } from '../../ffi/errno.ts';
import { address, close } from '../../ffi/libc.ts';
import { loadLibbpf, takeSaid, type Libbpf } from '../../ffi/libbpf.ts';
import { encodeStruct, readNumber, structLayout } from './struct-layout.ts';

const TC_HOOK = structLayout({
  sz: 'u64',
  ifindex: 'u32',
  attach_point: 'u32',
  parent: 'u32',
  pad: 'u32',
});
const TC_OPTS = structLayout({
  ...{ sz: 'u64', prog_fd: 'u32', flags: 'u32', prog_id: 'u32', handle: 'u32', priority: 'u32' },
  pad: 'u32',
});
/** enum bpf_tc_attach_point */
const ATTACH_POINTS = { ingress: 1, egress: 2 } as const;
const BPF_TC_F_REPLACE = 1;

const PROG_INFO = structLayout({
  ...{ type: 'u32', id: 'u32', tag: 8, jited_prog_len: 'u32', xlated_prog_len: 'u32' },
  ...{ jited_prog_insns: 'u64', xlated_prog_insns: 'u64', load_time: 'u64', created_by_uid: 'u32' },
  ...{ nr_map_ids: 'u32', map_ids: 'u64', name: 16 },
});
const MAP_INFO = structLayout({
  ...{ type: 'u32', id: 'u32', key_size: 'u32', value_size: 'u32', max_entries: 'u32' },
  ...{ map_flags: 'u32', name: 16 },
});
const BPF_NOEXIST = 1n;
/** No program of ours has more maps. */
const MAX_MAP_IDS = 64;

export type Direction = keyof typeof ATTACH_POINTS;

/**
 * A place for a program. `handle` tells filters of one device apart: each tunnel's is its port, so
 * that several tunnels share an outer device.
 */
export type Hook = {
  readonly device: IfIndex;
  readonly direction: Direction;
  readonly handle: number;
};

/** Preference of our filters; those of lower numbers see packets first. */
export const FILTER_PRIORITY = 100;

/** libbpf, or an IpipouError that says how to get it. */
export function libbpf(): Libbpf {
  const library = loadLibbpf();
  if (library) return library;
  throw new IpipouError('createTunnel', 'libbpf.so.1 does not open', {
    hint: 'install libbpf1 (on Debian: apt-get install libbpf1)',
  });
}

/** The result of a call of libbpf, or a thrown KernelError with what the library said. */
export function checkedBpf(result: number, operation: string, subject: string): number {
  const words = takeSaid().trim();
  if (result >= 0) return result;
  const errno = errnoName(-result);
  throw new KernelError('createTunnel', { operation, errno, words: words || undefined, subject });
}

function hookOf(hook: Hook): Uint8Array {
  return encodeStruct(TC_HOOK, {
    sz: BigInt(TC_HOOK.size),
    ifindex: hook.device,
    attach_point: ATTACH_POINTS[hook.direction],
  });
}

function subjectOf(hook: Hook): string {
  return `tc ${hook.direction} of link ${hook.device}`;
}

/** Attaches a program, in the place of an earlier one. Makes the device's clsact qdisc if it has none. */
export function attachFilter(hook: Hook, program: number): { readonly madeQdisc: boolean } {
  const bytes = hookOf(hook);
  const created = libbpf().bpf_tc_hook_create(bytes);
  if (created !== -EEXIST) checkedBpf(created, 'bpf_tc_hook_create', subjectOf(hook));
  const options = encodeStruct(TC_OPTS, {
    sz: BigInt(TC_OPTS.size),
    prog_fd: program,
    flags: BPF_TC_F_REPLACE,
    handle: hook.handle,
    priority: FILTER_PRIORITY,
  });
  checkedBpf(libbpf().bpf_tc_attach(bytes, options), 'bpf_tc_attach', subjectOf(hook));
  return { madeQdisc: created !== -EEXIST };
}

/** Takes our filter from a hook; no effect when there is none. */
export function detachFilter(hook: Hook): void {
  if (attachedProgram(hook) === undefined) return;
  const options = encodeStruct(TC_OPTS, {
    sz: BigInt(TC_OPTS.size),
    handle: hook.handle,
    priority: FILTER_PRIORITY,
  });
  checkedBpf(libbpf().bpf_tc_detach(hookOf(hook), options), 'bpf_tc_detach', subjectOf(hook));
}

/** The id of the program in our filter of a hook; undefined when there is none. */
export function attachedProgram(hook: Hook): number | undefined {
  const options = encodeStruct(TC_OPTS, {
    sz: BigInt(TC_OPTS.size),
    handle: hook.handle,
    priority: FILTER_PRIORITY,
  });
  const found = libbpf().bpf_tc_query(hookOf(hook), options);
  takeSaid();
  // ENOENT: no filter; EINVAL: no clsact qdisc; ENODEV: no device.
  return found < 0 ? undefined : readNumber(TC_OPTS, options, 'prog_id');
}

const text = new TextDecoder();

function readName(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return text.decode(bytes.subarray(0, end < 0 ? bytes.length : end));
}

/** What the kernel tells of a program or map, in the place of the request. */
function info(fd: number, fill: Uint8Array, subject: string): Uint8Array {
  const length = encodeU32host(fill.length);
  checkedBpf(libbpf().bpf_obj_get_info_by_fd(fd, fill, length), 'BPF_OBJ_GET_INFO_BY_FD', subject);
  return fill;
}

/** Ids of the maps that a program uses. */
export function mapIdsOf(programId: number): readonly number[] {
  const fd = openById(programId, 'program');
  try {
    const ids = new Uint8Array(4 * MAX_MAP_IDS);
    const request = encodeStruct(PROG_INFO, { nr_map_ids: MAX_MAP_IDS, map_ids: address(ids) });
    const bytes = info(fd, request, 'program');
    const count = Math.min(readNumber(PROG_INFO, bytes, 'nr_map_ids'), MAX_MAP_IDS);
    return Array.from({ length: count }, (_, index) => getU32host(ids, 4 * index));
  } finally {
    close(fd);
  }
}

function openById(id: number, kind: 'program' | 'map'): number {
  const [fd, operation] =
    kind === 'program'
      ? [libbpf().bpf_prog_get_fd_by_id(id), 'BPF_PROG_GET_FD_BY_ID']
      : [libbpf().bpf_map_get_fd_by_id(id), 'BPF_MAP_GET_FD_BY_ID'];
  return checkedBpf(fd, operation, `${kind} ${id}`);
}

/** A second descriptor of a program, which belongs to the caller. */
export function reopenProgram(fd: number): number {
  const bytes = info(fd, new Uint8Array(PROG_INFO.size), 'program');
  return openById(readNumber(PROG_INFO, bytes, 'id'), 'program');
}

/** A second descriptor of a map, which belongs to the caller. */
export function reopenMap(fd: number): number {
  const bytes = info(fd, new Uint8Array(MAP_INFO.size), 'map');
  return openById(readNumber(MAP_INFO, bytes, 'id'), 'map');
}

export function openMap(id: number): BpfMapHandle {
  return new BpfMapHandle(openById(id, 'map'));
}

export type MapInfo = {
  readonly name: string;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
};

export function mapInfo(fd: number): MapInfo {
  const bytes = info(fd, new Uint8Array(MAP_INFO.size), 'map');
  const { offset } = MAP_INFO.fields.name;
  return {
    name: readName(bytes.subarray(offset, offset + 16)),
    keySize: readNumber(MAP_INFO, bytes, 'key_size'),
    valueSize: readNumber(MAP_INFO, bytes, 'value_size'),
    maxEntries: readNumber(MAP_INFO, bytes, 'max_entries'),
  };
}

/** One map. The descriptor belongs to whoever made this. */
export class BpfMapHandle implements Disposable {
  readonly fd: number;
  readonly info: MapInfo;

  constructor(fd: number) {
    this.fd = fd;
    this.info = mapInfo(fd);
  }

  /** Sets an entry; E2BIG when a hash is full. */
  set(key: Uint8Array, value: Uint8Array): void {
    checkedBpf(
      libbpf().bpf_map_update_elem(this.fd, key, value, 0n),
      'BPF_MAP_UPDATE_ELEM',
      `map ${this.info.name}`,
    );
  }

  /** Adds an entry, whole at once; EEXIST where there is one. */
  add(key: Uint8Array, value: Uint8Array): void {
    checkedBpf(
      libbpf().bpf_map_update_elem(this.fd, key, value, BPF_NOEXIST),
      'BPF_MAP_UPDATE_ELEM',
      `map ${this.info.name}`,
    );
  }

  /** Sets many entries; keys and values lie one after the other. */
  setMany(keys: Uint8Array, values: Uint8Array, count: number): void {
    if (count === 0) return;
    checkedBpf(
      libbpf().bpf_map_update_batch(this.fd, keys, values, encodeU32host(count), null),
      'BPF_MAP_UPDATE_BATCH',
      `map ${this.info.name}`,
    );
  }

  /** The value of a key; `size` where it is not one value (a per-CPU map). */
  get(key: Uint8Array, size = this.info.valueSize): Uint8Array | undefined {
    const value = new Uint8Array(size);
    const found = libbpf().bpf_map_lookup_elem(this.fd, key, value);
    if (found === -ENOENT) return undefined;
    checkedBpf(found, 'BPF_MAP_LOOKUP_ELEM', `map ${this.info.name}`);
    return value;
  }

  /** Removes an entry; no effect when it is not there. */
  remove(key: Uint8Array): void {
    const removed = libbpf().bpf_map_delete_elem(this.fd, key);
    if (removed !== -ENOENT) checkedBpf(removed, 'BPF_MAP_DELETE_ELEM', `map ${this.info.name}`);
  }

  /** All keys; a hash that changes meanwhile may give some twice or not at all. */
  *keys(): Generator<Uint8Array> {
    let key: Uint8Array | null = null;
    for (;;) {
      const next: Uint8Array = new Uint8Array(this.info.keySize);
      const found = libbpf().bpf_map_get_next_key(this.fd, key, next);
      if (found === -ENOENT) return;
      checkedBpf(found, 'BPF_MAP_GET_NEXT_KEY', `map ${this.info.name}`);
      yield next;
      key = next;
    }
  }

  [Symbol.dispose](): void {
    close(this.fd);
  }
}
