import { EAGAIN, EINTR } from '../../ffi/errno.ts';
import { Arena } from './arena.ts';
import type { Coalescer } from './coalescing.ts';
import { MAX_SUPER_SEGMENTS } from './limits.ts';
import { IOVEC_BYTES } from '../../udp/message-headers.ts';
import type { PacketCalls } from './packet-calls.ts';
import { ipVersion, TCP, TCP_CWR } from './segmentation.ts';
import { finishChecksum, headerBytes, tcpHeaderBytes, unfinishedChecksum } from './unfinished.ts';
import {
  encodeChecksumHeader,
  encodeTcpHeader,
  TCP_CHECKSUM,
  VNET_HEADER_BYTES,
} from './virtio-net.ts';

/** Places of headers. */
const PLAIN_HEADER = 0;
const SPECIAL_HEADER = 16;

/** What became of a call that moves packets: 'full' is EAGAIN, and costs nothing but time. */
export type Moved = 'moved' | 'full' | 'failed';

/** The descriptor of a TUN device, with or without IFF_VNET_HDR. Does not own it. */
export class DeviceChannel {
  /** Bytes of virtio_net_hdr before every packet. */
  readonly headerBytes: number;
  /** Of the device, bytes: what is larger, though it came through the tunnel, is a super-packet. */
  mtu: number;
  readonly #fd: number;
  readonly #calls: PacketCalls;
  readonly #iovecs: Arena;
  /** That of a packet about which there is nothing to say, then that of the packet in hand. */
  readonly #headers: Arena;

  constructor(fd: number, vnetHeader: boolean, mtu: number, calls: PacketCalls) {
    this.mtu = mtu;
    this.headerBytes = vnetHeader ? VNET_HEADER_BYTES : 0;
    this.#fd = fd;
    this.#calls = calls;
    this.#iovecs = new Arena((MAX_SUPER_SEGMENTS + 1) * IOVEC_BYTES, calls.address);
    this.#headers = new Arena(SPECIAL_HEADER + 16, calls.address);
    this.#iovec(0, this.#headers.address, VNET_HEADER_BYTES);
  }

  /** Reads a packet with its header to `address`; its bytes, or -1 (see errno). */
  read(address: number, length: number): number {
    return this.#calls.read(this.#fd, address, length);
  }

  /** Writes the packet at `at`; one that is unfinished (unfinished.ts) so that it is finished behind. */
  write(packets: Arena, at: number, length: number): Moved {
    const unfinished = unfinishedChecksum(packets, at, length);
    const address = packets.address + at;
    if (this.headerBytes === 0) {
      if (unfinished > 0) finishChecksum(packets, at, length, unfinished);
      return this.#moved(this.#calls.write(this.#fd, address, length));
    }
    const header = unfinished > 0 ? this.#describe(packets, at, length, unfinished) : PLAIN_HEADER;
    this.#iovec(0, this.#headers.address + header, VNET_HEADER_BYTES);
    this.#iovec(1, address, length);
    return this.#moved(this.#calls.writev(this.#fd, this.#iovecs.address, 2));
  }

  /** Writes a packet of a coalescer whose packets lie in `packets`. */
  writePacket(from: Coalescer, packet: number, packets: Arena): Moved {
    const first = from.first(packet);
    if (from.segments(first) === 1) {
      return this.write(packets, from.position(first), from.length(first));
    }
    const address = packets.address + from.position(first);
    from.finish(first, this.#headers, SPECIAL_HEADER);
    this.#iovec(0, this.#headers.address + SPECIAL_HEADER, VNET_HEADER_BYTES);
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

  /** Makes the header of an unfinished packet; its place. */
  #describe(packets: Arena, at: number, length: number, checksum: number): number {
    const ip = headerBytes(packets, at);
    const tcp = checksum === TCP_CHECKSUM && length > this.mtu;
    const headers = tcp ? tcpHeaderBytes(packets, at, length) : 0;
    if (headers > 0 && headers < this.mtu) {
      const lengths = { ip, headers, payload: this.mtu - headers };
      const congestion = ((packets.bytes[at + ip + TCP.flags] ?? 0) & TCP_CWR) !== 0;
      encodeTcpHeader(this.#headers, SPECIAL_HEADER, ipVersion(packets, at), lengths, congestion);
    } else {
      encodeChecksumHeader(this.#headers, SPECIAL_HEADER, ip, checksum);
    }
    return SPECIAL_HEADER;
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
