import { viewOf } from '../../../src/adapters/udp/message-headers.ts';
import { Arena } from '../../../src/adapters/planes/tun/arena.ts';

/** A struct msghdr as a system call sees it. */
export type SeenMessage = {
  readonly name: Uint8Array;
  /** Source address of its IP_PKTINFO. */
  readonly source: Uint8Array;
  /** UDP_SEGMENT, if it has one. */
  readonly segment: number | undefined;
  readonly payload: Uint8Array;
};

/** What a message of either family asks for; `label` and `trafficClass` are of IPv6. */
export type SentMessage = SeenMessage & {
  readonly label: number;
  readonly trafficClass: number | undefined;
};

/** What the kernel puts into a struct mmsghdr that it receives into. */
export type ReceivedMessage = {
  readonly name: Uint8Array;
  readonly destination: Uint8Array;
  readonly trafficClass?: number | undefined;
  /** UDP_GRO; 0: it is none. */
  readonly size: number;
  readonly payload: Uint8Array;
};

/** Gives buffers addresses, and reads what lies behind one: little-endian, as on x86-64 and arm64. */
export class FakeMemory {
  readonly #buffers: { readonly address: number; readonly bytes: Uint8Array }[] = [];
  #next = 0x7f00_1234_5000;

  readonly addressOf = (bytes: Uint8Array): bigint => {
    const address = this.#next;
    this.#buffers.push({ address, bytes });
    this.#next += Math.ceil(bytes.length / 4096 + 1) * 4096;
    return BigInt(address);
  };

  allocate(length: number): Arena {
    return new Arena(length, this.addressOf);
  }

  /** A view of what lies at an address. */
  at(address: number, length: number): Uint8Array {
    const found = this.#buffers.find(
      (buffer) =>
        address >= buffer.address && address + length <= buffer.address + buffer.bytes.length,
    );
    if (!found) throw new Error(`no ${length} bytes at 0x${address.toString(16)}`);
    return found.bytes.subarray(address - found.address, address - found.address + length);
  }

  /** The bytes that a struct iovec[] gathers. */
  gather(address: number, count: number): Uint8Array {
    const parts = Array.from({ length: count }, (_, index) => {
      const [base, length] = this.#words(address + index * 16, 2);
      return this.at(base ?? 0, length ?? 0);
    });
    return new Uint8Array(Buffer.concat(parts));
  }

  /** Scatters bytes over the first iovec of a struct iovec[]. */
  scatter(address: number, bytes: Uint8Array): void {
    const [base] = this.#words(address, 1);
    this.at(base ?? 0, bytes.length).set(bytes);
  }

  /** What a struct mmsghdr[] would send. */
  messages(address: number, count: number): readonly SeenMessage[] {
    return Array.from({ length: count }, (_, index) => this.#message(address + index * 64));
  }

  /** The same, of either family. */
  sent(address: number, count: number): readonly SentMessage[] {
    return Array.from({ length: count }, (_, index) => this.#sent(address + index * 64));
  }

  /** Receives into a struct mmsghdr. */
  receive(address: number, message: ReceivedMessage): void {
    const [name = 0, , iov = 0, , control = 0] = this.#words(address, 5);
    const header = viewOf(this.at(address, 64));
    this.at(name, message.name.length).set(message.name);
    this.scatter(iov, message.payload);
    const { destination, trafficClass, size } = message;
    const ipv4 = destination.length === 4;
    const controls = [
      ipv4
        ? controlMessage(0, 8, Uint8Array.of(0, 0, 0, 0, ...destination, ...destination))
        : controlMessage(41, 50, Uint8Array.of(...destination, 0, 0, 0, 0)),
      trafficClass === undefined ? [] : classMessage(ipv4, trafficClass),
      size === 0 ? [] : controlMessage(17, 104, Uint8Array.of(size & 255, size >> 8, 0, 0)),
    ].flatMap((bytes) => [...bytes]);
    this.at(control, controls.length).set(controls);
    header.setUint32(8, message.name.length, true);
    header.setBigUint64(40, BigInt(controls.length), true);
    header.setUint32(56, message.payload.length, true);
  }

  #sent(address: number): SentMessage {
    const [name = 0, nameLength = 0, iov = 0, iovCount = 0, control = 0, controlLength = 0] =
      this.#words(address, 6);
    const bytes = this.at(name, nameLength % 0x1_0000_0000).slice();
    const controls = this.at(control, controlLength);
    const view = viewOf(controls);
    const ipv6 = bytes[0] === 10;
    const seen = { name: bytes, payload: this.gather(iov, iovCount) };
    const source = ipv6 ? controls.slice(16, 32) : controls.slice(20, 24);
    const alone = ipv6 && controlLength === 40;
    const size = ipv6 && !alone ? 64 : ipv6 ? 40 : 32;
    const segment = controlLength > size ? view.getUint16(size + 16, true) : undefined;
    if (view.getInt32(12, true) !== (ipv6 ? 50 : 8)) throw new Error('no source');
    if (!ipv6 || alone) return { ...seen, source, segment, label: 0, trafficClass: undefined };
    if (view.getInt32(52, true) !== 67) throw new Error('no traffic class');
    const label = viewOf(bytes).getUint32(4, false);
    return { ...seen, source, segment, label, trafficClass: view.getInt32(56, true) };
  }

  #message(address: number): SeenMessage {
    const [name = 0, nameLength = 0, iov = 0, iovCount = 0, control = 0, controlLength = 0] =
      this.#words(address, 6);
    const controls = this.at(control, controlLength);
    const view = viewOf(controls);
    if (view.getInt32(8, true) !== 0 || view.getInt32(12, true) !== 8) throw new Error('no source');
    let segment: number | undefined;
    if (controlLength > 32) {
      if (view.getUint32(32, true) !== 18) throw new Error('a UDP_SEGMENT of another length');
      if (view.getInt32(40, true) !== 17 || view.getInt32(44, true) !== 103) {
        throw new Error('another control message');
      }
      segment = view.getUint16(48, true);
    }
    return {
      name: this.at(name, nameLength % 0x1_0000_0000).slice(),
      source: controls.slice(20, 24),
      segment,
      payload: this.gather(iov, iovCount),
    };
  }

  #words(address: number, count: number): readonly number[] {
    const view = viewOf(this.at(address, count * 8));
    return Array.from({ length: count }, (_, index) => Number(view.getBigUint64(index * 8, true)));
  }
}

/** IP_TOS is one byte, with anything behind it. */
function classMessage(ipv4: boolean, value: number): Uint8Array {
  if (!ipv4) return controlMessage(41, 67, Uint8Array.of(value, 0, 0, 0));
  const message = controlMessage(0, 1, Uint8Array.of(value));
  message.fill(0xee, 17);
  return message;
}

/** A struct cmsghdr with its data, padded to eight bytes. */
function controlMessage(level: number, type: number, data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(16 + ((data.length + 7) & ~7));
  const view = viewOf(bytes);
  view.setUint32(0, 16 + data.length, true);
  view.setInt32(8, level, true);
  view.setInt32(12, type, true);
  bytes.set(data, 16);
  return bytes;
}
