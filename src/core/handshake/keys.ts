/** The keys of session 2, all out of two: a side's own X25519 pair, and the secret that both share. */
import { SIPHASH_KEY_BYTES } from '../siphash.ts';
import type { DhPair, NoiseCrypto } from '../noise/types.ts';
import { TAG_KEY_LENGTH } from '../tag/types.ts';

export const PROLOGUE = 'ipipou 2';

const NOTHING = new Uint8Array();
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

/** What a server needs for anybody's packets. */
export type ServerKeys = {
  readonly own: DhPair;
  readonly mac1: Uint8Array;
  /** Of its COOKIEs, 32 bytes: what hides, and what seals. */
  readonly cookie: Uint8Array;
  /** Of its RESETs: a server that has lost all but its key has it. */
  readonly reset: Uint8Array;
};

/** What is needed to tell INITs that are meant for this server, and to answer them by COOKIEs. */
export type InitKeys = Pick<ServerKeys, 'mac1' | 'cookie'> & {
  /** Of the cookies themselves, 16 bytes: known to nobody else, and good for one run. */
  readonly secret: Uint8Array;
};

/** What a client needs for one server's. */
export type ClientKeys = {
  readonly own: DhPair;
  /** X25519. */
  readonly server: Uint8Array;
  readonly psk: Uint8Array;
  readonly mac1: Uint8Array;
  readonly cookie: Uint8Array;
};

export function serverKeysOf(crypto: NoiseCrypto, own: DhPair): ServerKeys {
  return {
    own,
    ...publicKeysOf(crypto, own.publicKey),
    reset: crypto.hkdf(own.secret, NOTHING, utf8('ipipou2 reset'), SIPHASH_KEY_BYTES),
  };
}

/** `server`: its X25519 public key. undefined where that has a low order. */
export function clientKeysOf(
  crypto: NoiseCrypto,
  own: DhPair,
  server: Uint8Array,
  secret: Uint8Array,
): ClientKeys | undefined {
  if (!crypto.dh(own.secret, server)) return undefined;
  return { own, server, psk: pskOf(crypto, secret), ...publicKeysOf(crypto, server) };
}

/** The pre-shared key of a secret as configs have it (`auth-secret`; may be empty). */
export function pskOf(crypto: NoiseCrypto, secret: Uint8Array): Uint8Array {
  return crypto.sha256(utf8('ipipou v2 psk'), secret);
}

/** Of what proves only that somebody knows the server's public key. */
function publicKeysOf(crypto: NoiseCrypto, server: Uint8Array) {
  return {
    mac1: macKeyOf(crypto, 'ipipou2 mac1', server),
    cookie: crypto.sha256(utf8('ipipou2 cookie'), server),
  };
}

/** Of a RESPONSE's mac: whoever read or wrote the INIT knows it. */
export function responseKeyOf(crypto: NoiseCrypto, chainingKey: Uint8Array): Uint8Array {
  return macKeyOf(crypto, 'ipipou2 response', chainingKey);
}

/** Of tags, by who sends; `chainingKey`: that of the end of the handshake. */
export function tagKeysOf(
  crypto: NoiseCrypto,
  { chainingKey }: { readonly chainingKey: Uint8Array },
): { readonly client: Uint8Array; readonly server: Uint8Array } {
  const keyOf = (side: 'client' | 'server'): Uint8Array =>
    crypto.hkdf(chainingKey, NOTHING, utf8(`ipipou2 tag ${side}`), TAG_KEY_LENGTH);
  return { client: keyOf('client'), server: keyOf('server') };
}

function macKeyOf(crypto: NoiseCrypto, label: string, key: Uint8Array): Uint8Array {
  return crypto.sha256(utf8(label), key).slice(0, SIPHASH_KEY_BYTES);
}
