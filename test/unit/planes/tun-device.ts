import { Coalescer } from '../../../src/adapters/planes/tun/coalescing.ts';
import { DeviceChannel } from '../../../src/adapters/planes/tun/device-channel.ts';
import { MAX_DATAGRAMS } from '../../../src/adapters/planes/tun/limits.ts';
import { viewOf } from '../../../src/adapters/udp/message-headers.ts';
import type { PacketCalls } from '../../../src/adapters/planes/tun/packet-calls.ts';
import { HEADER_SLOT_BYTES, Segmenter } from '../../../src/adapters/planes/tun/segmentation.ts';
import { FakeMemory } from './tun-memory.ts';

/** struct virtio_net_hdr. */
export type VnetHeader = {
  readonly flags: number;
  readonly gsoType: number;
  readonly headerLength: number;
  readonly gsoSize: number;
  readonly checksumStart: number;
  readonly checksumOffset: number;
};

export const PLAIN: VnetHeader = {
  flags: 0,
  gsoType: 0,
  headerLength: 0,
  gsoSize: 0,
  checksumStart: 0,
  checksumOffset: 0,
};

export type DevicePacket = { readonly header: VnetHeader; readonly packet: Uint8Array };

export function encodeVnet(header: VnetHeader): Uint8Array {
  const bytes = new Uint8Array(10);
  const view = viewOf(bytes);
  bytes[0] = header.flags;
  bytes[1] = header.gsoType;
  view.setUint16(2, header.headerLength, true);
  view.setUint16(4, header.gsoSize, true);
  view.setUint16(6, header.checksumStart, true);
  view.setUint16(8, header.checksumOffset, true);
  return bytes;
}

export function decodeVnet(bytes: Uint8Array): VnetHeader {
  const view = viewOf(bytes);
  return {
    flags: view.getUint8(0),
    gsoType: view.getUint8(1),
    headerLength: view.getUint16(2, true),
    gsoSize: view.getUint16(4, true),
    checksumStart: view.getUint16(6, true),
    checksumOffset: view.getUint16(8, true),
  };
}

/** The packets that one from the device is cut into; undefined when it is refused. */
export function cut(packet: Uint8Array, header: VnetHeader): readonly Uint8Array[] | undefined {
  const memory = new FakeMemory();
  const slots = 66_000;
  const packets = memory.allocate(slots + MAX_DATAGRAMS * HEADER_SLOT_BYTES);
  const segmenter = new Segmenter(packets, slots);
  packets.bytes.set(encodeVnet(header), 6);
  packets.bytes.set(packet, 16);
  if (!segmenter.begin(16, packet.length, 6)) return undefined;
  const pieces: Uint8Array[] = [];
  while (segmenter.more) {
    segmenter.next(pieces.length % MAX_DATAGRAMS);
    const { headAt, headLength, bodyAt, bodyLength } = segmenter;
    const head = packets.bytes.subarray(headAt, headAt + headLength);
    const body = packets.bytes.subarray(bodyAt, bodyAt + bodyLength);
    pieces.push(Uint8Array.from(Buffer.concat([head, body])));
  }
  return pieces;
}

/** What the device is given of packets that arrive together, `gap` bytes apart. */
export function coalesce(
  arriving: readonly Uint8Array[],
  gap = 0,
  mtu = 0xffff,
): readonly DevicePacket[] {
  const memory = new FakeMemory();
  const written: DevicePacket[] = [];
  const calls = {
    address: memory.addressOf,
    errno: () => 0,
    writev: (_fd: number, vector: number, count: number) => {
      const bytes = memory.gather(vector, count);
      written.push({ header: decodeVnet(bytes), packet: bytes.slice(10) });
      return bytes.length;
    },
  } as unknown as PacketCalls;
  const total = arriving.reduce((sum, packet) => sum + packet.length + gap, gap);
  const packets = memory.allocate(Math.ceil(total / 8) * 8 + 8);
  const coalescer = new Coalescer(packets);
  let at = gap;
  for (const packet of arriving) {
    packets.bytes.set(packet, at);
    coalescer.add(at, packet.length, mtu);
    at += packet.length + gap;
  }
  const channel = new DeviceChannel(3, true, mtu, calls);
  for (let packet = 0; packet < coalescer.packets; packet += 1) {
    channel.writePacket(coalescer, packet, packets);
  }
  return written;
}
