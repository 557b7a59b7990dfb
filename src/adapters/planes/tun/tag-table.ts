import { TAG_TYPE } from '../../../core/tag/layout.ts';
import type { TagKey, TagKeys, TagLevel } from '../../../core/tag/types.ts';
import { ReplayWindow } from '../../../core/tag/window.ts';
import { remainderOf, sameSecret, secretOf, type TagSecret } from './tagger.ts';

/** What a peer's packets are tagged with. */
export type SendKey = {
  /** Of the other side's session. */
  readonly index: number;
  /** Type and index, as the first word of a payload. */
  readonly head: number;
  readonly secret: TagSecret;
  /** Of the last packet; one for all who send under this key. */
  readonly counter: { last: number };
};

/** What packets of one session of a peer are checked with. */
export type ReceiveKey<Owner> = {
  readonly owner: Owner;
  readonly index: number;
  /** The first byte of its packets. */
  readonly type: number;
  readonly level: TagLevel;
  readonly secret: TagSecret;
  readonly window: ReplayWindow;
};

export type PeerTags<Owner> = {
  readonly level: TagLevel;
  readonly send: SendKey;
  readonly receive: readonly ReceiveKey<Owner>[];
  /** When its owner was told last that it came from elsewhere; monotonic milliseconds. */
  roamedAt: number;
};

/** Sessions by the index that their packets bear. Only peers with tags take memory here. */
export class TagTable<Owner> {
  readonly #byIndex = new Map<number, ReceiveKey<Owner>>();
  #last: ReceiveKey<Owner> | undefined;

  get size(): number {
    return this.#byIndex.size;
  }

  /** First words of all payloads that may be right. */
  *heads(): Iterable<number> {
    for (const { index, type } of this.#byIndex.values()) yield headOf(type, index);
  }

  find(index: number): ReceiveKey<Owner> | undefined {
    if (this.#last?.index === index) return this.#last;
    const found = this.#byIndex.get(index);
    if (found) this.#last = found;
    return found;
  }

  /** Whether `owner` may have these indexes: they are nobody else's. */
  mayUse(owner: Owner, { receive }: TagKeys): boolean {
    return receive.every(({ index }) => (this.#byIndex.get(index)?.owner ?? owner) === owner);
  }

  /** Begins to check by these keys. Counters and windows of sessions that `former` has go on. */
  use(owner: Owner, keys: TagKeys, former: PeerTags<Owner> | undefined): PeerTags<Owner> {
    this.drop(former);
    const { level, send, receive } = keys;
    const tags = {
      level,
      send: sendKey(level, send, former?.send),
      receive: receive.map((key) => receiveKey(owner, level, key, former?.receive)),
      roamedAt: former?.roamedAt ?? Number.NEGATIVE_INFINITY,
    };
    for (const key of tags.receive) this.#byIndex.set(key.index, key);
    return tags;
  }

  /** Checks by these no more. What is returned has the keys no more, but counters and windows. */
  retire(tags: PeerTags<Owner>): PeerTags<Owner> {
    this.drop(tags);
    const { send } = tags;
    return {
      ...tags,
      send: { ...send, secret: remainderOf(send.secret) },
      receive: tags.receive.map((key) => ({ ...key, secret: remainderOf(key.secret) })),
    };
  }

  /** Checks by these no more. */
  drop(tags: PeerTags<Owner> | undefined): void {
    this.#last = undefined;
    for (const { index, owner } of tags?.receive ?? []) {
      if (this.#byIndex.get(index)?.owner === owner) this.#byIndex.delete(index);
    }
  }
}

function sendKey(level: TagLevel, key: TagKey, former: SendKey | undefined): SendKey {
  const secret = secretOf(level, key);
  const goesOn = former?.index === key.index && sameSecret(former.secret, secret);
  const head = headOf(TAG_TYPE[level], key.index);
  return { index: key.index, head, secret, counter: goesOn ? former.counter : { last: 0 } };
}

function receiveKey<Owner>(
  owner: Owner,
  level: TagLevel,
  key: TagKey,
  former: readonly ReceiveKey<Owner>[] = [],
): ReceiveKey<Owner> {
  const secret = secretOf(level, key);
  const same = former.find((one) => one.index === key.index && sameSecret(one.secret, secret));
  const window = same?.window ?? new ReplayWindow();
  return { owner, index: key.index, type: TAG_TYPE[level], level, secret, window };
}

function headOf(type: number, index: number): number {
  return type * 0x100_0000 + index;
}
