/**
 * The client's half of session 2 (docs/PROTOCOL.md). What authenticates in session 1 is here, while there is no
 * session, an INIT, and then a PING; the RESPONSE's challenge goes with every PING until the first PONG shows that the
 * server has it. Keepalive, silence, back-off and the probes of the path are those of session 1 (client.ts).
 */
import { refused } from '../../auth/refusal.ts';
import { readCookie, COOKIE_LIFE } from '../../handshake/cookies.ts';
import { PACKET_LENGTH, packetKind } from '../../handshake/layout.ts';
import type { ControlMessage } from '../../handshake/messages.ts';
import { isReset } from '../../handshake/reset.ts';
import { readResponse } from '../../handshake/response.ts';
import { sameEndpoint, type Endpoint, type Path } from '../../addr.ts';
import { millis, toMillis, type Millis } from '../../units.ts';
import { authenticate, heard, replied } from '../client-auth.ts';
import { currentPath } from '../current-path.ts';
import { setPathMtu } from '../mtu-effects.ts';
import { takeAnswer } from '../path-mtu-search.ts';
import { REPLY_WINDOW } from '../limits.ts';
import type { ClientState } from '../state.ts';
import { after, drawSpread, isDue, refuse, tell, type PacketEvent, type Turn } from '../turn.ts';
import type { PlaneCounts } from '../types.ts';
import { isWeaker, keepNow, kept, listen, messageOf, refusedBy, say, secureOf } from './agreed.ts';
import { agreedCounting, attestCounts, hearStatement, runAttestation } from './attest.ts';
import type { SecureCrypto } from './crypto.ts';
import {
  COPY_GAP,
  FORMER_LIFE,
  REKEY_PACKETS,
  REKEY_RETRY,
  REKEY_RETRY_MAX,
  REKEY_SPREAD,
  UNHEARD_MAX,
} from './limits.ts';
import { change, cookieAt, init } from './client-requests.ts';
import type { ClientSecure } from './state.ts';
import { tagsOf } from './tags.ts';

type ClientTurn = Turn<ClientState>;

/** Takes a packet that may be one of session 2; false where it is none. It comes from the server's endpoint. */
export function receiveSecure(turn: ClientTurn, { path, payload }: PacketEvent): boolean {
  const secure = secureOf(turn);
  const kind = packetKind(payload);
  if (secure === undefined || kind === undefined) return false;
  if (kind === 'control') return takeControl(turn, path, payload, secure);
  if (kind === 'init') refuse(turn, path, refused('wrong-direction'));
  else if (kind === 'response') takeResponse(turn, path, payload, secure);
  else if (kind === 'cookie') takeCookie(turn, path, payload, secure);
  else takeReset(turn, path, payload);
  return true;
}

function takeResponse(
  turn: ClientTurn,
  path: Path,
  payload: Uint8Array,
  { noise }: SecureCrypto,
): void {
  const { pending, current } = turn.state.secure;
  if (pending === undefined) return refuse(turn, path, refused('unsolicited'));
  const response = readResponse(noise, pending, payload);
  if (!response.ok) return refuse(turn, path, refusedBy(response.reason));
  const { auth, planeIntegrity = ['none'] } = turn.config;
  const { payload: says, session } = response.value;
  const level = says.integrity;
  if (isWeaker(level, auth.integrity) || !planeIntegrity.includes(level)) {
    const refusedLevel = isWeaker(level, auth.integrity)
      ? ({ level: auth.integrity, by: 'server' } as const)
      : ({ level, by: 'plane' } as const);
    change(turn, { pending: undefined, copies: undefined, refusedLevel });
    return refuse(turn, path, refused('integrity'));
  }
  const { resetToken, rekeyAfter } = says;
  const counting = agreedCounting(turn.config, says.capabilities, level);
  const since = turn.now.unix;
  const agreed = kept({ control: session, level, since, keptUntil: 0, resetToken, counting });
  const spread = 1 + REKEY_SPREAD * (2 * drawSpread(turn) - 1);
  change(turn, {
    current: agreed,
    former: current && { agreed: current, until: after(turn, FORMER_LIFE) },
    pending: undefined,
    copies: undefined,
    unanswered: 0,
    challenge: says.challenge,
    unheard: 0,
    moved: false,
    rekeyAt: rekeyAfter > 0 ? after(turn, millis(toMillis(rekeyAfter) * spread)) : undefined,
    rekeys: 0,
    refusedLevel: undefined,
  });
  noteObserved(turn, says.observed, path.local);
  if (!turn.state.secured) {
    turn.state = { ...turn.state, secured: true };
    rememberSecured(turn);
  }
  keepNow(turn);
  // The plane must know the keys before the server can use them.
  const { admitted } = turn.state;
  const at = currentPath(turn);
  if (at && (level !== 'none' || current?.level !== level)) {
    const tags = tagsOf(turn);
    turn.state = { ...turn.state, admitted: at };
    turn.effects.push({ kind: 'admit', path: at, ...(tags && { tags }) });
  } else if (at && !admitted) turn.state = { ...turn.state, admitAt: turn.now.monotonic };
  tell(turn, { kind: 'agreed', remote: path.remote, integrity: level });
  authenticate(turn);
}

function rememberSecured(turn: ClientTurn): void {
  const memory = {
    remote: undefined,
    replay: turn.state.replay,
    peer: turn.scheme.mark(),
    secured: true,
  };
  turn.effects.push({ kind: 'remember', memory });
}

/** A busy server wants to see that this side is where it says: the INIT is sent again, with the cookie. */
function takeCookie(turn: ClientTurn, path: Path, payload: Uint8Array, secure: SecureCrypto): void {
  const { pending } = turn.state.secure;
  const keys = secure.clientKeys();
  if (pending === undefined || keys === undefined) {
    return refuse(turn, path, refused('unsolicited'));
  }
  const read = readCookie(keys, pending, payload);
  if (!read.ok) return refuse(turn, path, refusedBy(read.reason));
  const { local } = path;
  const fresh = cookieAt(turn, local) === undefined;
  change(turn, { cookie: { value: read.value, until: after(turn, COOKIE_LIFE), local } });
  if (fresh) authenticate(turn);
}

function takeReset(turn: ClientTurn, path: Path, payload: Uint8Array): void {
  const { current, pending, unheard } = turn.state.secure;
  const token = current?.resetToken;
  if (!current || !token || !isReset(current.control, token, payload)) {
    return refuse(turn, path, refused('unsolicited'));
  }
  // One has been heeded: an INIT in the place of the one that is on its way would make its answer one to nothing.
  if (unheard >= UNHEARD_MAX && pending) return;
  tell(turn, { kind: 'session-reset', remote: path.remote });
  // The tags that the plane has go on until there are others: a server that still carries them takes them.
  change(turn, { unheard: UNHEARD_MAX, moved: false, challenge: undefined });
  turn.state = { ...turn.state, attempts: 0 };
  authenticate(turn);
}

function takeControl(
  turn: ClientTurn,
  path: Path,
  payload: Uint8Array,
  { noise }: SecureCrypto,
): boolean {
  const { current, former } = turn.state.secure;
  if (current === undefined) return false;
  let opened = listen(noise, current, payload);
  if (!opened.ok && opened.reason === 'index' && former) {
    opened = listen(noise, former.agreed, payload);
    if (opened.ok) change(turn, { former: { ...former, agreed: opened.value.agreed } });
  } else if (opened.ok) {
    change(turn, { current: opened.value.agreed });
    if (opened.value.newest) {
      hearStatement(turn, opened.value.messages);
      takeObserved(turn, path, opened.value.messages);
    }
  }
  if (!opened.ok) {
    if (opened.reason === 'index' && payload.length !== PACKET_LENGTH.control) return false;
    refuse(turn, path, refusedBy(opened.reason));
    return true;
  }
  takeMessages(turn, path, opened.value.messages);
  return true;
}

/** Of the session of now, and not overtaken: the token of a RESET is that of its index and of the endpoint. */
function takeObserved(turn: ClientTurn, path: Path, messages: readonly ControlMessage[]): void {
  const seen = messageOf(messages, 'observed');
  const { current } = turn.state.secure;
  if (seen === undefined || current === undefined) return;
  noteObserved(turn, seen.source, path.local);
  change(turn, { current: { ...current, resetToken: seen.resetToken } });
}

function takeMessages(turn: ClientTurn, path: Path, messages: readonly ControlMessage[]): void {
  const asked = messageOf(messages, 'path-challenge');
  if (asked) speak(turn, { kind: 'path-response', challenge: asked.challenge });
  const pong = messageOf(messages, 'pong');
  if (pong) takePong(turn, path, pong.id);
  // Who is only asked where he is may yet be turned away.
  else if (!asked) heard(turn);
}

function takePong(turn: ClientTurn, path: Path, id: number): void {
  const { pings } = turn.state.secure;
  const asked = pings.find((each) => each.id === id);
  if (asked === undefined || turn.now.monotonic - asked.at > REPLY_WINDOW) return heard(turn);
  change(turn, {
    pings: pings.filter((each) => each !== asked),
    unheard: 0,
    challenge: undefined,
    moved: false,
  });
  replied(turn, path);
  const answer = { kind: 'exact', length: asked.length } as const;
  setPathMtu(turn, takeAnswer(turn.state.pathMtu, answer, turn.now.monotonic));
}

function noteObserved(turn: ClientTurn, source: ClientSecure['observed'], local: Endpoint): void {
  const { observed, mapping } = turn.state.secure;
  if (source === undefined) return;
  const stayed = mapping !== undefined && sameEndpoint(mapping.local, local);
  if (stayed && observed && sameEndpoint(observed, source)) return;
  const since = turn.now.unix;
  const lost = stayed ? mapping.lost + 1 : 0;
  change(turn, {
    observed: source,
    mapping: { local, since, lost, lostAt: stayed ? since : undefined },
  });
  if (observed && sameEndpoint(observed, source)) return;
  tell(turn, { kind: 'observed', source });
}

function send(turn: ClientTurn, payload: Uint8Array): void {
  const path = currentPath(turn);
  if (path === undefined) return;
  const ttl = turn.config.auth.packetTtl;
  turn.effects.push({ kind: 'send', purpose: 'authenticate', path, payload, ttl });
}

/** Says something under the current session. */
function speak(turn: ClientTurn, message: ControlMessage): void {
  const packet = say(turn, [message]);
  if (packet) send(turn, packet);
}

/** The counters were read: they may be what a statement waits for. */
export function heedCounts(turn: ClientTurn, counts: PlaneCounts): void {
  const statement = attestCounts(turn, counts);
  if (statement) speak(turn, statement);
}

/** Counters were read: a key that has served long enough is replaced. */
export function countPackets(turn: ClientTurn, sinceLast: bigint): void {
  const { current } = turn.state.secure;
  if (current === undefined || current.level === 'none') return;
  const packets = (current.packets ?? 0n) + sinceLast;
  change(turn, { current: { ...current, packets } });
  if (packets >= REKEY_PACKETS && turn.state.secure.rekeys === 0) {
    change(turn, { rekeyAt: turn.now.monotonic });
  }
}

/** Does what is due of session 2. */
export function runClientSecure(turn: ClientTurn): void {
  const { former, rekeyAt } = turn.state.secure;
  const path = currentPath(turn);
  if (path) runAttestation(turn);
  if (former && isDue(turn, former.until)) {
    change(turn, { former: undefined });
    // What the plane has let go no later run gives back to it: it would take every packet once more.
    keepNow(turn);
    const tags = tagsOf(turn);
    const { admitted } = turn.state;
    if (admitted && tags) turn.effects.push({ kind: 'admit', path: admitted, tags });
  }
  if (isDue(turn, turn.state.secure.copies?.at)) sendCopy(turn);
  const secure = secureOf(turn);
  if (path === undefined || secure === undefined || !isDue(turn, rekeyAt)) return;
  const { rekeys, unheard } = turn.state.secure;
  const pause = Math.min(REKEY_RETRY_MAX, REKEY_RETRY * 2 ** Math.min(rekeys, 16));
  change(turn, { rekeyAt: after(turn, millis(pause)), rekeys: rekeys + 1 });
  // While nothing is heard, the requests themselves are INITs.
  if (unheard >= UNHEARD_MAX) return;
  const packet = init(turn, secure, path);
  if (packet) send(turn, packet);
}

/** The same INIT again: in a flood each has its own chance to be among what a server can look at. */
function sendCopy(turn: ClientTurn): void {
  const { copies } = turn.state.secure;
  if (copies === undefined) return;
  const left = copies.left - 1;
  const at = after(turn, COPY_GAP);
  change(turn, { copies: left > 0 ? { ...copies, left, at } : undefined });
  send(turn, copies.packet);
}

/** When session 2 wants to be looked at again. */
export function clientSecureTimes(state: ClientState): readonly (Millis | undefined)[] {
  const { former, rekeyAt, copies } = state.secure;
  return [former?.until, rekeyAt, copies?.at, state.attestation?.dueAt];
}
