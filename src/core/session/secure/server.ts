/**
 * The server's half of session 2 (docs/PROTOCOL.md). An INIT moves nothing: it is answered, and who answers the
 * challenge in the RESPONSE, from where the INIT came, has the session. From then on CONTROL packets are what
 * requests and replies are in session 1: a PING is a request, its PONG the reply, and what is sent from another path
 * than the peer's is looked at by the rules of moves.ts.
 */
import { samePath, type Path } from '../../addr.ts';
import { constantTimeEqual } from '../../auth/bytes.ts';
import { refused } from '../../auth/refusal.ts';
import { FRESH_WINDOW } from '../../handshake/control-session.ts';
import { PACKET_LENGTH, packetKind, indexOf } from '../../handshake/layout.ts';
import type { ControlMessage } from '../../handshake/messages.ts';
import { decodeTagHeader } from '../../tag/layout.ts';
import type { Millis } from '../../units.ts';
import { accept, noteRequest } from '../server-welcome.ts';
import { hear, pointAgain, type ServerTurn } from '../server-remote.ts';
import { after, isDue, refuse, tell, type PacketEvent } from '../turn.ts';
import type { PlaneCounts } from '../types.ts';
import { keepNow, listen, messageOf, refusedBy, secureOf } from './agreed.ts';
import { attestCounts, hearStatement } from './attest.ts';
import type { SecureCrypto } from './crypto.ts';
import { FORMER_LIFE, STRAY_GAP, SUSPECT_LIFE } from './limits.ts';
import {
  answerMove,
  beginMove,
  CHALLENGE_AT,
  isAbout,
  isLaterEpoch,
  moveWakeAt,
  runMove,
  type Challenged,
  type MoveStep,
} from './moves.ts';
import { indexesOf, NO_OFFERS, type Agreed, type Offer, type ServerSecure } from './state.ts';
import { takeInit } from './server-init.ts';
import { change, observed, speak, tellObserved } from './server-says.ts';

/** Takes a packet that may be one of session 2; false where it is none. */
export function receiveSecure(turn: ServerTurn, event: PacketEvent): boolean {
  const { path, payload } = event;
  const secure = secureOf(turn);
  const kind = packetKind(payload);
  if (secure === undefined) return false;
  if (kind === undefined) return refusesForgotten(turn, path, payload);
  if (kind === 'init') takeInit(turn, event, secure);
  else if (kind === 'control') return takeControl(turn, event, secure);
  else refuse(turn, path, refused('wrong-direction'));
  return true;
}

/** Tagged data of this peer's under keys that the plane does not have (any more); whether it is that. */
function refusesForgotten(turn: ServerTurn, path: Path, payload: Uint8Array): boolean {
  const index = decodeTagHeader(payload)?.index;
  if (index === undefined || !indexesOf(turn.state.secure).includes(index)) return false;
  refuse(turn, path, refused('unknown-session'));
  return true;
}

/** False where the index is no session's: then it may be a packet of session 1, which may begin with anything. */
function takeControl(turn: ServerTurn, event: PacketEvent, secure: SecureCrypto): boolean {
  const { path, payload } = event;
  const index = indexOf(payload);
  const { current, former, offers } = turn.state.secure;
  const isFor = (agreed: Agreed | undefined): agreed is Agreed =>
    agreed?.control.receiveIndex === index;
  const offer = offers.find(({ agreed }) => isFor(agreed));
  const agreed = offer?.agreed ?? [current, former?.agreed].find(isFor);
  if (agreed === undefined) {
    if (payload.length !== PACKET_LENGTH.control) return false;
    refuse(turn, path, refused('unknown-session'));
    return true;
  }
  // What came from there first would not count again where it is from in truth.
  if (isSuspect(turn, path)) {
    refuse(turn, path, refused('wrong-source'));
    return true;
  }
  const heard = listen(secure.noise, agreed, payload);
  if (!heard.ok) {
    if (heard.reason === 'replayed') takeLate(turn, event, agreed, secure);
    refuse(turn, path, refusedBy(heard.reason));
    return true;
  }
  const { messages, newest } = heard.value;
  if (offer) return confirm(turn, event, { ...offer, agreed: heard.value.agreed }, messages);
  if (isFor(current)) {
    change(turn, { current: heard.value.agreed });
    if (newest) hearStatement(turn, messages);
  } else if (former) change(turn, { former: { ...former, agreed: heard.value.agreed } });
  const { remote } = turn.state;
  if (remote && samePath(remote.path, path)) takeHere(turn, event, messages);
  else takeElsewhere(turn, event, messages, newest);
  return true;
}

/** A relay was faster than the packet itself: it still shows that the peer is where it was. */
function takeLate(
  turn: ServerTurn,
  { path, payload }: PacketEvent,
  agreed: Agreed,
  { noise }: SecureCrypto,
): void {
  const { move } = turn.state.secure;
  if (!move?.from || !samePath(move.from.path, path)) return;
  const control = { ...agreed.control, window: FRESH_WINDOW };
  const heard = listen(noise, { ...agreed, control }, payload);
  const response = heard.ok && messageOf(heard.value.messages, 'path-response');
  if (response && constantTimeEqual(response.challenge, move.from.nonce)) {
    follow(turn, answerMove(move, path, response.challenge, turn.now.monotonic));
  }
}

/** A packet under keys that were offered: who sends it from there and answers the challenge has the session. */
function confirm(
  turn: ServerTurn,
  event: PacketEvent,
  offer: Offer,
  messages: readonly ControlMessage[],
): boolean {
  const { path, payload } = event;
  const answer = messageOf(messages, 'path-response');
  const answered = answer && constantTimeEqual(answer.challenge, offer.challenge);
  if (answered !== true || !samePath(offer.path, path)) {
    refuse(turn, path, refused('wrong-source'));
    return true;
  }
  const { current } = turn.state.secure;
  change(turn, {
    current: offer.agreed,
    former: current && { agreed: current, until: after(turn, FORMER_LIFE) },
    offers: NO_OFFERS,
    epoch: offer.epoch,
    move: undefined,
    suspect: undefined,
  });
  turn.state = { ...turn.state, secured: true };
  // Before the plane has its keys: a later run gives the plane those of what is kept.
  keepNow(turn);
  accept(turn, path, { rekeyed: true });
  tell(turn, { kind: 'agreed', remote: path.remote, integrity: offer.agreed.level });
  noteRequest(turn, payload.length, messageOf(messages, 'mtu')?.mtu);
  reply(turn, event, messages);
  hearStatement(turn, messages);
  return true;
}

/** A packet from the peer's own path. */
function takeHere(turn: ServerTurn, event: PacketEvent, messages: readonly ControlMessage[]): void {
  const { path, payload } = event;
  const { remote, secure } = turn.state;
  const move = messageOf(messages, 'move');
  if (move && isLaterEpoch(move.epoch, secure.epoch)) noteEpoch(turn, move.epoch);
  const response = messageOf(messages, 'path-response');
  if (response && secure.move) {
    follow(turn, answerMove(secure.move, path, response.challenge, turn.now.monotonic));
  }
  if (messageOf(messages, 'ping')) {
    accept(turn, path, { lazily: true });
    noteRequest(turn, payload.length, messageOf(messages, 'mtu')?.mtu);
    reply(turn, event, messages);
  } else if (remote) {
    hear(turn, turn.state.remote ?? remote);
  }
}

/** Kept at once: for a run that does not know it, this MOVE would be a new one whenever it is sent again. */
function noteEpoch(turn: ServerTurn, epoch: number): void {
  change(turn, { epoch });
  keepNow(turn);
}

/** A packet that the peer has made, from a path that is not its own: moves.ts has the rules. */
function takeElsewhere(
  turn: ServerTurn,
  { path }: PacketEvent,
  messages: readonly ControlMessage[],
  newest: boolean,
): void {
  const { remote, secure } = turn.state;
  const now = turn.now.monotonic;
  const response = messageOf(messages, 'path-response');
  if (response && secure.move) {
    return follow(turn, answerMove(secure.move, path, response.challenge, now));
  }
  // An older packet that comes late tells nothing of where the peer is.
  if (!newest || isAbout(secure.move, path)) return;
  const { random } = turn.crypto;
  const move = messageOf(messages, 'move');
  const meant =
    remote === undefined || (move !== undefined && isLaterEpoch(move.epoch, secure.epoch));
  if (move && meant) noteEpoch(turn, move.epoch);
  if (!meant && isSuspect(turn, path)) return;
  const from = remote?.path ?? path;
  follow(turn, beginMove({ from, to: path, meant, random }, now));
}

function isSuspect(turn: ServerTurn, path: Path): boolean {
  const { suspect } = turn.state.secure;
  return suspect !== undefined && !isDue(turn, suspect.until) && samePath(suspect.path, path);
}

/** The plane has taken a packet of the peer's, tagged, from another path. */
export function roamed(turn: ServerTurn, path: Path): void {
  const { remote, secure } = turn.state;
  if (remote === undefined || secure.current === undefined || secure.current.level === 'none')
    return;
  if (samePath(remote.path, path) || isSuspect(turn, path)) return;
  // Where somebody sends packets on, the next of his places is asked before it is followed.
  const made = secure.suspect === undefined || isDue(turn, secure.suspect.until);
  if (!made && secure.move !== undefined) return;
  const from = remote.path;
  if (made) moveTo(turn, path);
  const { random } = turn.crypto;
  const move = { from, to: path, meant: false, made, random };
  follow(turn, beginMove(move, turn.now.monotonic));
}

/**
 * Data without proof from somewhere else, whose inner source is the peer's: most likely a NAT has forgotten its
 * mapping. Who is there is asked, once in STRAY_GAP, with no more bytes than came.
 */
export function heedStray(turn: ServerTurn, path: Path, length: number): void {
  const { remote, secure } = turn.state;
  if (remote === undefined || secure.current === undefined || secure.current.level !== 'none')
    return;
  if (length < PACKET_LENGTH.control || samePath(remote.path, path)) return;
  if (secure.move !== undefined || isSuspect(turn, path)) return;
  const { strayAt } = secure;
  const now = turn.now.monotonic;
  if (strayAt !== undefined && now - strayAt < STRAY_GAP) return;
  change(turn, { strayAt: now });
  const { random } = turn.crypto;
  const step = beginMove({ from: remote.path, to: path, meant: false, random }, now);
  follow(turn, { ...step, move: step.move && { ...step.move, sent: CHALLENGE_AT.length } });
}

/**
 * Nothing is waited for that is written down of a move: a run that does not know of it moves once more, and what was
 * recorded moves nobody.
 */
const MOVED = { lazily: true } as const;

/** Carries out what moves.ts decides. */
function follow(turn: ServerTurn, step: MoveStep): void {
  const { move } = turn.state.secure;
  change(turn, { move: step.move });
  for (const challenged of step.challenge) challenge(turn, challenged);
  if (step.verdict === undefined) return;
  if (step.verdict === 'to') {
    const to = step.move?.to.path ?? move?.to.path;
    if (to === undefined) return;
    moveTo(turn, to);
    return tellObserved(turn, to);
  }
  const { remote } = turn.state;
  if (move === undefined || remote === undefined) return;
  const { path } = move.to;
  change(turn, { suspect: { path, until: after(turn, SUSPECT_LIFE) } });
  tell(turn, {
    kind: 'relay-suspected',
    remote: path.remote,
    stays: (move.from ?? move.to).path.remote,
  });
  if (step.verdict === 'back' && move.from) moveTo(turn, move.from.path);
}

/**
 * What was offered where the peer leaves is void: the plane had its key, takes it away now with what it knows of numbers
 * that have come, and would take them all once more if it got the key again.
 */
function moveTo(turn: ServerTurn, path: Path): void {
  const { remote, secure } = turn.state;
  if (remote && !samePath(remote.path, path)) {
    change(turn, { offers: secure.offers.filter((offer) => !samePath(offer.path, remote.path)) });
  }
  accept(turn, path, MOVED);
}

function challenge(turn: ServerTurn, { path, nonce }: Challenged): void {
  speak(turn, path, [{ kind: 'path-challenge', challenge: nonce }]);
}

/** Answers a PING, by as many bytes. */
function reply(
  turn: ServerTurn,
  { path, payload }: PacketEvent,
  messages: readonly ControlMessage[],
): void {
  const ping = messageOf(messages, 'ping');
  const pong: readonly ControlMessage[] = ping ? [{ kind: 'pong', id: ping.id }] : [];
  speak(turn, path, [...pong, ...observed(turn, path)], payload.length);
}

/** The counters were read: they may be what a statement of the peer's waits for. */
export function heedCounts(turn: ServerTurn, counts: PlaneCounts): void {
  const statement = attestCounts(turn, counts);
  const { remote } = turn.state;
  if (statement && remote) speak(turn, remote.path, [statement]);
}

/** When session 2 wants to be looked at again. */
export function serverSecureTimes({
  former,
  offers,
  move,
  suspect,
}: ServerSecure): readonly (Millis | undefined)[] {
  return [former?.until, offers[0]?.until, moveWakeAt(move), suspect?.until];
}

/** Does what is due of session 2. */
export function runServerSecure(turn: ServerTurn): void {
  const { former, offers, move, suspect } = turn.state.secure;
  const now = turn.now.monotonic;
  if (offers.some(({ until }) => until <= now)) {
    change(turn, { offers: offers.filter(({ until }) => until > now) });
  }
  if (suspect && isDue(turn, suspect.until)) change(turn, { suspect: undefined });
  if (former && isDue(turn, former.until)) {
    change(turn, { former: undefined });
    // What the plane has let go no later run gives back to it: it would take every packet once more.
    keepNow(turn);
    const { remote, secure } = turn.state;
    if (remote && secure.current && secure.current.level !== 'none') pointAgain(turn, remote.path);
  }
  if (move) follow(turn, runMove(move, now));
}
