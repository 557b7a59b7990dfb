import type { Path } from '../core/addr.ts';
import type { PeerId } from '../core/config/tunnel-config.ts';
import type { ControlPacket, OuterError, PlaneListener } from '../ports/data-plane.ts';
import type { Tell } from '../ports/tell.ts';

/** What receives a plane's packets and its end once the session runs. */
type Recipient = {
  receive(packet: ControlPacket): Promise<void>;
  outerError(error: OuterError): void;
  roamed(peer: PeerId, path: Path): void;
  fail(error: Error): void;
};

/**
 * A plane's listener from the moment the plane is being opened. What comes before the session has
 * started waits (a plane hands packets up one at a time), so that a peer's first packet counts.
 */
export class Inbox implements PlaneListener {
  readonly #tell: Tell;
  readonly #recipient: Promise<Recipient | undefined>;
  #settle: (recipient: Recipient | undefined) => void = () => undefined;
  /** From `deliverTo` on. */
  #running: Recipient | undefined;

  constructor(tell: Tell) {
    this.#tell = tell;
    this.#recipient = new Promise((resolve) => {
      this.#settle = resolve;
    });
  }

  deliverTo(recipient: Recipient): void {
    this.#running = recipient;
    this.#settle(recipient);
  }

  /** Lets go of packets that still wait: nobody will take them. */
  close(): void {
    this.#settle(undefined);
  }

  async packet(packet: ControlPacket): Promise<void> {
    const recipient = await this.#recipient;
    await recipient?.receive(packet);
  }

  /** Anybody can forge these, so none waits: before the session runs there is nothing they could be about. */
  outerError(error: OuterError): void {
    const { remote, ...says } = error;
    this.#tell({ kind: 'network-says', remote, says });
    this.#running?.outerError(error);
  }

  roamed(peer: PeerId, path: Path): void {
    void this.#pass((recipient) => recipient.roamed(peer, path));
  }

  disturbed(what: string, repaired: boolean): void {
    this.#tell({ kind: 'disturbed', what, repaired });
  }

  failed(error: Error): void {
    void this.#pass((recipient) => recipient.fail(error));
  }

  async #pass(use: (recipient: Recipient) => void): Promise<void> {
    const recipient = await this.#recipient;
    if (recipient) use(recipient);
  }
}
