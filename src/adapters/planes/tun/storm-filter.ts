/**
 * A filter for the socket while there is a storm of strangers' packets: the kernel drops most of them before
 * they cost a copy and this thread's time. It is a classic BPF program and lets through
 *
 *     what comes from an address, of IPv6 from a /64, that a peer is or was admitted at
 *     what has the first word of a known hint where a hint stands
 *     what may be data, where not all of those addresses fit into the program
 *     what is tagged under a session that is known, or tagged at all where not all sessions fit
 *     of first messages of session 2, where they are tested, those of a part of all sources
 *     of the rest, a share at random
 *
 * and decides nothing: what it lets through meets the tests that it meets without a storm.
 */
import type { Family } from '../../../core/addr.ts';
import { encodeU32host, getU32be } from '../../../core/bytes.ts';
import { HINT_LENGTH, HINT_OFFSET } from '../../../core/auth/trailer.ts';
import { PACKET_LENGTH } from '../../../core/handshake/layout.ts';
import { TAG_LENGTH, TAG_TYPE } from '../../../core/tag/layout.ts';
import {
  encodeProgram,
  JUMP_EQUAL,
  JUMP_GREATER_EQUAL,
  MODULO,
  MULTIPLY,
  LD_BYTE,
  LD_LENGTH,
  LD_WORD,
  NOTHING,
  RETURN,
  SHIFT_RIGHT,
  WHOLE,
  type Instruction,
} from '../../classic-bpf.ts';

/** The first byte of a first message. */
const INIT_TYPE = 0xf1;
/** A jump goes 255 instructions far at most, and all of these end at one place. */
const LIST_MAX = 100;

export type StormFacts = {
  /** Of the socket; IPv4 where nothing is said. */
  readonly family?: Family;
  /** IPv4 addresses as unsigned numbers, the latest last; where the socket is one of IPv6, none. */
  readonly sources: readonly number[];
  /** First halves of IPv6 addresses (ipv6-words.ts), the latest last. */
  readonly networks?: readonly Uint32Array[];
  /** First words of hints, as unsigned numbers in network byte order. */
  readonly hints: readonly number[];
  /** IP versions that data may be of; 4 where nothing is said. */
  readonly versions?: readonly number[];
  /** First words of payloads that are tagged under a known session, as unsigned numbers in network byte order. */
  readonly heads?: readonly number[];
};

/** A part of all sources, by a hash that is made with an odd number of 32 bits. */
export type Slice = { readonly odd: number; readonly count: number; readonly at: number };

/** What is let through: a share, 0..1, and first messages of session 2 where they are tested apart. */
export type Shares = { readonly rest: number; readonly first?: Slice | undefined };

/** The network header; the data of a UDP socket's filter begins with the UDP header. */
const SKF_NET_OFF = 0xfff0_0000;
const SKF_AD_RANDOM = 0xffff_f000 + 56;
const IP_SOURCE = 12;
const IP6_SOURCE = 8;
const UDP_BYTES = 8;
/** The upper bits of a product tell most of it. */
const HASH_SHIFT = 16;

/** struct sock_filter[], host byte order; undefined where there are too many hints. */
export function stormFilter(facts: StormFacts, shares: Shares): Uint8Array | undefined {
  const { sources, networks = [], hints, versions = [4], heads = [] } = facts;
  if (hints.length > LIST_MAX) return undefined;
  const listed = sources.slice(-LIST_MAX);
  const data = sources.length > LIST_MAX || networks.length > LIST_MAX;
  // From behind: where each part ends is known then.
  const end: Instruction[] = [
    ...atRandom(shares.rest),
    [RETURN, 0, 0, NOTHING],
    [RETURN, 0, 0, WHOLE],
  ];
  const accept = (behind: number): number => behind - 1;
  const parts: Instruction[] = [...end];
  const before = (...added: readonly Instruction[]): void => void parts.unshift(...added);
  const equal = (value: number): void => before([JUMP_EQUAL, accept(parts.length), 0, value]);
  for (const hint of hints) equal(hint);
  before(
    [LD_LENGTH, 0, 0, 0],
    [JUMP_GREATER_EQUAL, 0, hints.length + 1, UDP_BYTES + HINT_OFFSET + HINT_LENGTH],
    [LD_WORD, 0, 0, UDP_BYTES + HINT_OFFSET],
  );
  if (data) {
    for (const version of versions) equal(version);
    before(
      [LD_LENGTH, 0, 0, 0],
      [JUMP_GREATER_EQUAL, 0, 2 + versions.length, UDP_BYTES + 20],
      [LD_BYTE, 0, 0, UDP_BYTES],
      [SHIFT_RIGHT, 0, 0, 4],
    );
  }
  for (const source of listed) equal(source);
  if (networks.length === 0) before([LD_WORD, 0, 0, SKF_NET_OFF + IP_SOURCE]);
  for (const [first, second] of networks.slice(-LIST_MAX).map(numbers)) {
    before(
      [LD_WORD, 0, 0, SKF_NET_OFF + IP6_SOURCE],
      [JUMP_EQUAL, 0, 3, first],
      [LD_WORD, 0, 0, SKF_NET_OFF + IP6_SOURCE + 4],
      [JUMP_EQUAL, 0, 1, second],
      [RETURN, 0, 0, WHOLE],
    );
  }
  before(...passTagged(heads), ...passFirst(shares.first, facts.family ?? 'ipv4'));
  return encodeProgram(parts);
}

/** Goes on with the next instruction, or jumps over it for the share. */
function atRandom(share: number): readonly Instruction[] {
  return [
    [LD_WORD, 0, 0, SKF_AD_RANDOM],
    [JUMP_GREATER_EQUAL, 0, 1, Math.floor(share * WHOLE)],
  ];
}

/** Lets tagged packets through, by their first words or, where those are too many, by their types. */
function passTagged(heads: readonly number[]): readonly Instruction[] {
  if (heads.length === 0) return [];
  const [load, values] =
    heads.length > LIST_MAX ? [LD_BYTE, Object.values(TAG_TYPE)] : [LD_WORD, heads];
  return [
    [LD_LENGTH, 0, 0, 0],
    [JUMP_GREATER_EQUAL, 0, values.length + 2, UDP_BYTES + TAG_LENGTH + 20],
    [load, 0, 0, UDP_BYTES],
    ...values.map((value, index): Instruction => {
      const left = values.length - 1 - index;
      return [JUMP_EQUAL, left, left === 0 ? 1 : 0, value];
    }),
    [RETURN, 0, 0, WHOLE],
  ];
}

/** Lets the first messages of some sources through: by the address, of IPv6 the half of it that tells networks apart. */
function passFirst(slice: Slice | undefined, family: Family): readonly Instruction[] {
  if (slice === undefined) return [];
  const { odd, count, at } = slice;
  const chosen: readonly Instruction[] = [
    [LD_WORD, 0, 0, SKF_NET_OFF + (family === 'ipv4' ? IP_SOURCE : IP6_SOURCE + 4)],
    [MULTIPLY, 0, 0, odd],
    [SHIFT_RIGHT, 0, 0, HASH_SHIFT],
    [MODULO, 0, 0, count],
    [JUMP_EQUAL, 0, 1, at],
    [RETURN, 0, 0, WHOLE],
    [RETURN, 0, 0, NOTHING],
  ];
  return [
    [LD_LENGTH, 0, 0, 0],
    [JUMP_EQUAL, 0, 2 + chosen.length, UDP_BYTES + PACKET_LENGTH.init],
    [LD_BYTE, 0, 0, UDP_BYTES],
    [JUMP_EQUAL, 0, chosen.length, INIT_TYPE],
    ...chosen,
  ];
}

/** Words in host byte order as the numbers that a program loads. */
function numbers([first = 0, second = 0]: Uint32Array): readonly [number, number] {
  return [getU32be(encodeU32host(first), 0), getU32be(encodeU32host(second), 0)];
}
