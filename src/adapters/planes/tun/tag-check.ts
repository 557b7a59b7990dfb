import {
  MAX_TAG_INDEX,
  MAX_TAGGED_LENGTH,
  TAG_COUNTER_AT,
  TAG_LENGTH,
  TAG_TYPE,
} from '../../../core/tag/layout.ts';
import { coveredLength } from '../../../core/tag/tag.ts';
import { IPV4_HEADER_LENGTH } from '../../../core/wire/ipv4.ts';
import type { Arena } from './arena.ts';
import type { Loss } from './counters.ts';
import type { Peer, PeerTable } from './peer-table.ts';
import type { Tagger } from './tagger.ts';

/** Whether what begins at `at` may be tagged: authentication may look so, too, if rarely. */
export function looksTagged(packets: Arena, at: number, length: number): boolean {
  const first = packets.bytes[at];
  return length > TAG_LENGTH && (first === TAG_TYPE.full || first === TAG_TYPE.header);
}

/** Looks whose a tagged payload is, and whether its tag is right and has not come before. */
export class TagCheck {
  readonly #peers: PeerTable;
  /** Whose the payload is that was looked at last, where its session is known. */
  peer: Peer | undefined;

  constructor(peers: PeerTable) {
    this.#peers = peers;
  }

  /** Why the payload at `at` is not taken; undefined: it is, and is never taken again. */
  look(packets: Arena, tagger: Tagger, at: number, length: number): Loss | undefined {
    const key = this.#peers.tags.find(packets.u32be(at) & MAX_TAG_INDEX);
    this.peer = key?.owner.admitted;
    if (!key || !this.peer) return 'unknown-session';
    if (packets.bytes[at] !== key.type) return 'level';
    const inner = length - TAG_LENGTH;
    if (inner < IPV4_HEADER_LENGTH || inner > MAX_TAGGED_LENGTH) return 'bad-tag';
    const counter = packets.u32be(at + TAG_COUNTER_AT);
    if (!key.window.isFresh(counter)) return 'replayed';
    const covered = coveredLength(key.level, inner);
    if (!tagger.isRight(key.secret, at, covered, inner)) return 'bad-tag';
    key.window.take(counter);
    return undefined;
  }
}
