/** Numbers and ends as payloads have them, one behind the other. */
import { decodeOuterIpv6, type Endpoint } from '../addr.ts';
import { getU16be, getU32be, getU64be, setU16be, setU32be, viewOf } from '../bytes.ts';
import { IPV6_LENGTH, mappedBytes } from '../ip-text.ts';
import type { Integrity } from '../tag/types.ts';
import { port } from '../units.ts';

/** An address of 16 bytes (IPv4 as ::ffff:a.b.c.d) and a port; zeros: not known. */
export const ENDPOINT_BYTES = 18;
/** Of what a path is challenged with. */
export const CHALLENGE_BYTES = 8;
/** Of what proves a RESET. */
export const RESET_TOKEN_BYTES = 8;

const LEVELS: readonly Integrity[] = ['none', 'header', 'full'];

export function encodeEndpoint(endpoint: Endpoint | undefined): Uint8Array {
  const bytes = new Uint8Array(ENDPOINT_BYTES);
  if (!endpoint) return bytes;
  bytes.set(mappedBytes(endpoint.ip));
  setU16be(bytes, IPV6_LENGTH, endpoint.port);
  return bytes;
}

/** Writes fields where the last one ended. Throws RangeError where there is no room, or a number does not fit. */
export class FieldWriter {
  readonly bytes: Uint8Array;
  #at = 0;

  constructor(length: number) {
    this.bytes = new Uint8Array(length);
  }

  u8(value: number): this {
    return this.raw(Uint8Array.of(fitting(value, 8)));
  }

  u16(value: number): this {
    setU16be(this.bytes, this.#take(2), fitting(value, 16));
    return this;
  }

  u32(value: number): this {
    setU32be(this.bytes, this.#take(4), fitting(value, 32));
    return this;
  }

  u64(value: bigint): this {
    if (BigInt.asUintN(64, value) !== value) throw new RangeError(`${value} in 64 bits`);
    viewOf(this.bytes).setBigUint64(this.#take(8), value, false);
    return this;
  }

  raw(bytes: Uint8Array): this {
    this.bytes.set(bytes, this.#take(bytes.length));
    return this;
  }

  /** Bytes of exactly this length. */
  exactly(length: number, bytes: Uint8Array): this {
    if (bytes.length !== length) throw new RangeError(`${bytes.length} bytes instead of ${length}`);
    return this.raw(bytes);
  }

  endpoint(endpoint: Endpoint | undefined): this {
    return this.raw(encodeEndpoint(endpoint));
  }

  integrity(level: Integrity): this {
    return this.u8(LEVELS.indexOf(level));
  }

  #take(length: number): number {
    const at = this.#at;
    this.#at += length;
    if (this.#at > this.bytes.length) throw new RangeError(`no room for ${length} bytes at ${at}`);
    return at;
  }
}

/** Reads them. What is no value of its field leaves `malformed` set, and comes out as some value. */
export class FieldReader {
  malformed = false;
  readonly #bytes: Uint8Array;
  #at = 0;

  /** Callers see to it that there are as many bytes as they read. */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  u8(): number {
    return this.#bytes[this.#take(1)] ?? 0;
  }

  u16(): number {
    return getU16be(this.#bytes, this.#take(2));
  }

  u32(): number {
    return getU32be(this.#bytes, this.#take(4));
  }

  u64(): bigint {
    return getU64be(this.#bytes, this.#take(8));
  }

  /** A copy. */
  raw(length: number): Uint8Array {
    const at = this.#take(length);
    return Uint8Array.from(this.#bytes.subarray(at, at + length));
  }

  /** undefined where it is not known. An address without a port, or a port without one, is malformed. */
  endpoint(): Endpoint | undefined {
    const at = this.#take(ENDPOINT_BYTES);
    const number = getU16be(this.#bytes, at + IPV6_LENGTH);
    const known = this.#bytes.subarray(at, at + IPV6_LENGTH).some((byte) => byte !== 0);
    if (known !== number > 0) this.malformed = true;
    if (!known || number === 0) return undefined;
    return { ip: decodeOuterIpv6(this.#bytes, at), port: port(number) };
  }

  integrity(): Integrity {
    const level = LEVELS[this.u8()];
    if (level === undefined) this.malformed = true;
    return level ?? 'none';
  }

  #take(length: number): number {
    const at = this.#at;
    this.#at += length;
    return at;
  }
}

function fitting(value: number, bits: number): number {
  if (Number.isInteger(value) && value >= 0 && value < 2 ** bits) return value;
  throw new RangeError(`${value} in ${bits} bits`);
}
