import { formatEndpoint } from '../core/addr.ts';
import type { ControlPacket, OuterError, PlaneListener } from '../ports/data-plane.ts';
import type { Log } from '../ports/log.ts';

/** What receives a plane's packets and its end once the session runs. */
type Recipient = {
  receive(packet: ControlPacket): Promise<void>;
  outerError(error: OuterError): void;
  fail(error: Error): void;
};

/**
 * A plane's listener from the moment the plane is being opened. What comes before the session has
 * started waits (a plane hands packets up one at a time), so that a peer's first packet counts.
 */
export class Inbox implements PlaneListener {
  readonly #log: Log;
  readonly #recipient: Promise<Recipient | undefined>;
  #settle: (recipient: Recipient | undefined) => void = () => undefined;
  /** From `deliverTo` on. */
  #running: Recipient | undefined;

  constructor(log: Log) {
    this.#log = log;
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
    const { remote, kind, ...said } = error;
    this.#log('debug', `the network says: ${kind}`, { remote: formatEndpoint(remote), ...said });
    this.#running?.outerError(error);
  }

  disturbed(what: string, repaired: boolean): void {
    if (repaired) this.#log('warn', 'put back what was changed from outside', { what });
    else this.#log('error', 'changed from outside and not put back', { what });
  }

  failed(error: Error): void {
    void this.#pass((recipient) => recipient.fail(error));
  }

  async #pass(use: (recipient: Recipient) => void): Promise<void> {
    const recipient = await this.#recipient;
    if (recipient) use(recipient);
  }
}
