/**
 * Whether a peer has moved, of a peer whose packets prove who made them but not where he is: anybody on
 * the way can send them on from elsewhere. After RFC 9000, section 9.3, but for who wins.
 *
 * - A move that is meant (the peer says so, under the session's keys) is made as soon as the new path
 *   answers a challenge that was sent there.
 * - What comes from elsewhere without a word is a NAT that has forgotten its mapping, or a relay. Both
 *   paths are challenged. Where the former one answers, the peer is still there: it stays, and the
 *   attempt is told. Else it moves, MOVE_GRACE after the new one has answered; where the former one
 *   answers after that all the same, the peer goes back.
 *
 * Challenges go out at once, after 300 ms and after a second; after three seconds all is over. One move
 * is looked at at a time: a later one takes the place of an earlier one that has not answered yet.
 */
import { samePath, type Path } from '../../addr.ts';
import { constantTimeEqual } from '../../auth/bytes.ts';
import { millis, type Millis } from '../../units.ts';

/** A challenge is sent again so long after the first. */
export const CHALLENGE_AT: readonly Millis[] = [millis(0), millis(300), millis(1000)];
/** An answer counts for so long. */
export const CHALLENGE_LIFE = millis(3000);
/** How long the former path has time to answer once the new one has. */
export const MOVE_GRACE = millis(300);
/** Bytes of a challenge. */
export const CHALLENGE_LENGTH = 8;

/** A path that is challenged: what was sent there. */
export type Challenged = {
  readonly path: Path;
  readonly nonce: Uint8Array;
  readonly answered: boolean;
};

export type Move = {
  readonly to: Challenged;
  /** The path that the peer was on; undefined where it is meant. */
  readonly from: Challenged | undefined;
  readonly since: Millis;
  /** How many challenges have been sent. */
  readonly sent: number;
  /** When the new path has answered. */
  readonly answeredAt: Millis | undefined;
  /** The peer was moved, and may have to go back. */
  readonly made: boolean;
};

export type MoveStep = {
  /** Undefined: nothing is looked at any more. */
  readonly move: Move | undefined;
  /** Challenges to send now. */
  readonly challenge: readonly Challenged[];
  /** `to`: the peer is there now. `back`, `stay`: the former path has answered. */
  readonly verdict: 'to' | 'back' | 'stay' | undefined;
};

export type MoveOptions = {
  /** The path that the peer is on. */
  readonly from: Path;
  readonly to: Path;
  readonly meant: boolean;
  /** The plane has taken tagged data from there: the peer is moved already. */
  readonly made?: boolean;
  readonly random: (length: number) => Uint8Array;
};

/** Whether one path epoch comes after another; they have 16 bits, and begin again at 0. */
export function isLaterEpoch(one: number, other: number): boolean {
  const ahead = (one - other) & 0xffff;
  return ahead > 0 && ahead < 0x8000;
}

/** Begins to look at a move. */
export function beginMove(
  { from, to, meant, made = false, random }: MoveOptions,
  now: Millis,
): MoveStep {
  const challenged = (path: Path): Challenged => ({
    path,
    nonce: random(CHALLENGE_LENGTH),
    answered: false,
  });
  const move: Move = {
    to: challenged(to),
    from: meant ? undefined : challenged(from),
    since: now,
    sent: 0,
    answeredAt: undefined,
    made,
  };
  return runMove(move, now);
}

/** Whether a packet from `path` belongs to the move that is looked at. */
export function isAbout(move: Move | undefined, path: Path): boolean {
  return move !== undefined && samePath(move.to.path, path);
}

/** Takes an answer to a challenge; it has to come from where the challenge was sent to. */
export function answerMove(move: Move, path: Path, nonce: Uint8Array, now: Millis): MoveStep {
  const answers = (challenged: Challenged): boolean =>
    samePath(challenged.path, path) && constantTimeEqual(challenged.nonce, nonce);
  if (move.from && answers(move.from)) {
    if (move.made) return over('back');
    return move.to.answered ? over('stay') : runMove({ ...move, from: answered(move.from) }, now);
  }
  if (!answers(move.to) || move.to.answered) return runMove(move, now);
  if (move.from?.answered === true) return over('stay');
  return runMove({ ...move, to: answered(move.to), answeredAt: now }, now);
}

/** What is due of a move. */
export function runMove(move: Move, now: Millis): MoveStep {
  // Compared as moveWakeAt adds them up: whoever is woken for a time finds that it has come.
  const isPast = (begin: Millis, time: Millis): boolean => now >= begin + time;
  if (isPast(move.since, CHALLENGE_LIFE)) return over(undefined);
  const decided = move.answeredAt !== undefined && !move.made;
  if (decided && (move.from === undefined || isPast(move.answeredAt, MOVE_GRACE))) {
    const made = { ...move, made: true };
    // One that was meant is over; of another the former path may still be heard.
    return { move: move.from === undefined ? undefined : made, challenge: [], verdict: 'to' };
  }
  const due = CHALLENGE_AT[move.sent];
  if (due === undefined || !isPast(move.since, due))
    return { move, challenge: [], verdict: undefined };
  const challenge = [move.to, ...(move.from ? [move.from] : [])].filter(
    (challenged) => !challenged.answered,
  );
  return { move: { ...move, sent: move.sent + 1 }, challenge, verdict: undefined };
}

/** When a move wants to be looked at again. */
export function moveWakeAt(move: Move | undefined): Millis | undefined {
  if (move === undefined) return undefined;
  const times = [move.since + CHALLENGE_LIFE];
  const next = CHALLENGE_AT[move.sent];
  if (next !== undefined) times.push(move.since + next);
  if (move.answeredAt !== undefined && !move.made) times.push(move.answeredAt + MOVE_GRACE);
  return millis(Math.min(...times));
}

function answered(challenged: Challenged): Challenged {
  return { ...challenged, answered: true };
}

function over(verdict: MoveStep['verdict']): MoveStep {
  return { move: undefined, challenge: [], verdict };
}
