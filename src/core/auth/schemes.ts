/** The kinds of proof, each as a scheme (scheme.ts). */
import type { Proof } from '../config/tunnel-config.ts';
import { isInnerPacket } from '../wire/inner-packet.ts';
import { constantTimeEqual, formatChecksum } from './bytes.ts';
import { ed25519Scheme } from './ed25519.ts';
import type { PublicKey } from '../public-key.ts';
import { ACCEPTED, refused, type Verdict } from './refusal.ts';
import { findReversed } from './reversed.ts';
import type { Look, ProvedRequest, Scheme } from './scheme.ts';
import type { Replay } from './replay.ts';
import { reversedReply } from './v1.ts';

export type { Scheme } from './scheme.ts';
export { packetSeconds } from './v1.ts';

/** What requests are all the same and nothing is signed: replies are reversed requests. */
function unsigned(
  request: Uint8Array,
  prove: (payload: Uint8Array) => Verdict,
): Omit<Scheme, 'mark'> {
  return {
    authLengths: [request.length],
    extensible: false,
    signedReplies: false,
    build: () => request,
    takeRequest: (replay, payload) => takeUnsigned(replay, payload, request.length, prove),
    takeReply: findReversed,
    hinted: () => false,
  };
}

function takeUnsigned(
  replay: Replay | undefined,
  payload: Uint8Array,
  length: number,
  prove: (payload: Uint8Array) => Verdict,
): Look<ProvedRequest> {
  if (isInnerPacket(payload)) return refused('not-authentication');
  if (payload.length !== length) return refused('length');
  return {
    ok: true,
    prove() {
      const verdict = prove(payload);
      if (!verdict.ok) return verdict;
      return { ok: true, replay, pathMtu: undefined, reply: () => reversedReply(payload) };
    },
  };
}

/** The scheme of a configured proof. */
export function schemeOf(proof: Proof): Scheme {
  if (proof.kind === 'ed25519') return ed25519Scheme(proof);
  if (proof.kind === 'none') {
    return { ...unsigned(new Uint8Array(), () => ACCEPTED), mark: () => 'none' };
  }
  const { token } = proof;
  const prove = (payload: Uint8Array): Verdict =>
    constantTimeEqual(payload, token) ? ACCEPTED : refused('token');
  return { ...unsigned(token, prove), mark: () => `token-${formatChecksum(token)}` };
}

/**
 * Whose packets a replay memory is about: the signer's key, whatever peer has it on whatever device, so
 * that no packet is new again where a peer is renamed, moved or given another secret. Undefined where
 * nothing of the kind is remembered.
 */
export function replayKey(proof: Proof): PublicKey | undefined {
  return proof.kind === 'ed25519' ? proof.peerPublicKey : undefined;
}

/** UDP payload lengths that can be authentication packets under any of some proofs; what a plane is told. */
export function authLengths(proofs: Iterable<Proof>): readonly number[] {
  const lengths = new Set<number>();
  for (const proof of proofs) for (const length of schemeOf(proof).authLengths) lengths.add(length);
  return [...lengths].toSorted((a, b) => a - b);
}
