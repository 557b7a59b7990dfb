/** Asks a server by first messages of session 2 whether it knows a key: it answers nobody else's. */
import { readCookie } from '../handshake/cookies.ts';
import { createInit, type PendingInit } from '../handshake/init.ts';
import { readResponse } from '../handshake/response.ts';
import { seconds, type Millis } from '../units.ts';
import { IndexBook } from './index-book.ts';
import type { SecureCrypto } from './secure/crypto.ts';
import { VERSION_LOWEST } from './secure/limits.ts';

/** Messages that an answer may still come to. */
const OPEN_MAX = 16;

export class FirstMessages {
  readonly #crypto: SecureCrypto;
  readonly #indexes = new IndexBook<never>();
  readonly #open: PendingInit[] = [];
  #cookie: Uint8Array | undefined;
  #counter = 0;

  constructor(crypto: SecureCrypto) {
    this.#crypto = crypto;
  }

  /** undefined where the server's key is no good. */
  next(unix: Millis): Uint8Array | undefined {
    const { noise, clientKeys } = this.#crypto;
    const keys = clientKeys();
    if (keys === undefined) return undefined;
    this.#counter = Math.max(unix, this.#counter + 1);
    const payload = {
      counter: BigInt(this.#counter),
      capabilities: 0,
      integrity: 'none',
      lowestVersion: VERSION_LOWEST.auto,
      mtu: 0,
      source: undefined,
      epoch: 0,
      destination: undefined,
      keepalive: seconds(0),
    } as const;
    const index = this.#indexes.draw(noise.random);
    const { packet, pending } = createInit(noise, keys, { index, payload }, this.#cookie);
    this.#open.push(pending);
    if (this.#open.length > OPEN_MAX) this.#open.shift();
    return packet;
  }

  /** Whether a packet is the server's answer, which proves that it knows the key. */
  take(payload: Uint8Array): boolean {
    const { noise, clientKeys } = this.#crypto;
    const keys = clientKeys();
    for (const pending of this.#open) {
      if (readResponse(noise, pending, payload).ok) return true;
      const cookie = keys && readCookie(keys, pending, payload);
      if (cookie?.ok) this.#cookie = cookie.value;
    }
    return false;
  }
}
