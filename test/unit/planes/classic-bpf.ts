/** What a classic BPF program sees of a packet. */
export type Filtered = {
  readonly data: Uint8Array;
  /** Words from behind the data: ancillary loads, and those by the network header, by their offsets. */
  readonly words?: Readonly<Record<number, number>>;
};

/** Whether the kernel lets a packet through: the instructions that are used here, as linux/filter.h has them. */
export function passesFilter(filter: Uint8Array, { data, words = {} }: Filtered): boolean {
  const view = new DataView(filter.buffer, filter.byteOffset, filter.length);
  const packet = new DataView(data.buffer, data.byteOffset, data.length);
  let a = 0;
  let x = 0;
  for (let at = 0; at * 8 < filter.length; at += 1) {
    const [code, yes, no, k] = [
      view.getUint16(at * 8, true),
      view.getUint8(at * 8 + 2),
      view.getUint8(at * 8 + 3),
      view.getUint32(at * 8 + 4, true),
    ];
    try {
      if (code === 0x20) a = words[k] ?? packet.getUint32(k);
      else if (code === 0x28) a = packet.getUint16(k);
      else if (code === 0x30) a = packet.getUint8(k);
      else if (code === 0x48) a = packet.getUint16(x + k);
      else if (code === 0x50) a = packet.getUint8(x + k);
      else if (code === 0x80) a = data.length;
      else if (code === 0xb1) x = (packet.getUint8(k) & 15) * 4;
      else if (code === 0x0c) a += x;
      else if (code === 0x54) a &= k;
      else if (code === 0x24) a = Math.imul(a, k) >>> 0;
      else if (code === 0x94) a %= k;
      else if (code === 0x64) a <<= k;
      else if (code === 0x74) a >>>= k;
      else if (code === 0x07) x = a;
      else if (code === 0x15) at += a === k ? yes : no;
      else if (code === 0x35) at += a >= k ? yes : no;
      else if (code === 0x45) at += (a & k) === 0 ? no : yes;
      else if (code === 0x06) return k > 0;
      else throw new Error(`no instruction ${code}`);
    } catch (error) {
      // A load from behind the end.
      if (error instanceof RangeError) return false;
      throw error;
    }
  }
  throw new Error('no end');
}
