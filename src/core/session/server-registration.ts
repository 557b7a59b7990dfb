/**
 * Invitations. A peer that is one has a key that admits nobody. Who signs with it registers a key of his own,
 * which takes the invitation's place; whatever the invitation's key signs then is a stranger's. So a code is
 * good once, without a list of those that were used.
 *
 * The request has been through everything that any other goes through: source, budgets, clock, replay,
 * signature. It is remembered before the key is written; the key is written, and counts here, before the
 * answer leaves. An answer that is lost is made up for by the client, who asks with his new key.
 */
import type { Path } from '../addr.ts';
import { refused } from '../auth/refusal.ts';
import type { ProvedRequest } from '../auth/scheme.ts';
import { packetSeconds } from '../auth/schemes.ts';
import { decodePublicKey } from '../public-key.ts';
import { remember, type ServerTurn } from './server-remote.ts';
import { refuse, stampTime } from './turn.ts';

export function takeRegistration(turn: ServerTurn, path: Path, request: ProvedRequest): void {
  const { invitedUntil = 0, auth } = turn.config;
  turn.state = { ...turn.state, replay: request.replay };
  remember(turn);
  const expired = packetSeconds(turn.now.unix) >= invitedUntil;
  if (expired || request.registers === undefined) return refuse(turn, path, refused('uninvited'));
  const payload = request.reply(stampTime(turn));
  turn.effects.push({
    kind: 'register',
    publicKey: decodePublicKey(request.registers),
    answer: { path, payload, ttl: auth.packetTtl },
  });
}
