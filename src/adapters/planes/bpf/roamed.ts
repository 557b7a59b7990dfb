import { decodeOuterIpv4, decodeOuterIpv6, type Path } from '../../../core/addr.ts';
import { port } from '../../../core/units.ts';
import { openRing, type Ring } from '../../ffi/bpf-ring.ts';
import { onReadable, type Readiness } from '../../ffi/poll.ts';
import { STRUCTS } from './abi.ts';
import { readBytes, readNumber } from './struct-layout.ts';

/** A packet with a valid tag that came on another path than its peer's. */
export type RoamedPacket = {
  /** Whose it is (tag-maps.ts). */
  readonly owner: number;
  readonly path: Path;
};

/** What the programs tell of such packets; `localPort` is the tunnel's. */
export class RoamedPackets implements Disposable {
  readonly #ring: Ring;
  readonly #readiness: Readiness;

  /** `map`: the descriptor of the ring, which stays its owner's. */
  constructor(map: number, localPort: number, heard: (packet: RoamedPacket) => void) {
    this.#ring = openRing(map, (bytes) => {
      heard(decodeRoamed(bytes, localPort));
    });
    this.#readiness = onReadable(this.#ring.fd, () => {
      this.#ring.consume();
    });
    this.#readiness.unref();
  }

  [Symbol.dispose](): void {
    this.#readiness.close();
    this.#ring.close();
  }
}

export function decodeRoamed(bytes: Uint8Array, localPort: number): RoamedPacket {
  const layout = STRUCTS.ipipou_roamed;
  const ipv6 = readNumber(layout, bytes, 'ipv6') !== 0;
  const ipOf = (name: 'local_ip' | 'remote_ip') => {
    const address = readBytes(layout, bytes, name);
    return ipv6 ? decodeOuterIpv6(address) : decodeOuterIpv4(address.subarray(0, 4));
  };
  return {
    owner: readNumber(layout, bytes, 'owner'),
    path: {
      local: { ip: ipOf('local_ip'), port: port(localPort) },
      remote: { ip: ipOf('remote_ip'), port: port(readNumber(layout, bytes, 'remote_port')) },
    },
  };
}
