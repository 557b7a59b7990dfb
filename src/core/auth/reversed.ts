/** Replies of a side that cannot sign: the request with its bytes in reverse order. */
import { constantTimeEqual } from './bytes.ts';
import { refused } from './refusal.ts';
import type { Replay } from './replay.ts';
import type { Look, ProvedReply } from './scheme.ts';
import { reversedReply } from './v1.ts';

/** Which of the open requests a packet is the reversal of; there is nothing to prove then. */
export function findReversed(
  replay: Replay | undefined,
  payload: Uint8Array,
  open: readonly Uint8Array[],
): Look<ProvedReply> {
  const fits = open.map((request) => constantTimeEqual(payload, reversedReply(request)));
  const answers = fits.indexOf(true);
  if (answers < 0) {
    const sameLength = open.some((request) => request.length === payload.length);
    return refused(sameLength ? 'unsolicited' : 'length');
  }
  return { ok: true, prove: () => ({ ok: true, replay, answers, notice: undefined }) };
}
