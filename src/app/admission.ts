import type { Path } from '../core/addr.ts';
import { IpipouError } from '../core/errors.ts';
import { millis, type Millis } from '../core/units.ts';
import type { Clock } from '../ports/clock.ts';
import type { DataPlane, PeerId } from '../ports/data-plane.ts';
import type { Log } from '../ports/log.ts';
import { explain } from './explain.ts';
import { ADMIT_BACKOFF_FIRST, ADMIT_BACKOFF_MAX, ADMIT_FAILURES_MAX } from './limits.ts';

/**
 * What the plane carries for one peer, and the patience with a plane that refuses. Failures in a
 * row are spaced: within the pause after one, further attempts fail at once without touching the
 * kernel. After `ADMIT_FAILURES_MAX` of them the tunnel is given up through `onFatal`.
 */
export class Admission {
  readonly #plane: Pick<DataPlane, 'admit' | 'evict'>;
  readonly #peer: PeerId;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #onFatal: (error: Error) => void;
  #path: Path | undefined;
  #everAdmitted: boolean;
  #failures = 0;
  #notBefore: Millis = millis(0);
  #trouble: string | undefined;

  constructor(
    plane: Pick<DataPlane, 'admit' | 'evict'>,
    peer: PeerId,
    adopted: Path | undefined,
    ports: { clock: Clock; log: Log; onFatal: (error: Error) => void },
  ) {
    this.#plane = plane;
    this.#peer = peer;
    this.#path = adopted;
    this.#everAdmitted = adopted !== undefined;
    this.#clock = ports.clock;
    this.#log = ports.log;
    this.#onFatal = ports.onFatal;
  }

  /** The path that the plane carries now. */
  get path(): Path | undefined {
    return this.#path;
  }

  /** The failure that has not been overcome yet, in words. */
  get trouble(): string | undefined {
    return this.#trouble;
  }

  /** Whether the plane carries `path` now. Never rejects. */
  async admit(path: Path): Promise<boolean> {
    if (this.#clock.now().monotonic < this.#notBefore) return false;
    try {
      await this.#plane.admit(this.#peer, { path });
    } catch (error) {
      this.#failed('cannot point the tunnel at its peer', error);
      return false;
    }
    this.#path = path;
    this.#everAdmitted = true;
    this.#succeeded();
    return true;
  }

  /** Whether the plane carries nothing now. Never rejects; the caller tries again after a pause. */
  async evict(): Promise<boolean> {
    try {
      await this.#plane.evict(this.#peer);
    } catch (error) {
      this.#failed('cannot take the peer out of the tunnel', error);
      return false;
    }
    this.#path = undefined;
    this.#succeeded();
    return true;
  }

  /** Monotonic time before which another attempt is pointless. */
  get notBefore(): Millis {
    return this.#notBefore;
  }

  #succeeded(): void {
    if (this.#failures > 0) this.#log('info', 'tunnel updated again', { failures: this.#failures });
    this.#failures = 0;
    this.#notBefore = millis(0);
    this.#trouble = undefined;
  }

  #failed(event: string, error: unknown): void {
    this.#failures += 1;
    const pause = Math.min(ADMIT_BACKOFF_FIRST * 2 ** (this.#failures - 1), ADMIT_BACKOFF_MAX);
    this.#notBefore = millis(this.#clock.now().monotonic + pause);
    const fields = explain(error);
    this.#trouble = `${event}: ${fields['error']}`;
    this.#log('error', event, { ...fields, failures: this.#failures, retryAfterMs: pause });
    if (this.#failures < ADMIT_FAILURES_MAX) return;
    const exit = this.#everAdmitted ? 'updateTunnel' : 'createTunnel';
    const message = `${event} after ${this.#failures} attempts: ${fields['error']}`;
    const hint = error instanceof IpipouError ? error.hint : undefined;
    this.#onFatal(
      new IpipouError(
        exit,
        message,
        hint === undefined ? { cause: error } : { hint, cause: error },
      ),
    );
  }
}
