import { looksLikeIpv4 } from '../../../core/wire/ipv4.ts';
import { decodeUdp } from '../../../core/wire/udp.ts';
import { samePath, type Ipv4, type Path } from '../../../core/addr.ts';
import type { TunnelConfig } from '../../../core/config/tunnel-config.ts';
import type { ControlPacket } from '../../../ports/data-plane.ts';
import { openQueue, type QueuedPacket } from '../../nfqueue.ts';

/** What the queue needs of the plane. */
export type QueueOwner = {
  /** Maps the alternative local address, seen on packets that were rewritten, to the public one. */
  readonly publicLocal: (local: Ipv4) => Ipv4;
  readonly packet: (packet: ControlPacket) => Promise<void>;
  /**
   * The path of kernel-forwarded data now, with the local address that is on such packets when
   * they reach the queue's hook; undefined while no peer is admitted.
   */
  readonly dataPath: () => Path | undefined;
};

/**
 * The NFQUEUE of one tunnel: hands packets up one at a time, in the order of their arrival, and
 * gives each its verdict afterwards. Authentication packets end here; a data packet that overtook
 * the authentication of its peer goes on into the kernel if its peer is admitted by then.
 */
export class ControlQueue {
  readonly #queue: ReturnType<typeof openQueue>;
  readonly #owner: QueueOwner;
  #tail: Promise<void> = Promise.resolve();

  constructor(config: TunnelConfig, owner: QueueOwner) {
    this.#owner = owner;
    this.#queue = openQueue(
      {
        number: config.queue.number,
        maxLength: config.queue.maxLength,
        subject: `NFQUEUE ${config.queue.number}`,
      },
      (packet) => {
        this.#tail = this.#tail.then(() => this.#handle(packet));
      },
    );
  }

  async #handle(queued: QueuedPacket): Promise<void> {
    const datagram = decodeUdp(queued.payload);
    if (!datagram.ok) {
      this.#queue.verdict(queued.id, 'drop');
      return;
    }
    const { source: remote, destination, payload } = datagram.value;
    const local = { ip: this.#owner.publicLocal(destination.ip), port: destination.port };
    await this.#owner.packet({ path: { local, remote }, payload });
    const data = this.#owner.dataPath();
    const goesOn =
      data !== undefined &&
      samePath(data, { local: destination, remote }) &&
      looksLikeIpv4(payload);
    this.#queue.verdict(queued.id, goesOn ? 'accept' : 'drop');
  }

  /** Unbinds; packets that wait are dropped by the kernel. */
  close(): void {
    this.#queue.close();
  }
}
