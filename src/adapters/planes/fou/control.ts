import { looksLikeData, type Carried } from '../../../core/wire/inner-packet.ts';
import { decodeUdp, type UdpDatagram } from '../../../core/wire/udp.ts';
import { formatEndpoint, type OuterIp, type Path } from '../../../core/addr.ts';
import { carries } from '../../../core/config/families.ts';
import type { TunnelConfig } from '../../../core/config/tunnel-config.ts';
import type { ControlPacket } from '../../../ports/data-plane.ts';
import { openQueue, type PacketQueue, type QueuedPacket } from '../../nfqueue.ts';
import { InFlight, PACKETS_IN_FLIGHT } from '../in-flight.ts';
import { strangerQueueOf } from './limits.ts';

/** As the sockets of the other planes take them (RFC 6935): whoever leaves checksums out does so in all that it sends. */
export const UDP_RULES = { zeroChecksum: true };

/** What the queue needs of the plane. */
export type QueueOwner = {
  /**
   * Maps the destination of a packet to the public address: it is an alternative one on packets that
   * were rewritten. Undefined for an alternative address that no such peer uses now.
   */
  readonly publicLocal: (path: Path) => OuterIp | undefined;
  /** Never rejects. */
  readonly packet: (packet: ControlPacket) => Promise<void>;
  /** Whether packets on this path, as they are when they reach the queue's hook, are an admitted peer's. */
  readonly carries: (path: Path) => boolean;
};

/**
 * The NFQUEUEs of one tunnel, of its peers and, at a server, of strangers: hands packets up in the order of their arrival, and
 * gives each its verdict when it is done with. A packet may wait for a disk; only those of the same sender wait with it. So
 * data right behind the authentication of its peer is judged after that. Authentication packets end
 * here; a data packet goes on into the kernel if its peer is admitted by then.
 */
export class ControlQueue {
  readonly #queues: readonly PacketQueue[];
  readonly #owner: QueueOwner;
  readonly #carried: Carried;
  /** The last packet in hand of each sender. */
  readonly #last = new Map<string, Promise<void>>();

  constructor(
    config: Pick<TunnelConfig, 'queue' | 'inner' | 'role'>,
    owner: QueueOwner,
    open = openQueue,
  ) {
    const { inner, queue, role } = config;
    const { number, maxLength } = queue;
    this.#carried = { ipv4: carries(inner, 'ipv4'), ipv6: carries(inner, 'ipv6') };
    this.#owner = owner;
    const opened: PacketQueue[] = [];
    this.#queues = opened;
    try {
      for (const each of role === 'server' ? [number, strangerQueueOf(number)] : [number])
        opened.push(this.#open(each, maxLength, open));
    } catch (error) {
      this.close();
      throw error;
    }
  }

  #open(number: number, maxLength: number, open: typeof openQueue): PacketQueue {
    const inFlight = new InFlight(Math.min(maxLength, PACKETS_IN_FLIGHT));
    let tail = Promise.resolve();
    // The kernel lets no more than `maxLength` packets wait for a verdict, those behind the tail among them.
    const queue = open({ number, maxLength, subject: `NFQUEUE ${number}` }, (packet) => {
      tail = tail.then(() => inFlight.add(this.#take(queue, packet)));
    });
    return queue;
  }

  /** Resolves when the packet has its verdict. */
  #take(queue: PacketQueue, { id, payload }: QueuedPacket): Promise<void> {
    const datagram = decodeUdp(payload, UDP_RULES);
    if (!datagram.ok) {
      queue.verdict(id, 'drop');
      return Promise.resolve();
    }
    const sender = formatEndpoint(datagram.value.source);
    const before = this.#last.get(sender) ?? Promise.resolve();
    const done = before.then(async () => {
      const goesOn = await this.#handle(datagram.value);
      queue.verdict(id, goesOn ? 'accept' : 'drop');
      if (this.#last.get(sender) === done) this.#last.delete(sender);
    });
    this.#last.set(sender, done);
    return done;
  }

  /** Whether the packet is data that goes on. */
  async #handle({ source: remote, destination, payload }: UdpDatagram): Promise<boolean> {
    const arrived = { local: destination, remote };
    const ip = this.#owner.publicLocal(arrived);
    if (ip === undefined) return false;
    await this.#owner.packet({ path: { local: { ip, port: destination.port }, remote }, payload });
    return looksLikeData(payload, this.#carried) && this.#owner.carries(arrived);
  }

  /** Packets that found a queue full. */
  dropped(): number {
    return this.#queues.reduce((total, queue) => total + queue.dropped(), 0);
  }

  /** Unbinds; packets that wait are dropped by the kernel. */
  close(): void {
    for (const queue of this.#queues) queue.close();
  }
}
