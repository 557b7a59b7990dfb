import type { ConfigProblem } from '../errors.ts';
import { OWN_KEYS_MAX } from './limits.ts';
import type { PeerView } from './peer-view.ts';
import { problemAt } from './setting.ts';
import type { PeerConfig } from './tunnel-config.ts';

/**
 * A server's private keys under which session 2 may be spoken. Of a first message only a test with each tells whom it is
 * meant for, so there are few.
 */
export class OwnKeys {
  readonly #keys = new Set<string>();
  /** Most peers inherit the same. */
  #last: Uint8Array | undefined;

  /** Takes a peer's; whether there are not too many now. */
  add({ proof, auth }: PeerConfig): boolean {
    if (proof.kind !== 'ed25519' || !proof.privateSeed || !proof.peerPublicKey) return true;
    const seed = proof.privateSeed;
    if (auth.session === 'v1' || seed === this.#last) return true;
    const key = String.fromCharCode(...seed);
    if (this.#keys.size >= OWN_KEYS_MAX && !this.#keys.has(key)) return false;
    this.#keys.add(key);
    this.#last = seed;
    return true;
  }
}

/** The problem of a peer whose key is one too many. */
export function tooManyKeys({ origins, place }: PeerView): ConfigProblem {
  const origin = origins.get('privateSeed');
  const expected =
    `a key that another peer has: a server has ${OWN_KEYS_MAX} of its own at most for session 2; ` +
    'or `session v1` for this peer';
  return origin
    ? problemAt(origin, expected)
    : { ...place, key: 'auth-key-b64', value: undefined, expected };
}
