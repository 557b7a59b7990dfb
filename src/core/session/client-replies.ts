/** What the client makes of packets: verified replies, the server's keepalives, and the rest. */
import { sameEndpoint, type Path } from '../addr.ts';
import { refused, type Notice } from '../auth/refusal.ts';
import { isInnerPacket } from '../wire/inner-packet.ts';
import { charge } from './charge.ts';
import { heard, openRequests, replied } from './client-auth.ts';
import { currentPath } from './current-path.ts';
import { takeReply } from './client-mtu.ts';
import { refusesFirst } from './secure/agreed.ts';
import { receiveSecure } from './secure/client.ts';
import { isTagged } from './secure/tags.ts';
import type { ClientState } from './state.ts';
import { refuse, type PacketEvent, type Turn } from './turn.ts';

type ClientTurn = Turn<ClientState>;

export function receive(turn: ClientTurn, event: PacketEvent): void {
  const { path, payload } = event;
  const expected = currentPath(turn);
  if (expected === undefined || !sameEndpoint(path.remote, expected.remote)) {
    return refuse(turn, path, refused('wrong-source'));
  }
  if (receiveSecure(turn, event)) return;
  if (payload.length === 0) return receiveEmpty(turn, path);
  if (isInnerPacket(payload)) return refuse(turn, path, refused('not-authentication'));
  const open = openRequests(turn);
  if (open.length === 0) return refuse(turn, path, refused('unsolicited'));
  if (refusesFirst(turn)) return refuse(turn, path, refused('downgrade'));
  const { scheme, crypto, now } = turn;
  const sent = open.map((request) => request.payload);
  const look = scheme.takeReply(turn.state.replay, payload, sent, { crypto, now: now.unix });
  if (!look.ok) return refuse(turn, path, look);
  const unpaid = charge(turn, event, 'own');
  if (unpaid) return refuse(turn, path, unpaid);
  const proved = look.prove();
  if (!proved.ok) return refuse(turn, path, proved);
  const { replay, answers, notice } = proved;
  if (replay !== turn.state.replay) {
    const { secured } = turn.state;
    const memory = {
      remote: undefined,
      replay,
      peer: scheme.mark(),
      ...(secured && { secured }),
    };
    turn.effects.push({ kind: 'remember', memory });
  }
  const requests = answers === undefined ? open : open.filter((_request, i) => i !== answers);
  turn.state = { ...turn.state, replay, requests };
  if (notice) heedNotice(turn, notice);
  else answered(turn, path, payload);
}

/** The server's keepalive, or its reply where requests are empty too. */
function receiveEmpty(turn: ClientTurn, path: Path): void {
  const { proof } = turn.config;
  // Anybody can send that in the server's name.
  if (isTagged(turn.state)) return refuse(turn, path, refused('unsolicited'));
  if (proof.kind === 'none' && turn.state.awaiting) replied(turn, path);
  else heard(turn);
}

/** The server is there, and refuses us: that is no sign of life of the tunnel. */
function heedNotice(turn: ClientTurn, notice: Notice): void {
  turn.state = { ...turn.state, notice };
}

/** A verified reply proves the server, and perhaps the size of the path. */
function answered(turn: ClientTurn, path: Path, payload: Uint8Array): void {
  const { awaiting } = turn.state;
  replied(turn, path);
  takeReply(turn, payload, awaiting);
}
