/** What the client makes of packets: verified replies, the server's keepalives, and the rest. */
import { sameEndpoint, type Path } from '../addr.ts';
import { constantTimeEqual } from '../auth/bytes.ts';
import { refused } from '../auth/refusal.ts';
import { isInnerPacket } from '../auth/schemes.ts';
import { reversedReply } from '../auth/v1.ts';
import { charge } from './charge.ts';
import { currentPath, heard, openRequests, replied } from './client-auth.ts';
import { takeReply } from './client-mtu.ts';
import type { ClientState } from './state.ts';
import { refuse, type PacketEvent, type Turn } from './turn.ts';

type ClientTurn = Turn<ClientState>;

export function receive(turn: ClientTurn, event: PacketEvent): void {
  const { path, payload } = event;
  const expected = currentPath(turn);
  if (expected === undefined || !sameEndpoint(path.remote, expected.remote)) {
    return refuse(turn, path, refused('wrong-source'));
  }
  if (payload.length === 0) return receiveEmpty(turn, path);
  if (isInnerPacket(payload)) return refuse(turn, path, refused('not-authentication'));
  const own = openRequests(turn);
  if (own.length === 0) return refuse(turn, path, refused('unsolicited'));
  if (turn.scheme.signedReplies) checkSignedReply(turn, event);
  else checkReversedReply(turn, path, payload);
}

/** The server's keepalive, or its reply where requests are empty too. */
function receiveEmpty(turn: ClientTurn, path: Path): void {
  const { proof } = turn.config;
  if (proof.kind === 'none' && turn.state.awaiting) replied(turn, path);
  else heard(turn);
}

/**
 * A signed reply: the server's signature over a time near ours, newer than all accepted before, and
 * not our own packet sent back (which proves something only if both sides share one key).
 */
function checkSignedReply(turn: ClientTurn, event: PacketEvent): void {
  const { path, payload } = event;
  const { scheme, now } = turn;
  if (openRequests(turn).some((request) => constantTimeEqual(payload, request.payload))) {
    return refuse(turn, path, refused('reflected'));
  }
  const screened = [scheme.shape(payload), scheme.screen(payload, now.unix, turn.state.replay)];
  for (const verdict of screened) if (!verdict.ok) return refuse(turn, path, verdict);
  const unpaid = charge(turn, event, 'own');
  if (unpaid) return refuse(turn, path, unpaid);
  const proved = scheme.prove(payload, turn.crypto);
  if (!proved.ok) return refuse(turn, path, proved);
  turn.state = { ...turn.state, replay: scheme.accepted(payload, now.unix, turn.state.replay) };
  const memory = { remote: undefined, replay: turn.state.replay, peer: scheme.mark() };
  turn.effects.push({ kind: 'remember', memory });
  answered(turn, path, payload);
}

/** An unsigned reply: one of the latest requests with its bytes reversed; good once. */
function checkReversedReply(turn: ClientTurn, path: Path, payload: Uint8Array): void {
  const open = openRequests(turn);
  const fits = open.map((request) => constantTimeEqual(payload, reversedReply(request.payload)));
  const place = fits.indexOf(true);
  if (place < 0) {
    const sameLength = open.some((request) => request.payload.length === payload.length);
    return refuse(turn, path, refused(sameLength ? 'unsolicited' : 'length'));
  }
  turn.state = { ...turn.state, requests: open.filter((_request, index) => index !== place) };
  answered(turn, path, payload);
}

/** A verified reply proves the server, and perhaps the size of the path. */
function answered(turn: ClientTurn, path: Path, payload: Uint8Array): void {
  const { awaiting } = turn.state;
  replied(turn, path);
  takeReply(turn, payload, awaiting);
}
