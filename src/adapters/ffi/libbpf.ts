import { promisify } from 'node:util';
import koffi from 'koffi';

/** A struct bpf_object, bpf_program or bpf_map, which only these functions look into. */
export type BpfObject = { readonly opaque: 'struct bpf_object' };
export type BpfProgram = { readonly opaque: 'struct bpf_program' };
export type BpfMap = { readonly opaque: 'struct bpf_map' };

/**
 * The part of libbpf (1.0 or newer) that is used here. Results below 0 are -errno. Structs are bytes
 * that the caller lays out (src/adapters/planes/bpf/bpf-calls.ts).
 */
export type Libbpf = {
  readonly bpf_object__open_mem: (
    bytes: Uint8Array,
    length: number,
    options: null,
  ) => BpfObject | null;
  readonly bpf_object__load: (object: BpfObject) => number;
  /** The same in a thread of its own; what goes wrong is not told in words. */
  readonly loadAside: (object: BpfObject) => Promise<number>;
  readonly bpf_object__close: (object: BpfObject) => void;
  readonly bpf_object__find_program_by_name: (object: BpfObject, name: string) => BpfProgram | null;
  readonly bpf_object__find_map_by_name: (object: BpfObject, name: string) => BpfMap | null;
  readonly bpf_program__fd: (program: BpfProgram) => number;
  /** Whether bpf_object__load loads it. */
  readonly bpf_program__set_autoload: (program: BpfProgram, autoload: boolean) => number;
  readonly bpf_map__fd: (map: BpfMap) => number;
  /** Makes a map of an object stand for one that exists; keeps a descriptor of its own. */
  readonly bpf_map__reuse_fd: (map: BpfMap, fd: number) => number;
  /** Of a map that is a section of the object: what the programs find there. */
  readonly bpf_map__set_initial_value: (map: BpfMap, data: Uint8Array, size: number) => number;
  readonly bpf_map__set_max_entries: (map: BpfMap, count: number) => number;
  readonly bpf_map_lookup_elem: (fd: number, key: Uint8Array, value: Uint8Array) => number;
  readonly bpf_map_update_elem: (
    fd: number,
    key: Uint8Array,
    value: Uint8Array,
    flags: bigint,
  ) => number;
  readonly bpf_map_update_batch: (
    fd: number,
    keys: Uint8Array,
    values: Uint8Array,
    count: Uint8Array,
    options: null,
  ) => number;
  readonly bpf_map_delete_elem: (fd: number, key: Uint8Array) => number;
  readonly bpf_map_get_next_key: (fd: number, key: Uint8Array | null, next: Uint8Array) => number;
  readonly bpf_map_get_fd_by_id: (id: number) => number;
  readonly bpf_prog_get_fd_by_id: (id: number) => number;
  readonly bpf_obj_get_info_by_fd: (fd: number, info: Uint8Array, length: Uint8Array) => number;
  readonly bpf_prog_test_run_opts: (fd: number, options: Uint8Array) => number;
  readonly bpf_tc_hook_create: (hook: Uint8Array) => number;
  readonly bpf_tc_hook_destroy: (hook: Uint8Array) => number;
  readonly bpf_tc_attach: (hook: Uint8Array, options: Uint8Array) => number;
  readonly bpf_tc_detach: (hook: Uint8Array, options: Uint8Array) => number;
  readonly bpf_tc_query: (hook: Uint8Array, options: Uint8Array) => number;
};

type Print = (level: number, format: unknown, args: unknown) => number;

let loaded: Libbpf | undefined;
let said = '';

/** The library, opened once; undefined when this machine has none. What it prints is kept, not shown. */
export function loadLibbpf(): Libbpf | undefined {
  if (loaded) return loaded;
  let library: ReturnType<typeof koffi.load>;
  try {
    library = koffi.load('libbpf.so.1');
  } catch {
    return undefined;
  }
  const func = (signature: string): unknown => library.func(signature);
  const prints = keepPrints(library);
  const load = library.func('int bpf_object__load(void *obj)');
  const loadInThread = promisify(load.async) as (object: BpfObject) => Promise<number>;
  // The signatures are those of bpf/libbpf.h and bpf/bpf.h 1.1; the types above say the same.
  loaded = {
    bpf_object__open_mem: func(
      'void *bpf_object__open_mem(const uint8_t *buf, size_t size, const void *opts)',
    ),
    bpf_object__load: load,
    loadAside: async (object: BpfObject) => {
      prints.forbid();
      try {
        return await loadInThread(object);
      } finally {
        prints.allow();
      }
    },
    bpf_object__close: func('void bpf_object__close(void *obj)'),
    bpf_object__find_program_by_name: func(
      'void *bpf_object__find_program_by_name(const void *obj, const char *name)',
    ),
    bpf_object__find_map_by_name: func(
      'void *bpf_object__find_map_by_name(const void *obj, const char *name)',
    ),
    bpf_program__fd: func('int bpf_program__fd(const void *prog)'),
    bpf_program__set_autoload: func('int bpf_program__set_autoload(void *prog, bool autoload)'),
    bpf_map__fd: func('int bpf_map__fd(const void *map)'),
    bpf_map__reuse_fd: func('int bpf_map__reuse_fd(void *map, int fd)'),
    bpf_map__set_initial_value: func(
      'int bpf_map__set_initial_value(void *map, const uint8_t *data, size_t size)',
    ),
    bpf_map__set_max_entries: func('int bpf_map__set_max_entries(void *map, uint32_t max_entries)'),
    bpf_map_lookup_elem: func(
      'int bpf_map_lookup_elem(int fd, const uint8_t *key, uint8_t *value)',
    ),
    bpf_map_update_elem: func(
      'int bpf_map_update_elem(int fd, const uint8_t *key, const uint8_t *value, uint64_t flags)',
    ),
    bpf_map_update_batch: func(
      'int bpf_map_update_batch(int fd, const uint8_t *keys, const uint8_t *values, uint8_t *count, const void *opts)',
    ),
    bpf_map_delete_elem: func('int bpf_map_delete_elem(int fd, const uint8_t *key)'),
    bpf_map_get_next_key: func(
      'int bpf_map_get_next_key(int fd, const uint8_t *key, uint8_t *next_key)',
    ),
    bpf_map_get_fd_by_id: func('int bpf_map_get_fd_by_id(uint32_t id)'),
    bpf_prog_get_fd_by_id: func('int bpf_prog_get_fd_by_id(uint32_t id)'),
    bpf_obj_get_info_by_fd: func(
      'int bpf_obj_get_info_by_fd(int bpf_fd, uint8_t *info, uint8_t *info_len)',
    ),
    bpf_prog_test_run_opts: func('int bpf_prog_test_run_opts(int prog_fd, uint8_t *opts)'),
    bpf_tc_hook_create: func('int bpf_tc_hook_create(uint8_t *hook)'),
    bpf_tc_hook_destroy: func('int bpf_tc_hook_destroy(uint8_t *hook)'),
    bpf_tc_attach: func('int bpf_tc_attach(const uint8_t *hook, uint8_t *opts)'),
    bpf_tc_detach: func('int bpf_tc_detach(const uint8_t *hook, const uint8_t *opts)'),
    bpf_tc_query: func('int bpf_tc_query(const uint8_t *hook, uint8_t *opts)'),
  } as Libbpf;
  return loaded;
}

/** What the library has said since the last call: its warnings, and the verifier's log of a refusal. */
export function takeSaid(): string {
  const text = said;
  said = '';
  return text;
}

/** Longest line of the library that is kept whole, and of everything together, in bytes. */
const LINE_BYTES = 64 * 1024;
const SAID_BYTES = 256 * 1024;

/** What the library prints may be forbidden: in another thread each line would wait for this one. */
type Prints = { forbid(): void; allow(): void };

function keepPrints(library: ReturnType<typeof koffi.load>): Prints {
  // A va_list that is passed on is a pointer on x86-64 and arm64.
  const vsnprintf = koffi
    .load('libc.so.6')
    .func('int vsnprintf(uint8_t *buf, size_t size, const void *format, void *args)') as (
    buffer: Uint8Array,
    size: number,
    format: unknown,
    args: unknown,
  ) => number;
  const prototype = koffi.proto('int IpipouLibbpfPrint(int level, void *format, void *args)');
  const setPrint = library.func('void *libbpf_set_print(IpipouLibbpfPrint *fn)') as (
    print: unknown,
  ) => unknown;
  const buffer = new Uint8Array(LINE_BYTES);
  const print: Print = (level, format, args) => {
    // enum libbpf_print_level: LIBBPF_WARN 0, LIBBPF_INFO 1, LIBBPF_DEBUG 2.
    if (level > 1) return 0;
    const length = Math.min(vsnprintf(buffer, buffer.length, format, args), buffer.length - 1);
    if (length > 0)
      said = (said + new TextDecoder().decode(buffer.subarray(0, length))).slice(-SAID_BYTES);
    return length;
  };
  const registered = koffi.register(print, koffi.pointer(prototype));
  let forbidden = 0;
  setPrint(registered);
  return {
    forbid() {
      if (++forbidden === 1) setPrint(null);
    },
    allow() {
      if (--forbidden === 0) setPrint(registered);
    },
  };
}
