import { ifIndex } from '../../../src/core/units.ts';
import { STRUCTS } from '../../../src/adapters/planes/bpf/abi.ts';
import type { HeldTags } from '../../../src/adapters/planes/bpf/tag-maps.ts';
import type { Family } from '../../../src/core/addr.ts';
import { encodeU32host, encodeU64host } from '../../../src/core/bytes.ts';
import { tagged } from '../../../src/core/tag/tag.ts';
import { TAG_KEY_LENGTH, type TagKeys, type TagLevel } from '../../../src/core/tag/types.ts';
import { randomBytes } from '../../unit/tag/tag-vectors.ts';
import { outerFrame } from '../bpf-packets.ts';
import { outerEnds, outerFrame6 } from '../bpf-packets6.ts';
import { arrive, loaded, PEER } from './shared.ts';
import { admitOver, CONFIG6 } from './shared6.ts';

/* What the cases of tags share: a peer that has them, and what it sends. */

export const LEVELS = ['header', 'full'] as const;
export const FAMILIES = ['ipv4', 'ipv6'] as const;
/** The loopback device, by which test runs go, in the place of the far end. */
export const AT_FAR_END = { ...CONFIG6, tags: true, far: ifIndex(1) };

export const INDEX = 0x123456;
export const KEY = randomBytes(7, TAG_KEY_LENGTH);
export const SEND_KEY = randomBytes(8, TAG_KEY_LENGTH);

export function keysOf(level: TagLevel): TagKeys {
  return {
    level,
    send: { index: 0xfedcba, key: SEND_KEY },
    receive: [{ index: INDEX, key: KEY }],
  };
}

let held: HeldTags | undefined;

/** What the peer has now, where a test has changed it. */
export function nowHolds(tags: HeldTags | undefined): void {
  held = tags;
}

/** The peer over a family, whose packets carry tags. */
export function admitTagged(family: Family, keys: TagKeys): HeldTags {
  const { tags } = loaded();
  tags.retire(held, undefined);
  held = undefined;
  admitOver(family);
  loaded().configure({ ...CONFIG6, tags: true });
  held = tags.prepare(3, undefined, keys);
  loaded().admit(3, { ...PEER, ...outerEnds(family), tagsOut: held.number });
  return held;
}

/** As if so many packets had been sent under a key. */
export function setCounter({ number }: HeldTags, counter: bigint): void {
  const map = loaded().tags.shared.ipipou_tags_out;
  const entry = map.get(encodeU32host(number)) ?? new Uint8Array(0);
  entry.set(encodeU64host(counter), STRUCTS.ipipou_tag_out.fields.counter.offset);
  map.set(encodeU32host(number), entry);
}

export function from(
  level: TagLevel,
  counter: number,
  packet: Uint8Array,
  { index = INDEX, key = KEY } = {},
): Uint8Array {
  return tagged({ level, index, counter }, key, packet);
}

export function fateOf(payload: Uint8Array, outside: Family = 'ipv4', fields = {}): string {
  const bytes = outside === 'ipv4' ? outerFrame(payload, fields) : outerFrame6(payload, fields);
  const { verdict, counted } = arrive(bytes);
  return counted[0] ?? verdict;
}
