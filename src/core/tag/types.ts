/** What planes are told of tags (docs/PROTOCOL.md, "Tags"). No secret of these is ever printed. */

/** How much of each packet is proved: nothing, the headers inside, or all of it. */
export type Integrity = 'none' | TagLevel;
export type TagLevel = 'header' | 'full';

/** One direction of one session. */
export type TagKey = {
  /** What its receiver has chosen to know it by: 1 to 2^24 - 1; 0: there is no receiver. */
  readonly index: number;
  /** TAG_KEY_LENGTH bytes. */
  readonly key: Uint8Array;
};

/** Bytes of a key: 16 of SipHash and 1544 of NH. */
export const TAG_KEY_LENGTH = 1560;

export type TagKeys = {
  readonly level: TagLevel;
  /** Of what is sent: the index is the other side's. */
  readonly send: TagKey;
  /** Of what comes, the newest first, at most TAG_RECEIVE_KEYS; indexes are ours. */
  readonly receive: readonly TagKey[];
};

/** The current session's, the one before, and one that is being agreed on. */
export const TAG_RECEIVE_KEYS = 3;
