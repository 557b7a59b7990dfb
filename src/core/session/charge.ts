/**
 * Who pays for the look at a packet's proof. There are four budgets, and a packet whose first is empty
 * asks for the next:
 * 1. the path that the peer is on;
 * 2. sources where it was admitted before: a NAT that chose another port, a host of IPv6 another address;
 * 3. its source (of IPv6 the /64), and the hint of the peer's key that it carries;
 * 4. its source, and all strangers.
 * Hints are no secret: who has seen one packet of a peer can send as many as he likes. What he sends
 * from one source is held by that source's budget, and while he empties the third from many, the
 * peer itself still has the others, wherever it has moved to.
 */
import { refused, type Refused } from '../auth/refusal.ts';
import { HINTED_RATE, KNOWN_RATE, OWN_RATE, type Rate } from '../budgets.ts';
import type { Millis } from '../units.ts';
import { takeToken, type Bucket } from './rate-limit.ts';
import type { SessionState } from './state.ts';
import type { PacketEvent, Turn } from './turn.ts';

/** Where a packet comes from: the path that its peer is on, a source where it was, or elsewhere. */
export type Standing = 'own' | 'known' | 'elsewhere';

/** Takes what the look costs; undefined when it is paid. */
export function charge<State extends SessionState>(
  turn: Turn<State>,
  { path, payload, charged }: PacketEvent,
  standing: Standing,
): Refused | undefined {
  if (charged === true) return undefined;
  const { gate, now, scheme } = turn;
  const { own, known, hinted } = turn.state;
  const at = now.monotonic;
  const source = path.remote.ip;
  if (standing === 'own') {
    const left = pay(own, OWN_RATE, at, () => gate.own(at));
    if (left !== undefined) return void (turn.state = { ...turn.state, own: left });
  }
  if (standing === 'known') {
    const left = pay(known, KNOWN_RATE, at, () => gate.own(at));
    if (left !== undefined) return void (turn.state = { ...turn.state, known: left });
  }
  if (scheme.hinted(payload)) {
    const left = pay(hinted, HINTED_RATE, at, () => gate.hinted(source, at));
    if (left !== undefined) return void (turn.state = { ...turn.state, hinted: left });
  }
  return gate.stranger(source, at) ? undefined : refused('rate-limited');
}

/** The bucket after one token was taken of it and of what it shares; undefined when either has none. */
function pay(
  bucket: Bucket | undefined,
  rate: Rate,
  now: Millis,
  shared: () => boolean,
): Bucket | undefined {
  const left = takeToken(bucket, rate, now);
  return left !== undefined && shared() ? left : undefined;
}
