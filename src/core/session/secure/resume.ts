/** What a run makes of the session that an earlier one had kept, and what is told of one. */
import type { Path } from '../../addr.ts';
import { resetOf } from '../../handshake/reset.ts';
import type { ServerState, SessionState } from '../state.ts';
import type { Turn } from '../turn.ts';
import type { SessionEvent } from '../types.ts';
import { isWeaker, keep, kept, secureOf } from './agreed.ts';
import type { Agreed, ClientSecure, Former, KeptSession, SecureStatus } from './state.ts';
import { FORMER_LIFE } from './limits.ts';
import { isTagged } from './tags.ts';
import { after } from '../turn.ts';

type Start = Extract<SessionEvent, { readonly kind: 'start' }>;

/**
 * The session that goes on. One with tags only where the plane still carries the peer: else its counters would
 * begin anew under the same keys. It is kept anew before anything is sent: the run after this one must not begin
 * with the same counter.
 */
export function resumeSecure<State extends SessionState>(
  turn: Turn<State>,
  { kept: record, adopted, memory, renew = false }: Start,
):
  | { readonly current: Agreed; readonly former: Former | undefined; readonly epoch: number }
  | undefined {
  if (record === undefined || renew || secureOf(turn) === undefined) return undefined;
  // Of another proof, or of one that is not known.
  if (memory?.peer !== turn.scheme.mark()) return undefined;
  const { current, former, epoch } = record;
  // Another peer's session, which began before this one went on, may have drawn it.
  const theirs = [current, former].flatMap((each) => each?.control.receiveIndex ?? []);
  if (!theirs.every((index) => turn.indexes.isFree(index))) return undefined;
  if (isWeaker(current.level, turn.config.auth.integrity)) return undefined;
  if (current.level !== 'none' && adopted === undefined) return undefined;
  const going = kept(current);
  keep(turn, going, former, epoch);
  return {
    current: going,
    former: former && { agreed: former, until: after(turn, FORMER_LIFE) },
    epoch,
  };
}

/**
 * Whether the plane may carry the peer that is adopted with other tags than it is to be carried with now. Where no session
 * goes on, it could take what is not proved, or wait for tags of a version that is not spoken any more; where one does,
 * the earlier run may have ended before the plane had its keys.
 */
export function mayDiffer<State extends SessionState>(
  turn: Turn<State>,
  { kept: record }: Start,
): boolean {
  if (isTagged(turn.state)) return true;
  if (secureOf(turn) === undefined) return record !== undefined && record.current.level !== 'none';
  return turn.config.auth.integrity !== 'none';
}

/** A server tells a client at once whose session does not go on: else it would learn that by its next question. */
export function resetKept(turn: Turn<ServerState>, { kept: record }: Start, path: Path): void {
  const secure = secureOf(turn);
  if (record === undefined || secure === undefined) return;
  const { receiveIndex } = record.current.control;
  const payload = resetOf(secure.serverKeys(), receiveIndex, path.remote);
  const ttl = turn.config.auth.packetTtl;
  turn.effects.push({ kind: 'send', purpose: 'reply', path, payload, ttl });
}

/** What a session goes on with when only the peer's config changes. */
export function sessionKept({ secure }: SessionState): KeptSession | undefined {
  const { current, former, epoch } = secure;
  return current && { current, former: former?.agreed, epoch };
}

export function secureStatus({ secure, attestation }: SessionState): SecureStatus {
  const { current } = secure;
  return {
    version: current ? 2 : 1,
    integrity: current?.level ?? 'none',
    since: current?.since,
    observed: secure.role === 'client' ? secure.observed : undefined,
    mapping: secure.role === 'client' ? mappingStatus(secure) : undefined,
    attestation: current?.counting && attestation?.status,
  };
}

function mappingStatus({ mapping }: ClientSecure): SecureStatus['mapping'] {
  return mapping && { since: mapping.since, lost: mapping.lost, lostAt: mapping.lostAt };
}
