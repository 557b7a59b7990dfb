import { EAGAIN, EINTR } from '../../ffi/errno.ts';
import { Arena } from './arena.ts';
import type { Coalescer } from './coalescing.ts';
import { MAX_SUPER_SEGMENTS } from './limits.ts';
import { IOVEC_BYTES } from '../../udp/message-headers.ts';
import type { PacketCalls } from './packet-calls.ts';
import { VNET_HEADER_BYTES } from './virtio-net.ts';

/** What became of a call that moves packets: 'full' is EAGAIN, and costs nothing but time. */
export type Moved = 'moved' | 'full' | 'failed';

/** The descriptor of a TUN device, with or without IFF_VNET_HDR. Does not own it. */
export class DeviceChannel {
  /** Bytes of virtio_net_hdr before every packet. */
  readonly headerBytes: number;
  readonly #fd: number;
  readonly #calls: PacketCalls;
  readonly #iovecs: Arena;
  /** 0: the header of a packet about which there is nothing to say; 16: that of a super-packet. */
  readonly #headers: Arena;

  constructor(fd: number, vnetHeader: boolean, calls: PacketCalls) {
    this.headerBytes = vnetHeader ? VNET_HEADER_BYTES : 0;
    this.#fd = fd;
    this.#calls = calls;
    this.#iovecs = new Arena((MAX_SUPER_SEGMENTS + 1) * IOVEC_BYTES, calls.address);
    this.#headers = new Arena(SUPER_HEADER + 16, calls.address);
    this.#iovec(0, this.#headers.address, VNET_HEADER_BYTES);
  }

  /** Reads a packet with its header to `address`; its bytes, or -1 (see errno). */
  read(address: number, length: number): number {
    return this.#calls.read(this.#fd, address, length);
  }

  /** Writes one packet as it is. */
  write(address: number, length: number): Moved {
    if (this.headerBytes === 0) return this.#moved(this.#calls.write(this.#fd, address, length));
    this.#iovec(0, this.#headers.address, VNET_HEADER_BYTES);
    this.#iovec(1, address, length);
    return this.#moved(this.#calls.writev(this.#fd, this.#iovecs.address, 2));
  }

  /** Writes a packet of a coalescer whose packets lie in `packets`. */
  writePacket(from: Coalescer, packet: number, packets: Arena): Moved {
    const first = from.first(packet);
    const address = packets.address + from.position(first);
    if (from.segments(first) === 1) return this.write(address, from.length(first));
    from.finish(first, this.#headers, SUPER_HEADER);
    this.#iovec(0, this.#headers.address + SUPER_HEADER, VNET_HEADER_BYTES);
    this.#iovec(1, address, from.length(first));
    const skip = from.headerLength(first);
    let count = 2;
    for (let next = from.after(first); next >= 0; next = from.after(next)) {
      const length = from.length(next) - skip;
      this.#iovec(count, packets.address + from.position(next) + skip, length);
      count += 1;
    }
    return this.#moved(this.#calls.writev(this.#fd, this.#iovecs.address, count));
  }

  #moved(result: number): Moved {
    if (result >= 0) return 'moved';
    const code = this.#calls.errno();
    return code === EAGAIN || code === EINTR ? 'full' : 'failed';
  }

  #iovec(index: number, address: number, length: number): void {
    this.#iovecs.setWord(index * IOVEC_BYTES, address);
    this.#iovecs.setWord(index * IOVEC_BYTES + 8, length);
  }
}

const SUPER_HEADER = 16;
