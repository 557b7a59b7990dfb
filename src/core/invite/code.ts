/**
 * The code of an invitation: one word that holds all that a client needs to join. In base64url (RFC 4648,
 * section 5), without padding:
 *
 *     version (1), flags (1), expiry (4), port (2), server's public key (32), seed (16),
 *     for each family inside: client's address, server's address (4 or 16 each),
 *     length of the server's name or address (1), that, length of the tunnel's name (1), that,
 *     checksum of all before (4)
 *
 * Numbers are in network byte order, the expiry in unix seconds. From the seed come the invitation's key
 * and the secret that the peer signs along (see adapters/crypto.ts). The checksum finds slips of whoever
 * copies it; whether a code is genuine shows at the server.
 */
import {
  decodeInnerIpv4,
  decodeInnerIpv6,
  encodeIp,
  familyOf,
  ofFamily,
  type Family,
  type InnerIp,
} from '../addr.ts';
import { formatBase64, parseBase64 } from '../base64.ts';
import { concatBytes, encodeU16be, encodeU32be, encodeU8, getU16be, getU32be } from '../bytes.ts';
import { decodePublicKey, encodePublicKey, KEY_BYTES, type PublicKey } from '../public-key.ts';
import { port, seconds, type Port, type Seconds } from '../units.ts';

/** Bytes of the secret that a code holds. */
export const SEED_BYTES = 16;

export type Invitation = {
  /** Where the server is: an address or a name, as `fou-remote-ip` takes it. */
  readonly host: string;
  readonly port: Port;
  readonly serverKey: PublicKey;
  readonly seed: Uint8Array;
  /** Unix time. */
  readonly until: Seconds;
  /** Inside the tunnel, of the same families. */
  readonly clientIps: readonly InnerIp[];
  readonly serverIps: readonly InnerIp[];
  /** What the server calls its tunnel; a proposal for the client. */
  readonly tunnel: string;
  /** Whether services are exposed, which the client answers by the tunnel. */
  readonly exposed: boolean;
};

const VERSION = 1;
const FLAGS = { ipv4: 1, ipv6: 2, exposed: 4 } as const;
const CHECKSUM_BYTES = 4;
const FIXED = { flags: 1, until: 2, port: 6, key: 8, seed: 8 + KEY_BYTES } as const;
const FIXED_BYTES = FIXED.seed + SEED_BYTES;
/** Longer than any that is made: host and tunnel name have a byte for their length. */
const CODE_MAX = 1000;

/** Throws RangeError for what no code has room for. */
export function formatCode(invitation: Invitation): string {
  const { clientIps, serverIps, exposed, seed } = invitation;
  if (seed.length !== SEED_BYTES) throw new RangeError(`a seed of ${seed.length} bytes`);
  const families = clientIps.map(familyOf);
  const flags = families.reduce(
    (bits, family) => bits | FLAGS[family],
    exposed ? FLAGS.exposed : 0,
  );
  const body = concatBytes([
    encodeU8(VERSION),
    encodeU8(flags),
    encodeU32be(invitation.until),
    encodeU16be(invitation.port),
    encodePublicKey(invitation.serverKey),
    seed,
    ...families.flatMap((family) => [addressOf(clientIps, family), addressOf(serverIps, family)]),
    encodeText(invitation.host),
    encodeText(invitation.tunnel),
  ]);
  const code = formatBase64(concatBytes([body, checksum(body)]));
  return code.replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
}

export type CodeReading =
  | { readonly ok: true; readonly invitation: Invitation }
  | { readonly ok: false; readonly why: string };

/** What a code says; blanks and line ends that a terminal or a letter has put in do not count. */
export function parseCode(text: string): CodeReading {
  const word = text.replaceAll(/\s+/g, '');
  if (word === '') return wrong('there is none');
  if (!/^[\w-]+$/.test(word)) return wrong('it has characters that no code has');
  if (word.length > CODE_MAX) return wrong('it is longer than any code');
  const standard = word.replaceAll('-', '+').replaceAll('_', '/');
  const bytes = parseBase64(standard.padEnd(Math.ceil(standard.length / 4) * 4, '='));
  if (bytes === undefined) return wrong('a part of it is missing, or a character is another');
  const body = bytes.subarray(0, -CHECKSUM_BYTES);
  const sum = bytes.subarray(-CHECKSUM_BYTES);
  if (body.length < FIXED_BYTES || getU32be(sum, 0) !== getU32be(checksum(body), 0)) {
    return wrong('a part of it is missing, or a character is another');
  }
  if (body[0] !== VERSION)
    return wrong(`it is of version ${body[0]}: this ipipou knows ${VERSION}`);
  const invitation = decodeBody(body);
  return invitation ? { ok: true, invitation } : wrong('it does not hold what a code does');
}

function wrong(why: string): CodeReading {
  return { ok: false, why };
}

function decodeBody(body: Uint8Array): Invitation | undefined {
  const flags = body[FIXED.flags] ?? 0;
  const clientIps: InnerIp[] = [];
  const serverIps: InnerIp[] = [];
  let at = FIXED_BYTES;
  for (const [family, length, decode] of FAMILIES) {
    if ((flags & FLAGS[family]) === 0) continue;
    if (at + 2 * length > body.length) return undefined;
    clientIps.push(decode(body, at));
    serverIps.push(decode(body, at + length));
    at += 2 * length;
  }
  const host = decodeText(body, at);
  const tunnel = host && decodeText(body, host.end);
  const number = getU16be(body, FIXED.port);
  // A path in the place of a name would have whoever joins write a file there.
  const named = tunnel !== undefined && NAME.test(tunnel.text);
  const sound = named && tunnel.end === body.length && number > 0 && clientIps.length > 0;
  if (host === undefined || tunnel === undefined || !sound) return undefined;
  return {
    host: host.text,
    port: port(number),
    serverKey: decodePublicKey(body.subarray(FIXED.key, FIXED.key + KEY_BYTES)),
    seed: body.slice(FIXED.seed, FIXED.seed + SEED_BYTES),
    until: seconds(getU32be(body, FIXED.until)),
    clientIps,
    serverIps,
    tunnel: tunnel.text,
    exposed: (flags & FLAGS.exposed) !== 0,
  };
}

/** What a tunnel may be called in a code. */
const NAME = /^[A-Za-z0-9._-]+$/;

const FAMILIES = [
  ['ipv4', 4, decodeInnerIpv4],
  ['ipv6', 16, decodeInnerIpv6],
] as const;

function addressOf(addresses: readonly InnerIp[], family: Family): Uint8Array {
  const address = ofFamily(addresses, family);
  if (address === undefined) throw new RangeError(`no ${family} address of the other side`);
  return encodeIp(address);
}

function encodeText(text: string): Uint8Array {
  const bytes = new TextEncoder().encode(text);
  if (bytes.length === 0 || bytes.length > 255) throw new RangeError(`${text}: no text for a code`);
  return concatBytes([encodeU8(bytes.length), bytes]);
}

/** Words of names: what is no printable ASCII is no name. */
function decodeText(
  bytes: Uint8Array,
  at: number,
): { readonly text: string; readonly end: number } | undefined {
  const length = bytes[at] ?? 0;
  const end = at + 1 + length;
  if (length === 0 || end > bytes.length) return undefined;
  const text = new TextDecoder().decode(bytes.subarray(at + 1, end));
  return /^[!-~]+$/.test(text) ? { text, end } : undefined;
}

/** FNV-1a, 32 bits: any one byte that is another gives another. */
function checksum(bytes: Uint8Array): Uint8Array {
  let hash = 0x811c9dc5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
  return encodeU32be(hash >>> 0);
}
