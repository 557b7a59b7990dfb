import {
  TAG_KEY_LENGTH,
  type TagKey,
  type TagKeys,
  type TagLevel,
} from '../../src/core/tag/types.ts';
import { randomBytes } from '../unit/tag/tag-vectors.ts';

/** What each of two ends is given, so that one takes what the other sends. */
export type EndTags = { readonly a: TagKeys; readonly b: TagKeys };

/** What one end sends under in a session. */
export function sessionKey(from: 'a' | 'b', session: number): TagKey {
  const index = 0x1000 * session + (from === 'a' ? 0xa : 0xb);
  return { index, key: randomBytes(index, TAG_KEY_LENGTH) };
}

/** Both ends send under the session `sends`, and take what comes under `receive`, the newest first. */
export function endTags(
  level: TagLevel,
  sends: number,
  receive: readonly number[] = [sends],
): EndTags {
  const of = (here: 'a' | 'b', there: 'a' | 'b'): TagKeys => ({
    level,
    send: sessionKey(here, sends),
    receive: receive.map((session) => sessionKey(there, session)),
  });
  return { a: of('a', 'b'), b: of('b', 'a') };
}
