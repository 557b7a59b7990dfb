/**
 * Whose a first message of session 2 (INIT) is. Its cheap tests come before the dear ones, and before those who sends
 * it is charged for them: what comes from a peer's own path has the peers' budget, all else that of its source and of
 * strangers. While that is spent, or the peer's own, a server answers by COOKIEs, which cost it little; whoever comes
 * back with one is where he says he is, and has a budget that nobody can use up from elsewhere.
 */
import { endpointKey, type OuterIp, type Path } from '../addr.ts';
import { refused, type Refused } from '../auth/refusal.ts';
import { edwardsYOf } from '../curve25519.ts';
import { createCookie, hasMac2 } from '../handshake/cookies.ts';
import { hasMac1, mac1Of, readInitStatic, type Introduction } from '../handshake/init.ts';
import type { Millis } from '../units.ts';
import type { Gate } from './gate.ts';
import { refusedBy } from './secure/agreed.ts';
import type { SecureCrypto } from './secure/crypto.ts';
import { COPIES } from './secure/limits.ts';

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
  /** `answer`: to who sent it. `why`: undefined of a copy of one that was looked at, where it may be the client's own. */
  | {
      readonly ok: false;
      readonly why: Refused | undefined;
      readonly answer: Uint8Array | undefined;
    };

/**
 * First messages that were looked at, and are not again by the same way. A client sends COPIES of the same one, which
 * a busy machine reads all at once; what comes more often is replayed.
 */
const RECENT_MAX = 1024;

export class Introductions {
  readonly #secret: Uint8Array;
  /** With how many copies have come. */
  readonly #recent = new Map<string, number>();

  /** `secret`: of the cookies, 16 bytes that nobody else knows. */
  constructor(secret: Uint8Array) {
    this.#secret = secret;
  }

  /** `own`: this side's keys, those of any peer; `admitted`: it comes on a peer's own path. */
  read(
    own: Iterable<SecureCrypto>,
    { path, payload, admitted }: { path: Path; payload: Uint8Array; admitted: boolean },
    gate: Gate,
    now: Millis,
  ): Introduced {
    const crypto = find(own, (each) => hasMac1(each.serverKeys(), payload));
    if (crypto === undefined) return no(refused('mac1'));
    const vouched = hasMac2({ secret: this.#secret, now }, path.remote, payload);
    const name = nameOf(path, payload, vouched);
    const copies = this.#recent.get(name);
    if (copies !== undefined) {
      this.#recent.set(name, copies + 1);
      return no(copies < COPIES ? undefined : refused('replayed'));
    }
    const paid = charge(path.remote.ip, { vouched, admitted }, gate, now);
    if (!paid) {
      return no(refused('rate-limited'), this.cookie(crypto, { path, payload }, gate, now));
    }
    this.#note(name);
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
    const maker = { secret: this.#secret, now };
    return createCookie(noise, serverKeys(), maker, path.remote, payload);
  }

  #note(name: string): void {
    this.#recent.set(name, 0);
    const oldest = this.#recent.keys().next();
    if (this.#recent.size > RECENT_MAX && oldest.done !== true) this.#recent.delete(oldest.value);
  }
}

/** `vouched`: it has a right mac2; one that somebody has sent ahead without it, or with another, is not the same. */
function nameOf({ local, remote }: Path, init: Uint8Array, vouched: boolean): string {
  const mac1 = String.fromCharCode(...mac1Of(init));
  return `${mac1}${endpointKey(local)} ${endpointKey(remote)}${vouched ? ' vouched' : ''}`;
}

function charge(
  source: OuterIp,
  { vouched, admitted }: { readonly vouched: boolean; readonly admitted: boolean },
  gate: Gate,
  now: Millis,
): 'cookied' | 'plain' | undefined {
  if (vouched && gate.cookied(source, now)) return 'cookied';
  return (admitted ? gate.own(now) : gate.stranger(source, now)) ? 'plain' : undefined;
}

function no(why: Refused | undefined, answer?: Uint8Array): Introduced {
  return { ok: false, why, answer };
}

function find<T>(all: Iterable<T>, test: (each: T) => boolean): T | undefined {
  for (const each of all) if (test(each)) return each;
  return undefined;
}
