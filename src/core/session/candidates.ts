/**
 * Whose packet of session 1 is this? What it tells about its sender (directory.ts) is looked at in order of what
 * a test of it costs; before one that costs much it is charged to the strangers' budget.
 */
import type { Path } from '../addr.ts';
import { refused, type Refusal, type Refused } from '../auth/refusal.ts';
import { schemeOf } from '../auth/schemes.ts';
import { hintOf } from '../auth/trailer.ts';
import { AUTH_V1_LENGTH } from '../auth/v1.ts';
import type { Proof } from '../config/tunnel-config.ts';
import type { Instant } from '../units.ts';
import { isInnerPacket } from '../wire/inner-packet.ts';
import type { Directory, Entry } from './directory.ts';
import type { Gate } from './gate.ts';
import { HINTLESS_TRIALS } from './limits.ts';
import type { SessionConfig, SessionCrypto } from './types.ts';

/**
 * `tentative`: another may be asked after this one. `charged`: the test is paid for. A refusal says why a packet is
 * nobody's; `allowed` is how far its clock might have been off, milliseconds.
 */
export type Candidate<E> =
  | { readonly entry: E; readonly tentative: boolean; readonly charged: boolean }
  | { readonly refusal: Refused; readonly allowed: number };

export class Candidates<E extends Entry> {
  readonly #role: SessionConfig['role'];
  readonly #directory: Directory<E>;
  readonly #gate: Gate;
  readonly #crypto: (proof: Proof) => SessionCrypto;

  constructor(
    role: SessionConfig['role'],
    directory: Directory<E>,
    gate: Gate,
    crypto: (proof: Proof) => SessionCrypto,
  ) {
    this.#role = role;
    this.#directory = directory;
    this.#gate = gate;
    this.#crypto = crypto;
  }

  /** Whose packet this may be, the likeliest first; refusals on the way say why it is nobody's. */
  *of(path: Path, payload: Uint8Array, now: Instant): Generator<Candidate<E>> {
    const here = this.#directory.at(path);
    if (this.#role === 'client') yield* this.#servers(here, payload);
    else if (payload.length === 0 || isInnerPacket(payload)) {
      const entry =
        here ?? (payload.length === 0 ? this.#directory.byEndpoint(path.remote) : undefined);
      if (entry) yield certain(entry);
      else yield nobody(payload.length === 0 ? 'length' : 'not-authentication');
    } else {
      if (this.#directory.hasTokenOf(payload.length))
        yield* this.#byToken(here, path, payload, now);
      else if (payload.length < AUTH_V1_LENGTH) yield nobody('length');
      if (payload.length >= AUTH_V1_LENGTH) yield* this.#byKey(here, path, payload, now);
    }
  }

  *#servers(here: E | undefined, payload: Uint8Array): Generator<Candidate<E>> {
    const hint = hintOf(payload);
    const entry = here ?? (hint && this.#directory.byHint(hint)[0]);
    if (entry) yield certain(entry);
    else yield nobody('wrong-source');
  }

  /** Finding a token's owner is the test of the token, so it is charged before. */
  *#byToken(
    here: E | undefined,
    path: Path,
    payload: Uint8Array,
    now: Instant,
  ): Generator<Candidate<E>> {
    if (here?.peer.proof.kind === 'token') {
      yield { entry: here, tentative: true, charged: false };
    }
    if (!this.#gate.stranger(path.remote.ip, now.monotonic)) {
      yield nobody('rate-limited');
      return;
    }
    for (const entry of this.#directory.byToken(payload)) {
      if (entry !== here) yield { entry, tentative: true, charged: true };
    }
    yield nobody('token');
  }

  *#byKey(
    here: E | undefined,
    path: Path,
    payload: Uint8Array,
    now: Instant,
  ): Generator<Candidate<E>> {
    const hint = hintOf(payload);
    if (hint) {
      const found = this.#directory.byHint(hint);
      const first = here && found.includes(here) ? [here] : [];
      const all = [...first, ...found.filter((entry) => entry !== here)];
      for (const [index, entry] of all.entries()) {
        yield { entry, tentative: index < all.length - 1, charged: false };
      }
      return;
    }
    if (here?.peer.proof.kind === 'ed25519') {
      const others = this.#directory.hintless - (here.place >= 0 ? 1 : 0);
      yield { entry: here, tentative: others > 0, charged: false };
    }
    yield* this.#byTrial(here, path, payload, now);
  }

  /** A signature is checked before the peer's session is asked: it may have to be read from a disk. */
  *#byTrial(
    here: E | undefined,
    path: Path,
    payload: Uint8Array,
    now: Instant,
  ): Generator<Candidate<E>> {
    for (const entry of this.#directory.candidates(path.remote.ip, HINTLESS_TRIALS)) {
      if (entry === here) continue;
      const { proof } = entry.peer;
      const scheme = schemeOf(proof);
      const crypto = this.#crypto(proof);
      const look = scheme.takeRequest(undefined, payload, { crypto, now: now.unix });
      if (!look.ok) {
        const allowed = proof.kind === 'ed25519' ? proof.maxTimeDiscrepancy : 0;
        yield { refusal: look, allowed };
        continue;
      }
      if (!this.#gate.stranger(path.remote.ip, now.monotonic)) {
        yield nobody('rate-limited');
        return;
      }
      if (!look.prove().ok) continue;
      yield { entry, tentative: false, charged: true };
      return;
    }
  }
}

function certain<E>(entry: E): Candidate<E> {
  return { entry, tentative: false, charged: false };
}

function nobody(reason: Exclude<Refusal, 'clock' | 'stale'>): Candidate<never> {
  return { refusal: refused(reason), allowed: 0 };
}
