import { decodeOuterIpv4, type OuterIp } from '../../src/core/addr.ts';
import { decodeIpv4Header } from '../../src/core/wire/ipv4.ts';

/** UDP packets from an address among what a tap saw. */
export function tunnelled(seen: readonly Uint8Array[], from: OuterIp) {
  return seen.flatMap((packet) => {
    const header = decodeIpv4Header(packet, decodeOuterIpv4);
    if (!header.ok || header.value.protocol !== 17 || header.value.source !== from) return [];
    const udp = packet.subarray(header.value.headerLength, header.value.totalLength);
    const view = new DataView(udp.buffer, udp.byteOffset, udp.byteLength);
    const whole = packet.subarray(0, header.value.totalLength);
    return [
      {
        ...{ packet: whole, header: header.value },
        ...{ checksum: view.getUint16(6), payload: udp.subarray(8) },
      },
    ];
  });
}
