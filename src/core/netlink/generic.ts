/**
 * Generic netlink (linux/genetlink.h of 6.1, struct genlmsghdr; the family's attributes follow):
 *
 *      0                   1                   2                   3
 *      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *     +---------------+---------------+-------------------------------+
 *     | cmd           | version       | 0                              |
 *     +---------------+---------------+-------------------------------+
 *
 * A family's message type is a number that the kernel gives out; the controller knows it by name.
 */
import { refuse, type Decoded } from '../result.ts';
import { attributeReader, type AttributeReader } from './attribute-reader.ts';
import { attrString } from './attributes.ts';
import { concatBytes } from '../bytes.ts';
import type { NetlinkCall } from './message.ts';

const GENLMSGHDR = { cmd: 0, version: 1, length: 4 } as const;

const GENL_ID_CTRL = 0x10;
const CTRL_CMD_NEWFAMILY = 1;
const CTRL_CMD_GETFAMILY = 3;
const CTRL_ATTR_FAMILY_ID = 1;
const CTRL_ATTR_FAMILY_NAME = 2;

export function encodeGenlmsghdr(cmd: number, version: number): Uint8Array {
  const bytes = new Uint8Array(GENLMSGHDR.length);
  bytes[GENLMSGHDR.cmd] = cmd;
  bytes[GENLMSGHDR.version] = version;
  return bytes;
}

/** The attributes of a message whose command must be `cmd`. */
export function genericReader(
  payload: Uint8Array,
  cmd: number,
  what: string,
): Decoded<AttributeReader> {
  if (payload.length < GENLMSGHDR.length) return refuse(`${what}: ${payload.length} bytes`);
  if (payload[GENLMSGHDR.cmd] !== cmd) {
    return refuse(`${what}: command ${payload[GENLMSGHDR.cmd]} where ${cmd} is due`);
  }
  const reader = attributeReader(payload.subarray(GENLMSGHDR.length), what);
  return reader.done(reader);
}

/** Asks for a family's number; ENOENT when no module that is loaded has it. */
export function encodeGetFamily(name: string): NetlinkCall {
  return {
    operation: 'CTRL_CMD_GETFAMILY',
    type: GENL_ID_CTRL,
    flags: 0,
    payload: concatBytes([
      encodeGenlmsghdr(CTRL_CMD_GETFAMILY, 1),
      attrString(CTRL_ATTR_FAMILY_NAME, name),
    ]),
  };
}

/** The family's number out of the answer. */
export function decodeFamily(payload: Uint8Array): Decoded<number> {
  const reader = genericReader(payload, CTRL_CMD_NEWFAMILY, 'family');
  if (!reader.ok) return reader;
  const id = reader.value.u16host(CTRL_ATTR_FAMILY_ID);
  if (id !== undefined) return reader.value.done(id);
  const malformed = reader.value.done(undefined);
  return malformed.ok ? refuse('family: it has no number') : malformed;
}
