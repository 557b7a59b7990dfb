import type { Path } from '../../core/addr.ts';
import { DEAF_TO_ERRORS, ERRORS_PER_TURN, OUTER_ERROR_RATE } from '../../core/budgets.ts';
import type { Port } from '../../core/units.ts';
import type { Decoded } from '../../core/result.ts';
import type { IcmpError, QuotedError } from '../../core/wire/icmp-error.ts';
import { TokenBucket } from './token-bucket.ts';

/** Much more than an ICMP error should have (576 bytes, RFC 1812 section 4.3.2.3; 1280, RFC 4443 section 2.4). */
export const ERROR_ROOM = 2048;

/** A socket that gives ICMP messages. */
export type ErrorSource = {
  /** Reads the next message; undefined when there is none. */
  readonly receive: () => Decoded<QuotedError> | undefined;
  /** Whether a message that comes is to bring about a `take`. */
  readonly listen: (on: boolean) => void;
};

/**
 * Takes ICMP errors about UDP packets from one port; anybody can forge them. So many are taken in a turn of
 * the event loop, and when their rate is spent none is read for a while: what comes then
 * fills the socket's buffer, and the rest is the kernel's to drop.
 */
export class ErrorIntake {
  readonly #source: ErrorSource;
  readonly #port: Port;
  readonly #heard: (path: Path, error: IcmpError) => void;
  readonly #budget = new TokenBucket(OUTER_ERROR_RATE);
  #deaf: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(source: ErrorSource, port: Port, heard: (path: Path, error: IcmpError) => void) {
    this.#source = source;
    this.#port = port;
    this.#heard = heard;
    source.listen(true);
  }

  /** There is something to read; more than a turn takes is left for the next one. */
  take(): void {
    for (let taken = 0; taken < ERRORS_PER_TURN && !this.#closed; taken += 1) {
      const decoded = this.#source.receive();
      if (!decoded) break;
      if (!this.#budget.take(performance.now())) {
        this.#rest();
        return;
      }
      if (decoded.ok && decoded.value.path.local.port === this.#port) {
        this.#heard(decoded.value.path, decoded.value.error);
      }
    }
    if (!this.#closed) this.#source.listen(true);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#deaf);
  }

  #rest(): void {
    this.#source.listen(false);
    this.#deaf = setTimeout(() => this.#source.listen(true), DEAF_TO_ERRORS).unref();
  }
}
