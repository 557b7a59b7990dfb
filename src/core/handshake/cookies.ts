/**
 * Cookies: a busy server answers an INIT by a COOKIE, and remembers nothing. Whoever gets it, because he is where he
 * says he is, makes mac2 with it. A cookie is SipHash-2-4-128 over the source, under a secret of COOKIE_LIFE; the
 * secret before it counts, too. It is sealed for the INIT that it answers: under SHA-256(label, the server's public
 * key, nonce), with the COOKIE's first 8 bytes and that INIT's mac1 as associated data.
 */
import type { Endpoint } from '../addr.ts';
import { concatBytes } from '../bytes.ts';
import type { NoiseCrypto } from '../noise/types.ts';
import { sipHash128, SIPHASH_KEY_BYTES } from '../siphash.ts';
import { millis, type Millis } from '../units.ts';
import { encodeEndpoint } from './fields.ts';
import { hasMac2With, mac1Of, type PendingInit } from './init.ts';
import type { ClientKeys, ServerKeys } from './keys.ts';
import { beginPacket, indexOf, packetKind } from './layout.ts';
import { refusedFor, type Heard } from './refusal.ts';

/** How long a client may use a cookie, and a server makes new ones of one secret. */
export const COOKIE_LIFE = millis(120_000);

const NONCE_AT = 8;
const SEALED_AT = 24;

export type CookieSecrets = {
  readonly current: Uint8Array;
  readonly previous: Uint8Array | undefined;
  /** When `current` was made; monotonic. */
  readonly since: Millis;
};

/** The secrets as they are now: new ones where there are none, the same ones where they are young enough. */
export function cookieSecretsAt(
  crypto: Pick<NoiseCrypto, 'random'>,
  secrets: CookieSecrets | undefined,
  now: Millis,
): CookieSecrets {
  const age = secrets ? now - secrets.since : 2 * COOKIE_LIFE;
  if (secrets && age < COOKIE_LIFE) return secrets;
  const previous = age < 2 * COOKIE_LIFE ? secrets?.current : undefined;
  return { current: crypto.random(SIPHASH_KEY_BYTES), previous, since: now };
}

/** Whether an INIT has a mac2 of a cookie that its source was told. */
export function hasMac2(secrets: CookieSecrets, source: Endpoint, init: Uint8Array): boolean {
  const { current, previous } = secrets;
  if (hasMac2With(cookieOf(current, source), init)) return true;
  return previous !== undefined && hasMac2With(cookieOf(previous, source), init);
}

/** The COOKIE that answers an INIT from `source`; undefined for what is no INIT. */
export function createCookie(
  crypto: NoiseCrypto,
  keys: Pick<ServerKeys, 'cookie'>,
  secrets: CookieSecrets,
  source: Endpoint,
  init: Uint8Array,
): Uint8Array | undefined {
  const index = packetKind(init) === 'init' ? indexOf(init) : undefined;
  if (index === undefined) return undefined;
  const packet = beginPacket('cookie', index);
  const nonce = crypto.random(SEALED_AT - NONCE_AT);
  packet.set(nonce, NONCE_AT);
  const associated = associatedOf(packet, mac1Of(init));
  const key = crypto.sha256(keys.cookie, nonce);
  packet.set(crypto.seal(key, 0, associated, cookieOf(secrets.current, source)), SEALED_AT);
  return packet;
}

/** The cookie for the next INIT, within COOKIE_LIFE. */
export function readCookie(
  crypto: NoiseCrypto,
  keys: Pick<ClientKeys, 'cookie'>,
  pending: Pick<PendingInit, 'index' | 'mac1'>,
  packet: Uint8Array,
): Heard<Uint8Array> {
  if (packetKind(packet) !== 'cookie') return refusedFor('length');
  if (indexOf(packet) !== pending.index) return refusedFor('index');
  const key = crypto.sha256(keys.cookie, packet.subarray(NONCE_AT, SEALED_AT));
  const associated = associatedOf(packet, pending.mac1);
  const cookie = crypto.open(key, 0, associated, packet.subarray(SEALED_AT));
  return cookie ? { ok: true, value: cookie } : refusedFor('undecipherable');
}

function cookieOf(secret: Uint8Array, source: Endpoint): Uint8Array {
  return sipHash128(secret, encodeEndpoint(source));
}

function associatedOf(packet: Uint8Array, mac1: Uint8Array): Uint8Array {
  return concatBytes([packet.subarray(0, NONCE_AT), mac1]);
}
