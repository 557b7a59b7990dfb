import koffi from 'koffi';
import { IpipouError } from '../../core/errors.ts';

/** A ring that programs write to, as it is read here. */
export interface Ring {
  /** Readable while there is something; stays the ring's. */
  readonly fd: number;
  /** Hands over all that is there. */
  consume(): void;
  close(): void;
}

type RingBuffer = { readonly opaque: 'struct ring_buffer' };
type Sample = (context: unknown, data: unknown, size: number | bigint) => number;

const prototype = koffi.proto('int IpipouRingSample(void *ctx, void *data, size_t size)');

type Calls = {
  readonly make: (map: number, sample: unknown, context: null, options: null) => RingBuffer | null;
  readonly fd: (ring: RingBuffer) => number;
  readonly consume: (ring: RingBuffer) => number;
  readonly free: (ring: RingBuffer) => void;
};

let calls: Calls | undefined;

/** The signatures are those of bpf/libbpf.h 1.1. */
function load(): Calls {
  if (calls) return calls;
  const library = koffi.load('libbpf.so.1');
  const func = (signature: string): unknown => library.func(signature);
  calls = {
    make: func(
      'void *ring_buffer__new(int map_fd, IpipouRingSample *sample_cb, void *ctx, const void *opts)',
    ),
    fd: func('int ring_buffer__epoll_fd(const void *rb)'),
    consume: func('int ring_buffer__consume(void *rb)'),
    free: func('void ring_buffer__free(void *rb)'),
  } as Calls;
  return calls;
}

/** Reads the ring of a map, whose descriptor stays the caller's. `sample` is called out of `consume`. */
export function openRing(map: number, sample: (bytes: Uint8Array) => void): Ring {
  const library = load();
  const listener: Sample = (_, data, size) => {
    sample(Uint8Array.from(koffi.decode(data, 'uint8_t', Number(size)) as ArrayLike<number>));
    return 0;
  };
  const registered = koffi.register(listener, koffi.pointer(prototype));
  const ring = library.make(map, registered, null, null);
  if (!ring) {
    koffi.unregister(registered);
    throw new IpipouError('createTunnel', 'libbpf cannot read the ring of the eBPF programs');
  }
  return {
    fd: library.fd(ring),
    consume: () => void library.consume(ring),
    close() {
      library.free(ring);
      koffi.unregister(registered);
    },
  };
}
