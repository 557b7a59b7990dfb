/**
 * Whose a first message of session 2 (INIT) is. Its cheap tests come before the dear ones, and before those who sends
 * it is charged for them: what comes from a peer's own path has the peers' budget, all else that of its source and of
 * strangers. While that is spent, or the peer's own, a server answers by COOKIEs, which cost it little; whoever comes
 * back with one is where he says he is, and has a budget that nobody can use up from elsewhere.
 */
import type { Path } from '../addr.ts';
import { refused, type Refused } from '../auth/refusal.ts';
import { edwardsYOf } from '../curve25519.ts';
import {
  cookieSecretsAt,
  createCookie,
  hasMac2,
  type CookieSecrets,
} from '../handshake/cookies.ts';
import { hasMac1, readInitStatic, type Introduction } from '../handshake/init.ts';
import type { Millis } from '../units.ts';
import type { Gate } from './gate.ts';
import { refusedBy } from './secure/agreed.ts';
import type { SecureCrypto } from './secure/crypto.ts';

export type Introduced =
  | {
      readonly ok: true;
      readonly introduction: Introduction;
      /** The client's ed25519 key, but for its highest bit; undefined: it has none. */
      readonly edwards: Uint8Array | undefined;
      /** It has a cookie: its sender is where he says he is. */
      readonly cookied: boolean;
      /** This side's keys, to which it was made. */
      readonly own: SecureCrypto;
    }
  /** `answer`: to who sent it. */
  | { readonly ok: false; readonly why: Refused; readonly answer: Uint8Array | undefined };

export class Introductions {
  #secrets: CookieSecrets | undefined;

  /** `own`: this side's keys, those of any peer; `admitted`: it comes on a peer's own path. */
  read(
    own: Iterable<SecureCrypto>,
    { path, payload, admitted }: { path: Path; payload: Uint8Array; admitted: boolean },
    gate: Gate,
    now: Millis,
  ): Introduced {
    const crypto = find(own, (each) => hasMac1(each.serverKeys(), payload));
    if (crypto === undefined) return no(refused('mac1'));
    const paid = this.#charge(crypto, { path, payload, admitted }, gate, now);
    if (!paid) {
      return no(refused('rate-limited'), this.cookie(crypto, { path, payload }, gate, now));
    }
    const read = readInitStatic(crypto.noise, crypto.serverKeys(), payload);
    if (!read.ok) return no(refusedBy(read.reason));
    const edwards = edwardsYOf(read.value.client);
    return {
      ok: true,
      introduction: read.value,
      edwards,
      cookied: paid === 'cookied',
      own: crypto,
    };
  }

  /** The COOKIE that answers an INIT; undefined while too many are made. */
  cookie(
    { noise, serverKeys }: SecureCrypto,
    { path, payload }: { path: Path; payload: Uint8Array },
    gate: Gate,
    now: Millis,
  ): Uint8Array | undefined {
    if (!gate.cookie(now)) return undefined;
    this.#secrets = cookieSecretsAt(noise, this.#secrets, now);
    return createCookie(noise, serverKeys(), this.#secrets, path.remote, payload);
  }

  #charge(
    { noise }: SecureCrypto,
    { path, payload, admitted }: { path: Path; payload: Uint8Array; admitted: boolean },
    gate: Gate,
    now: Millis,
  ): 'cookied' | 'plain' | undefined {
    const { remote } = path;
    this.#secrets = cookieSecretsAt(noise, this.#secrets, now);
    if (hasMac2(this.#secrets, remote, payload) && gate.cookied(remote.ip, now)) return 'cookied';
    return (admitted ? gate.own(now) : gate.stranger(remote.ip, now)) ? 'plain' : undefined;
  }
}

function no(why: Refused, answer?: Uint8Array): Introduced {
  return { ok: false, why, answer };
}

function find<T>(all: Iterable<T>, test: (each: T) => boolean): T | undefined {
  for (const each of all) if (test(each)) return each;
  return undefined;
}
