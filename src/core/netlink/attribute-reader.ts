import { refuse, succeed, type Decoded } from '../result.ts';
import {
  decodeAttributes,
  decodeS32host,
  decodeString,
  decodeU16be,
  decodeU16host,
  decodeU32be,
  decodeU32host,
  decodeU64be,
  decodeU64host,
  decodeU8,
} from './attributes.ts';

/**
 * Reads typed attributes out of one block and remembers the first thing wrong, so that a decoder
 * states its fields once and asks at the end. Every read gives undefined for an absent attribute
 * and for a malformed one; `done` tells which.
 */
export interface AttributeReader {
  readonly attributes: ReadonlyMap<number, Uint8Array>;
  u8(type: number): number | undefined;
  u16host(type: number): number | undefined;
  u16be(type: number): number | undefined;
  u32host(type: number): number | undefined;
  s32host(type: number): number | undefined;
  u32be(type: number): number | undefined;
  u64host(type: number): bigint | undefined;
  u64be(type: number): bigint | undefined;
  string(type: number): string | undefined;
  /** The payload as it is: a view, of any length. */
  bytes(type: number): Uint8Array | undefined;
  /** What `decode` makes of the payload. */
  as<T>(type: number, decode: (payload: Uint8Array) => Decoded<T>): T | undefined;
  /** A reader of a nested block; an absent or malformed nest reads as empty. */
  nested(type: number): AttributeReader;
  /** `value`, unless something was malformed. */
  done<T>(value: T): Decoded<T>;
}

/** Begins to read a block of attributes; `what` begins the reasons. */
export function attributeReader(bytes: Uint8Array, what: string): AttributeReader {
  const problems: string[] = [];
  return readerOf(bytes, what, problems);
}

function readerOf(bytes: Uint8Array, what: string, problems: string[]): AttributeReader {
  const decoded = decodeAttributes(bytes);
  if (!decoded.ok) problems.push(`${what}: ${decoded.reason}`);
  const attributes: ReadonlyMap<number, Uint8Array> = decoded.ok ? decoded.value : new Map();

  function as<T>(type: number, decode: (payload: Uint8Array) => Decoded<T>): T | undefined {
    const payload = attributes.get(type);
    if (payload === undefined) return undefined;
    const result = decode(payload);
    if (result.ok) return result.value;
    problems.push(`${what}: attribute ${type}: ${result.reason}`);
    return undefined;
  }

  return {
    attributes,
    u8: (type) => as(type, decodeU8),
    u16host: (type) => as(type, decodeU16host),
    u16be: (type) => as(type, decodeU16be),
    u32host: (type) => as(type, decodeU32host),
    s32host: (type) => as(type, decodeS32host),
    u32be: (type) => as(type, decodeU32be),
    u64host: (type) => as(type, decodeU64host),
    u64be: (type) => as(type, decodeU64be),
    string: (type) => as(type, decodeString),
    bytes: (type) => attributes.get(type),
    as,
    nested: (type) =>
      readerOf(attributes.get(type) ?? new Uint8Array(0), `${what}: attribute ${type}`, problems),
    done: (value) => {
      const problem = problems[0];
      return problem === undefined ? succeed(value) : refuse(problem);
    },
  };
}
