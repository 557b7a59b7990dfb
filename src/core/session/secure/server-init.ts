/** The server's answer to an INIT, which moves nothing: an offer, that waits for who proves where he is. */
import { samePath } from '../../addr.ts';
import { refused } from '../../auth/refusal.ts';
import { HINTED_RATE } from '../../budgets.ts';
import { CHALLENGE_BYTES } from '../../handshake/fields.ts';
import { readInit } from '../../handshake/init.ts';
import { resetTokenOf } from '../../handshake/reset.ts';
import { createResponse } from '../../handshake/response.ts';
import type { Integrity } from '../../tag/types.ts';
import { insideOf } from '../../wire/overhead.ts';
import { REFUSAL_LOG_GAP } from '../limits.ts';
import { pathReport } from '../path-mtu-search.ts';
import { takeToken } from '../rate-limit.ts';
import { pointAgain, type ServerTurn } from '../server-remote.ts';
import { after, refuse, tell, type PacketEvent } from '../turn.ts';
import { kept, refusedBy, stronger } from './agreed.ts';
import { agreedCounting, capabilitiesOf } from './attest.ts';
import type { SecureCrypto } from './crypto.ts';
import { OFFER_LIFE, REKEY_AFTER } from './limits.ts';
import { offersBeside } from './offers.ts';
import { change, send } from './server-says.ts';
import type { Agreed, Offer } from './state.ts';

/** Whose it is has been found, and paid for, by the table (introductions.ts). */
export function takeInit(
  turn: ServerTurn,
  { path, introduction, cookied = false }: PacketEvent,
  { noise, psk, serverKeys }: SecureCrypto,
): void {
  if (introduction === undefined) return refuse(turn, path, refused('unknown-peer'));
  if (!cookied) {
    const hinted = takeToken(turn.state.hinted, HINTED_RATE, turn.now.monotonic);
    if (hinted === undefined) return refuse(turn, path, refused('rate-limited'));
    turn.state = { ...turn.state, hinted };
  }
  const init = readInit(noise, introduction, psk());
  if (!init.ok) return refuse(turn, path, refusedBy(init.reason));
  const { counter } = init.value.payload;
  const others = offersBeside(turn.state.secure.offers, { path, counter, cookied });
  if (others === 'replayed') return refuse(turn, path, refused('replayed'));
  if (others === 'outdone') return refuse(turn, path, refused('rate-limited'));
  const { auth, planeIntegrity = ['none'] } = turn.config;
  const wanted = stronger(init.value.payload.integrity, auth.integrity);
  // What the plane cannot do is answered by less: the client sees that, and says so.
  const level = planeIntegrity.includes(wanted) ? wanted : 'none';
  if (level !== wanted) tellUnable(turn, wanted);
  const index = turn.indexes.draw(noise.random);
  const challenge = noise.random(CHALLENGE_BYTES);
  const { packet, session } = createResponse(noise, init.value, {
    index,
    payload: {
      challenge,
      observed: path.remote,
      epoch: init.value.payload.epoch,
      reached: path.local,
      integrity: level,
      rekeyAfter: REKEY_AFTER,
      mtu: pathReport(turn.state.pathMtu) ?? insideOf(path.remote.ip, 1500) ?? 0,
      capabilities: capabilitiesOf(turn.config),
      resetToken: resetTokenOf(serverKeys(), index, path.remote),
    },
  });
  const counting = agreedCounting(turn.config, init.value.payload.capabilities, level);
  const since = turn.now.unix;
  const agreed: Agreed = kept({ control: session, level, since, keptUntil: 0, counting });
  const offer: Offer = {
    path,
    agreed,
    challenge,
    epoch: init.value.payload.epoch,
    counter,
    cookied,
    until: after(turn, OFFER_LIFE),
  };
  change(turn, { offers: [...others, offer] });
  // What the client sends under new keys, as soon as it has them, must find them here.
  const { remote, secure } = turn.state;
  if (remote && samePath(remote.path, path) && secure.current) pointAgain(turn, path);
  send(turn, path, packet);
}

/** Anybody may have recorded such an INIT, and send it as often as he likes. */
function tellUnable(turn: ServerTurn, level: Integrity): void {
  const { unableAt } = turn.state.secure;
  const now = turn.now.monotonic;
  if (unableAt !== undefined && now - unableAt < REFUSAL_LOG_GAP) return;
  change(turn, { unableAt: now });
  tell(turn, { kind: 'integrity-refused', level });
}
