import { ipBatch } from '../../src/adapters/lab/namespaces.ts';
import { onReadable, type Readiness } from '../../src/adapters/ffi/poll.ts';
import { close, read, write } from '../../src/adapters/ffi/libc.ts';
import { createTunDevice } from '../../src/adapters/planes/tun/tun-device.ts';
import { inNamespace } from './in-namespace.ts';

/**
 * Two TUN devices `l3`, 10.9.1.1 and 10.9.1.2, fd09:1::1 and fd09:1::2, and this process as the cable between them.
 */
export class TunCable implements Disposable {
  /** Packets so far. */
  carried = 0;
  readonly #ends: readonly number[];
  readonly #watches: readonly Readiness[];

  private constructor(ends: readonly number[]) {
    this.#ends = ends;
    const buffer = new Uint8Array(65_536);
    this.#watches = ends.map((from, side) =>
      onReadable(from, () => {
        const length = read(from, buffer, buffer.length);
        if (length <= 0) return;
        this.carried += 1;
        write(ends[1 - side] ?? -1, buffer, length);
      }),
    );
  }

  static async lay(namespaces: readonly [string, string]): Promise<TunCable> {
    const cable = new TunCable(
      namespaces.map((name) => inNamespace(name, () => createTunDevice('l3', false))),
    );
    for (const [side, name] of namespaces.entries()) {
      await ipBatch(name, [
        'link set l3 addrgenmode none',
        `addr add 10.9.1.${side + 1} peer 10.9.1.${2 - side} dev l3`,
        'link set l3 up',
        // The kernel makes the route to the other end only while the device is up.
        `addr add fd09:1::${side + 1} peer fd09:1::${2 - side} dev l3 nodad`,
      ]);
    }
    return cable;
  }

  [Symbol.dispose](): void {
    for (const watch of this.#watches) watch.close();
    for (const end of this.#ends) close(end);
  }
}
