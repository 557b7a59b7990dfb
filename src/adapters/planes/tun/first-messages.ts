import { sipHash128 } from '../../../core/siphash.ts';
import type { Arena } from './arena.ts';

/**
 * The first message of session 2 (docs/PROTOCOL.md): 200 bytes, and what its mac1 is over. The key of that is a hash of
 * the server's public key: who does not know the server cannot make one.
 */
const TYPE = 0xf1;
const LENGTH = 200;
const MAC1_OFFSET = 168;
const MAC1_LENGTH = 16;

/** Tests first messages of strangers before they cost the session anything. */
export class FirstMessages {
  /** See PlaneContext; without it all pass. */
  key: Uint8Array | undefined;

  constructor(key: Uint8Array | undefined) {
    this.key = key;
  }

  /** Whether what is at `at` is a first message that is meant for somebody else, or for nobody. */
  isForged({ bytes }: Arena, at: number, length: number): boolean {
    if (this.key === undefined || length !== LENGTH || bytes[at] !== TYPE) return false;
    const said = at + MAC1_OFFSET;
    const mac1 = sipHash128(this.key, bytes.subarray(at, said));
    for (let index = 0; index < MAC1_LENGTH; index += 1) {
      if (mac1[index] !== bytes[said + index]) return true;
    }
    return false;
  }
}
