import { CONTROL_LIMITS } from '../../../core/budgets.ts';
import { encodeU32host, getU32be as u32be, getU32host } from '../../../core/bytes.ts';
import { takeToken, type Bucket } from '../../../core/session/rate-limit.ts';
import type { Millis } from '../../../core/units.ts';

/** A key hint (core/auth/v1.ts) as two words in host byte order. */
export type HintWords = readonly [number, number];

export function hintWords(hint: Uint8Array): HintWords {
  return [getU32host(hint, 0), getU32host(hint, 4)];
}

/** A hint: how many peers have it, and its budget. */
type Hint = { peers: number; bucket: Bucket | undefined };

/** Hints of the peers that are known. */
export class HintTable {
  /** By first word and second. */
  readonly #known = new Map<number, Map<number, Hint>>();

  add([first, second]: HintWords): void {
    const others = this.#known.get(first) ?? new Map<number, Hint>();
    this.#known.set(first, others);
    const hint = others.get(second) ?? { peers: 0, bucket: undefined };
    hint.peers += 1;
    others.set(second, hint);
  }

  delete([first, second]: HintWords): void {
    const others = this.#known.get(first);
    const hint = others?.get(second);
    if (!others || !hint) return;
    hint.peers -= 1;
    if (hint.peers === 0) others.delete(second);
    if (others.size === 0) this.#known.delete(first);
  }

  /** First words of all, as unsigned numbers in network byte order. */
  firstWords(): readonly number[] {
    return [...this.#known.keys()].map((word) => u32be(encodeU32host(word), 0));
  }

  has(first: number, second: number): boolean {
    return this.#known.get(first)?.has(second) === true;
  }

  /** Takes a token of a hint's budget; false when there is none, or no such hint. */
  take(first: number, second: number, now: Millis): boolean {
    const hint = this.#known.get(first)?.get(second);
    const bucket = hint && takeToken(hint.bucket, CONTROL_LIMITS.hinted, now);
    if (!hint || bucket === undefined) return false;
    hint.bucket = bucket;
    return true;
  }
}
