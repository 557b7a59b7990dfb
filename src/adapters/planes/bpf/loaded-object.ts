import { existsSync, readFileSync } from 'node:fs';
import { encodeU32host } from '../../../core/bytes.ts';
import { IpipouError } from '../../../core/errors.ts';
import { EAGAIN } from '../../ffi/errno.ts';
import type { BpfMap, BpfObject } from '../../ffi/libbpf.ts';
import { close } from '../../ffi/libc.ts';
import { packageFile } from '../../system/package-files.ts';
import { MAP_NAMES, PROGRAMS, type MapName, type ProgramName } from './abi.ts';
import { BpfMapHandle, checkedBpf, libbpf, reopenMap, reopenProgram } from './bpf-calls.ts';

/** The compiled programs, as they were built last. */
export function objectFile(): string {
  const file = packageFile('dist/bpf/ipipou.bpf.o');
  if (existsSync(file)) return file;
  throw new IpipouError('createTunnel', `the eBPF programs are not built: no ${file}`, {
    hint: 'run "npm run build" (it needs clang and libbpf-dev)',
  });
}

/** How often the kernel is asked to take a program while signals interrupt its looking at it (a profiler sends many). */
export const LOAD_TRIES = 5;

/** The section of the flags that may be set (bpf/maps.h). */
const POSSIBLE = '.rodata.possible';

type Prepare = (name: MapName, map: BpfMap) => void;

/**
 * Programs and their maps in the kernel. It reads a program for longer than anything else of a start takes: so only those
 * that are asked for, in threads beside each other, and without what is behind flags that are never set.
 */
export class LoadedObject implements Disposable {
  readonly #programs = new Map<ProgramName, number>();
  readonly #maps = new Map<MapName, BpfMapHandle>();
  readonly #possible: number;

  private constructor(possible: number) {
    this.#possible = possible;
  }

  /**
   * Makes the maps. `prepare` gives each its size, or the map that is to stand in its place; `possible`: the flags that may
   * ever be set.
   */
  static load(prepare: Prepare, possible: number): LoadedObject {
    const loaded = new LoadedObject(possible);
    try {
      loaded.#load([], prepare);
      return loaded;
    } catch (error) {
      loaded[Symbol.dispose]();
      throw error;
    }
  }

  /** Names of the programs that have been asked for. */
  get loaded(): readonly ProgramName[] {
    return [...this.#programs.keys()];
  }

  /** Loads programs beside each other, while this thread does something else. Why one is refused `descriptor` tells. */
  async ready(names: readonly ProgramName[]): Promise<void> {
    await Promise.allSettled([...new Set(names)].map((name) => this.#loadAside(name)));
  }

  /** The descriptor of a program, loaded now unless it is; it stays this object's. */
  descriptor(name: ProgramName): number {
    if (!this.#programs.has(name)) this.#load([name], this.#reuse);
    return sure(this.#programs.get(name), name);
  }

  map(name: MapName): BpfMapHandle {
    return sure(this.#maps.get(name), name);
  }

  [Symbol.dispose](): void {
    for (const fd of this.#programs.values()) close(fd);
    for (const map of this.#maps.values()) map[Symbol.dispose]();
  }

  /** The maps that are there stand for those of an object. */
  readonly #reuse: Prepare = (name, map) => {
    const reused = libbpf().bpf_map__reuse_fd(map, this.map(name).fd);
    checkedBpf(reused, 'bpf_map__reuse_fd', `map ${name}`);
  };

  async #loadAside(name: ProgramName): Promise<void> {
    if (this.#programs.has(name)) return;
    const object = this.#open([name], this.#reuse);
    try {
      if ((await libbpf().loadAside(object)) >= 0) this.#keep(object, [name]);
    } finally {
      libbpf().bpf_object__close(object);
    }
  }

  #load(wanted: readonly ProgramName[], prepare: Prepare): void {
    const loaded = whileInterrupted(() => {
      const object = this.#open(wanted, prepare);
      try {
        const result = libbpf().bpf_object__load(object);
        if (result >= 0) this.#keep(object, wanted);
        return result;
      } finally {
        libbpf().bpf_object__close(object);
      }
    });
    checkedBpf(loaded, 'bpf_object__load', 'eBPF programs');
  }

  /** An object of which these programs are to be loaded. */
  #open(wanted: readonly ProgramName[], prepare: Prepare): BpfObject {
    const bytes = readFileSync(objectFile());
    const library = libbpf();
    const object = library.bpf_object__open_mem(bytes, bytes.length, null);
    if (!object) throw new IpipouError('createTunnel', 'libbpf refuses the eBPF object');
    try {
      for (const name of MAP_NAMES) prepare(name, mapOf(object, name));
      const possible = encodeU32host(this.#possible);
      const told = library.bpf_map__set_initial_value(mapOf(object, POSSIBLE), possible, 4);
      checkedBpf(told, 'bpf_map__set_initial_value', `map ${POSSIBLE}`);
      for (const name of PROGRAMS) {
        const set = library.bpf_program__set_autoload(
          programOf(object, name),
          wanted.includes(name),
        );
        checkedBpf(set, 'bpf_program__set_autoload', name);
      }
      return object;
    } catch (error) {
      library.bpf_object__close(object);
      throw error;
    }
  }

  /** What is loaded goes on without the object. */
  #keep(object: BpfObject, wanted: readonly ProgramName[]): void {
    const library = libbpf();
    for (const name of wanted) {
      if (this.#programs.has(name)) continue;
      const fd = library.bpf_program__fd(programOf(object, name));
      this.#programs.set(name, reopenProgram(fd));
    }
    for (const name of MAP_NAMES) {
      if (this.#maps.has(name)) continue;
      const fd = library.bpf_map__fd(mapOf(object, name));
      this.#maps.set(name, new BpfMapHandle(reopenMap(fd)));
    }
  }
}

/** The result of a call that is made again, a bounded number of times, as long as signals cut it short. */
export function whileInterrupted(call: () => number): number {
  let result = -EAGAIN;
  for (let left = LOAD_TRIES; left > 0 && result === -EAGAIN; left--) result = call();
  return result;
}

const programOf = (object: BpfObject, name: ProgramName) =>
  sure(libbpf().bpf_object__find_program_by_name(object, name), name);

const mapOf = (object: BpfObject, name: MapName | typeof POSSIBLE) =>
  sure(libbpf().bpf_object__find_map_by_name(object, name), name);

function sure<T>(found: T | null | undefined, name: string): T {
  if (found) return found;
  throw new IpipouError('createTunnel', `the eBPF object has no ${name}`);
}
