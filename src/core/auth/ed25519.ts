/** The scheme of signed packets; their format is told at the head of v1.ts. */
import type { Proof } from '../config/tunnel-config.ts';
import { concatBytes } from '../bytes.ts';
import { PACKET_LENGTH } from '../handshake/layout.ts';
import { isInnerPacket } from '../wire/inner-packet.ts';
import type { Millis, Seconds } from '../units.ts';
import { constantTimeEqual, formatChecksum } from './bytes.ts';
import { encodePublicKey } from '../public-key.ts';
import { ACCEPTED, noticeOf, refused, type Refused, type Verdict } from './refusal.ts';
import { checkReplay, rememberPacket, type Replay } from './replay.ts';
import { findReversed } from './reversed.ts';
import type { AuthCrypto, Look, Occasion, ProvedReply, ProvedRequest, Scheme } from './scheme.ts';
import {
  addressingOf,
  answeredBy,
  AUTH_V1_LENGTHS,
  field,
  fitting,
  hintOf,
  hintOfKey,
  isFor,
  nameOfRequest,
  pathMtuOf,
  registeredBy,
  refusalIn,
} from './trailer.ts';
import {
  buildAuth,
  decodeAuth,
  fingerprint,
  packetSeconds,
  reversedReply,
  signedMessage,
  type AuthV1,
} from './v1.ts';

/** Those of session 1, and of session 2, which is spoken where both sides' keys are there. */
const BOTH_LENGTHS: readonly number[] = [
  ...new Set([...AUTH_V1_LENGTHS, ...Object.values(PACKET_LENGTH)]),
].toSorted((a, b) => a - b);

type Signed = Extract<Proof, { readonly kind: 'ed25519' }>;

export function ed25519Scheme(proof: Signed): Scheme {
  const { peerPublicKey } = proof;
  const peerKey = (): Uint8Array | undefined => peerPublicKey && encodePublicKey(peerPublicKey);
  return {
    authLengths: proof.privateSeed && peerPublicKey !== undefined ? BOTH_LENGTHS : AUTH_V1_LENGTHS,
    extensible: true,
    signedReplies: peerPublicKey !== undefined,
    build({ sign, publicKey, random }, time, { length, pathMtu, registers } = {}) {
      if (sign === undefined) return undefined;
      const names = publicKey ? [field.hint(publicKey()), field.to(peerKey())] : [];
      const report = pathMtu === undefined ? [] : [field.pathMtu(pathMtu)];
      const joining = registers === undefined ? [] : [field.register(registers)];
      const extensions = [...names, ...report, ...joining];
      return buildAuth(proof, time, { sign, random }, { length, extensions });
    },
    takeRequest: (replay, payload, occasion) => takeRequest(proof, replay, payload, occasion),
    takeReply: (replay, payload, open, occasion) =>
      peerPublicKey === undefined
        ? findReversed(replay, payload, open)
        : takeSignedReply(proof, replay, payload, open, occasion),
    hinted(payload) {
      const key = peerKey();
      const hint = key && hintOf(payload);
      return hint !== undefined && constantTimeEqual(hint, hintOfKey(key ?? hint));
    },
    mark: () =>
      `ed25519-${formatChecksum(concatBytes([peerKey() ?? new Uint8Array(), proof.secret]))}`,
  };
}

function takeRequest(
  proof: Signed,
  replay: Replay | undefined,
  payload: Uint8Array,
  { crypto, now }: Occasion,
): Look<ProvedRequest> {
  const packet = decodePacket(payload);
  if ('reason' in packet) return packet;
  if (answeredBy(payload)) return refused('wrong-direction');
  const to = addressingOf(payload);
  const own = proof.privateSeed && crypto.publicKey?.();
  if (to?.key && own && !isFor(to.key, own)) return refused('bound-elsewhere');
  const timely = checkTime(proof, replay, packet, now);
  if (!timely.ok) {
    if (to?.heedsRefusals !== true || own === undefined || !noticeOf(timely)) return timely;
    return {
      ...timely,
      tell(time, notice) {
        if (!verified(proof, packet, crypto).ok) return undefined;
        return answer(proof, crypto, payload, time, [field.refused(notice)]);
      },
    };
  }
  return {
    ok: true,
    prove() {
      const verdict = verified(proof, packet, crypto);
      if (!verdict.ok) return verdict;
      return {
        ok: true,
        replay: rememberPacket(replay, packet.time, fingerprint(packet), packetSeconds(now)),
        pathMtu: pathMtuOf(payload),
        registers: registeredBy(payload),
        reply: (time) =>
          answer(proof, crypto, payload, time, own ? [field.hint(own)] : []) ??
          reversedReply(payload),
      };
    },
  };
}

/** A signed reply with what of these fields fits; undefined where this side signs none. */
function answer(
  proof: Signed,
  { sign, random }: AuthCrypto,
  request: Uint8Array,
  time: Seconds,
  fields: Parameters<typeof fitting>[1],
): Uint8Array | undefined {
  if (!sign || !proof.privateSeed || proof.peerPublicKey === undefined) return undefined;
  const { length } = request;
  const extensions = fitting(length, [field.answers(request), ...fields]);
  return buildAuth(proof, time, { sign, random }, { length, extensions });
}

/**
 * A reply that answers a request of ours is as fresh as that, whatever the clocks say, and uses it up.
 * One that does not say is judged by its time and remembered.
 */
function takeSignedReply(
  proof: Signed,
  replay: Replay | undefined,
  payload: Uint8Array,
  open: readonly Uint8Array[],
  { crypto, now }: Occasion,
): Look<ProvedReply> {
  const packet = decodePacket(payload);
  if ('reason' in packet) return packet;
  if (addressingOf(payload)) return refused('wrong-direction');
  const request = answeredBy(payload);
  const place =
    request && open.findIndex((sent) => constantTimeEqual(nameOfRequest(sent), request));
  if (place === -1) return refused('unsolicited');
  const bound = place !== undefined;
  const timely = bound ? ACCEPTED : checkTime(proof, replay, packet, now);
  if (!timely.ok) return timely;
  return {
    ok: true,
    prove() {
      const verdict = verified(proof, packet, crypto);
      if (!verdict.ok) return verdict;
      return {
        ok: true,
        replay: bound
          ? replay
          : rememberPacket(replay, packet.time, fingerprint(packet), packetSeconds(now)),
        answers: place,
        notice: bound ? refusalIn(payload) : undefined,
      };
    },
  };
}

function decodePacket(payload: Uint8Array): AuthV1 | Refused {
  if (isInnerPacket(payload)) return refused('not-authentication');
  return decodeAuth(payload) ?? refused('length');
}

function checkTime(
  { maxTimeDiscrepancy }: Signed,
  replay: Replay | undefined,
  packet: AuthV1,
  now: Millis,
): Verdict {
  const difference = packet.time - packetSeconds(now);
  if (maxTimeDiscrepancy > 0 && Math.abs(difference) > maxTimeDiscrepancy) {
    return { ok: false, reason: 'clock', difference };
  }
  return checkReplay(replay, packet.time, fingerprint(packet));
}

function verified(proof: Signed, packet: AuthV1, { verify }: AuthCrypto): Verdict {
  if (verify === undefined) return refused('unverifiable');
  const authentic = verify(signedMessage(packet.signed, proof.secret), packet.signature);
  return authentic ? ACCEPTED : refused('signature');
}
