import { formatEndpoint } from '../core/addr.ts';
import type { OuterError } from '../ports/data-plane.ts';
import { OUTER_ERRORS_WAITING } from './limits.ts';

/** What the network says of packets of ours, until its turn: the last complaint of each kind and remote. */
export class OuterErrors {
  readonly #waiting = new Map<string, OuterError>();

  /** Whether it is the first that waits. Dropped while too many wait: it may be forged. */
  add(error: OuterError): boolean {
    const key = `${error.kind} ${formatEndpoint(error.remote)}`;
    const waiting = this.#waiting.size;
    if (waiting >= OUTER_ERRORS_WAITING && !this.#waiting.has(key)) return false;
    this.#waiting.set(key, error);
    return waiting === 0;
  }

  takeAll(): readonly OuterError[] {
    const errors = [...this.#waiting.values()];
    this.#waiting.clear();
    return errors;
  }
}
