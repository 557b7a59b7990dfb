import { looksLikeData } from '../../../core/wire/inner-packet.ts';
import { decodeUdp } from '../../../core/wire/udp.ts';
import type { OuterIp, Path } from '../../../core/addr.ts';
import type { TunnelConfig } from '../../../core/config/tunnel-config.ts';
import type { ControlPacket } from '../../../ports/data-plane.ts';
import { openQueue, type QueuedPacket } from '../../nfqueue.ts';

/** What the queue needs of the plane. */
export type QueueOwner = {
  /**
   * Maps the destination of a packet to the public address: it is an alternative one on packets that
   * were rewritten. Undefined for an alternative address that no such peer uses now.
   */
  readonly publicLocal: (path: Path) => OuterIp | undefined;
  readonly packet: (packet: ControlPacket) => Promise<void>;
  /** Whether packets on this path, as they are when they reach the queue's hook, are an admitted peer's. */
  readonly carries: (path: Path) => boolean;
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
    const arrived = { local: destination, remote };
    const ip = this.#owner.publicLocal(arrived);
    if (ip === undefined) {
      this.#queue.verdict(queued.id, 'drop');
      return;
    }
    await this.#owner.packet({ path: { local: { ip, port: destination.port }, remote }, payload });
    const goesOn = looksLikeData(payload) && this.#owner.carries(arrived);
    this.#queue.verdict(queued.id, goesOn ? 'accept' : 'drop');
  }

  /** Packets that found the queue full. */
  dropped(): number {
    return this.#queue.dropped();
  }

  /** Unbinds; packets that wait are dropped by the kernel. */
  close(): void {
    this.#queue.close();
  }
}
