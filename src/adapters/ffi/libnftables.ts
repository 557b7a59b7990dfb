import koffi from 'koffi';

/** A struct nft_ctx, which only these functions look into. */
export type NftContext = { readonly opaque: 'struct nft_ctx' };

/** The part of libnftables(3) that is used here. Results are 0 or -1. */
export type Libnftables = {
  readonly nft_ctx_new: (flags: number) => NftContext | null;
  readonly nft_ctx_free: (context: NftContext) => void;
  readonly nft_ctx_buffer_output: (context: NftContext) => number;
  readonly nft_ctx_buffer_error: (context: NftContext) => number;
  readonly nft_ctx_get_output_buffer: (context: NftContext) => string;
  readonly nft_ctx_get_error_buffer: (context: NftContext) => string;
  readonly nft_ctx_output_set_flags: (context: NftContext, flags: number) => void;
  readonly nft_run_cmd_from_buffer: (context: NftContext, text: string) => number;
  /** Since 1.0.8. */
  readonly nft_ctx_input_set_flags: ((context: NftContext, flags: number) => number) | undefined;
};

let loaded: Libnftables | undefined;

/** The library, opened once; undefined when this machine has none. */
export function loadLibnftables(): Libnftables | undefined {
  if (loaded) return loaded;
  let library: ReturnType<typeof koffi.load>;
  try {
    library = koffi.load('libnftables.so.1');
  } catch {
    return undefined;
  }
  const func = (signature: string): unknown => library.func(signature);
  const optional = (signature: string): unknown => {
    try {
      return library.func(signature);
    } catch {
      return undefined;
    }
  };
  // The signatures are those of nftables/libnftables.h 1.0.6; the types above say the same.
  loaded = {
    nft_ctx_new: func('void *nft_ctx_new(uint32_t flags)'),
    nft_ctx_free: func('void nft_ctx_free(void *ctx)'),
    nft_ctx_buffer_output: func('int nft_ctx_buffer_output(void *ctx)'),
    nft_ctx_buffer_error: func('int nft_ctx_buffer_error(void *ctx)'),
    nft_ctx_get_output_buffer: func('const char *nft_ctx_get_output_buffer(void *ctx)'),
    nft_ctx_get_error_buffer: func('const char *nft_ctx_get_error_buffer(void *ctx)'),
    nft_ctx_output_set_flags: func('void nft_ctx_output_set_flags(void *ctx, unsigned int flags)'),
    nft_run_cmd_from_buffer: func('int nft_run_cmd_from_buffer(void *ctx, const char *buf)'),
    nft_ctx_input_set_flags: optional(
      'unsigned int nft_ctx_input_set_flags(void *ctx, unsigned int flags)',
    ),
  } as Libnftables;
  return loaded;
}
