import { sipHash128 } from '../../../core/siphash.ts';
import type { Arena } from './arena.ts';

/** The first message of session 2 (docs/PROTOCOL.md), and where in it mac1 is, which is over what is before. */
export const FIRST_MESSAGE = { type: 0xf1, length: 200 } as const;
const MAC1_OFFSET = 168;
const MAC1_LENGTH = 16;

/**
 * Tests first messages before they cost the session anything. The key of mac1 is a hash of the server's public key: who
 * does not know the server cannot make one.
 */
export class FirstMessages {
  /** See PlaneContext; without it all pass. */
  key: Uint8Array | undefined;

  constructor(key: Uint8Array | undefined) {
    this.key = key;
  }

  /** What is at `at`: a first message that is meant for us, or for somebody else or nobody; undefined: none, or not to be told. */
  test({ bytes }: Arena, at: number, length: number): 'ours' | 'forged' | undefined {
    const { type, length: its } = FIRST_MESSAGE;
    if (this.key === undefined || length !== its || bytes[at] !== type) return undefined;
    const said = at + MAC1_OFFSET;
    const mac1 = sipHash128(this.key, bytes.subarray(at, said));
    for (let index = 0; index < MAC1_LENGTH; index += 1) {
      if (mac1[index] !== bytes[said + index]) return 'forged';
    }
    return 'ours';
  }
}
