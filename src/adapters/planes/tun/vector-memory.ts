import { VECTOR_SUM, type VectorSum } from './vector-sum.ts';
import { VECTOR_TAG, type VectorTag } from './vector-tag.ts';
import { moduleOf } from './wasm.ts';

/** Memory with functions that work within it. */
export type VectorMemory = {
  readonly memory: ArrayBuffer;
  readonly sum: VectorSum;
  readonly tag: VectorTag;
};

const PAGE_BYTES = 65_536;

type Function = (...values: readonly number[]) => number;

/** The part of the WebAssembly JavaScript interface that is used here. */
type Wasm = {
  readonly Memory: new (limits: { initial: number; maximum: number }) => { buffer: ArrayBuffer };
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (
    module: object,
    imports: { readonly a: { readonly m: object } },
  ) => { readonly exports: { readonly f: Function } };
};

/** undefined where this machine or runtime has no vectors, or no address space for such a memory. */
export function vectorMemory(length: number): VectorMemory | undefined {
  // The types of Node do not have it.
  const { WebAssembly: wasm } = globalThis as unknown as { readonly WebAssembly?: Wasm };
  if (!wasm) return undefined;
  const pages = Math.ceil(length / PAGE_BYTES);
  try {
    const memory = new wasm.Memory({ initial: pages, maximum: pages });
    const [sum, tag] = [VECTOR_SUM, VECTOR_TAG].map((of) => {
      const instance = new wasm.Instance(new wasm.Module(moduleOf(of)), { a: { m: memory } });
      return instance.exports.f;
    });
    return sum && tag && { memory: memory.buffer, sum, tag };
  } catch {
    return undefined;
  }
}
