/**
 * Cookies: a busy server answers an INIT by a COOKIE, and remembers nothing. Whoever gets it, because he is where he
 * says he is, makes mac2 with it. A cookie is SipHash-2-4-128, under a secret of the server's run, over the period of
 * COOKIE_LIFE and the source; that of the period before counts, too. It is hidden under a mac of the COOKIE's nonce and
 * mac1 of the INIT that it answers, and sealed by one over the whole COOKIE and that mac1. Nothing but SipHash is in it,
 * so that a program in the kernel makes one for little more than it takes to test the INIT (bpf/cookie.h).
 */
import type { Endpoint } from '../addr.ts';
import { constantTimeEqual } from '../auth/bytes.ts';
import { setU32le } from '../bytes.ts';
import type { NoiseCrypto } from '../noise/types.ts';
import { sipHash128, SIPHASH_KEY_BYTES } from '../siphash.ts';
import { millis, type Millis } from '../units.ts';
import { encodeEndpoint } from './fields.ts';
import { bearsMac2, hasMac2With, mac1Of, type PendingInit } from './init.ts';
import type { ClientKeys, InitKeys, ServerKeys } from './keys.ts';
import { beginPacket, indexOf, packetKind } from './layout.ts';
import { refusedFor, type Heard } from './refusal.ts';

/** How long a client may use a cookie, and a server gives a source the same. */
export const COOKIE_LIFE = millis(120_000);

const NONCE_AT = 8;
const HIDDEN_AT = 24;
const MAC_AT = 40;
/** The number of a period, as it is hashed. */
const PERIOD_BYTES = 8;

/** What makes cookies: a secret, and the time by a clock that does not stop while the secret lasts. */
export type CookieMaker = { readonly secret: InitKeys['secret']; readonly now: Millis };

/** Where an INIT came from; as an end of 18 bytes, where those are at hand. */
export type CookieSource = Endpoint | Uint8Array;

/** Whether an INIT has a mac2 of a cookie that its source was told. */
export function hasMac2(
  { secret, now }: CookieMaker,
  source: CookieSource,
  init: Uint8Array,
): boolean {
  if (!bearsMac2(init)) return false;
  const period = periodAt(now);
  const end = endOf(source);
  return (
    hasMac2With(cookieOf(secret, end, period), init) ||
    hasMac2With(cookieOf(secret, end, period - 1), init)
  );
}

/** The COOKIE that answers an INIT from `source`; undefined for what is no INIT. */
export function createCookie(
  crypto: Pick<NoiseCrypto, 'random'>,
  keys: Pick<ServerKeys, 'cookie'>,
  { secret, now }: CookieMaker,
  source: CookieSource,
  init: Uint8Array,
): Uint8Array | undefined {
  const index = packetKind(init) === 'init' ? indexOf(init) : undefined;
  if (index === undefined) return undefined;
  const packet = beginPacket('cookie', index);
  packet.set(crypto.random(HIDDEN_AT - NONCE_AT), NONCE_AT);
  const mac1 = mac1Of(init);
  const cookie = cookieOf(secret, endOf(source), periodAt(now));
  packet.set(hide(keys, packet, mac1, cookie), HIDDEN_AT);
  packet.set(macOf(keys, packet, mac1), MAC_AT);
  return packet;
}

/** The cookie for the next INIT, within COOKIE_LIFE. */
export function readCookie(
  keys: Pick<ClientKeys, 'cookie'>,
  pending: Pick<PendingInit, 'index' | 'mac1'>,
  packet: Uint8Array,
): Heard<Uint8Array> {
  if (packetKind(packet) !== 'cookie') return refusedFor('length');
  if (indexOf(packet) !== pending.index) return refusedFor('index');
  const { mac1 } = pending;
  if (!constantTimeEqual(macOf(keys, packet, mac1), packet.subarray(MAC_AT))) {
    return refusedFor('mac');
  }
  return { ok: true, value: hide(keys, packet, mac1, packet.subarray(HIDDEN_AT, MAC_AT)) };
}

/** `source`: an end as 18 bytes. */
export function cookieOf(secret: Uint8Array, source: Uint8Array, period: number): Uint8Array {
  const over = new Uint8Array(PERIOD_BYTES + source.length);
  setU32le(over, 0, period);
  over.set(source, PERIOD_BYTES);
  return sipHash128(secret, over);
}

function endOf(source: CookieSource): Uint8Array {
  return source instanceof Uint8Array ? source : encodeEndpoint(source);
}

export function periodAt(now: Millis): number {
  return Math.floor(now / COOKIE_LIFE);
}

/** Hides a cookie, or finds what is hidden. */
function hide(
  { cookie: key }: Pick<ServerKeys, 'cookie'>,
  packet: Uint8Array,
  mac1: Uint8Array,
  cookie: Uint8Array,
): Uint8Array {
  const over = both(packet.subarray(NONCE_AT, HIDDEN_AT), mac1);
  const hidden = sipHash128(key.subarray(0, SIPHASH_KEY_BYTES), over);
  for (let index = 0; index < hidden.length; index += 1) {
    hidden[index] = (hidden[index] ?? 0) ^ (cookie[index] ?? 0);
  }
  return hidden;
}

function macOf(
  { cookie: key }: Pick<ServerKeys, 'cookie'>,
  packet: Uint8Array,
  mac1: Uint8Array,
): Uint8Array {
  const over = both(packet.subarray(0, MAC_AT), mac1);
  return sipHash128(key.subarray(SIPHASH_KEY_BYTES, 2 * SIPHASH_KEY_BYTES), over);
}

/** One behind the other. A flood is answered by these, so they are as cheap as may be. */
function both(first: Uint8Array, second: Uint8Array): Uint8Array {
  const all = new Uint8Array(first.length + second.length);
  all.set(first);
  all.set(second, first.length);
  return all;
}
