/**
 * What stands wrong with a session is told when it begins, and again with growing pauses while it goes
 * on: whoever reads the log finds it near its end, and it fills no disk.
 */
import type { Trouble } from '../events/trouble.ts';
import { millis, type Millis } from '../units.ts';
import { TROUBLE_GAPS } from './limits.ts';
import type { SessionState, Told } from './state.ts';
import { tell, type Turn } from './turn.ts';

/** Tells of what is wrong now, if that is news or was told long enough ago. */
export function tellTrouble<State extends SessionState>(
  turn: Turn<State>,
  trouble: Trouble | undefined,
): void {
  const { told } = turn.state;
  if (trouble === undefined) {
    if (told !== undefined) turn.state = { ...turn.state, told: undefined };
    return;
  }
  const again = told?.kind === trouble.kind ? told : undefined;
  if (again && turn.now.monotonic < againAt(again)) return;
  const times = (again?.times ?? 0) + 1;
  turn.state = { ...turn.state, told: { kind: trouble.kind, at: turn.now.monotonic, times } };
  tell(turn, { kind: 'trouble', trouble });
}

/** When a trouble that was told is told again if it still stands. */
export function againAt({ at, times }: Told): Millis {
  const gap = TROUBLE_GAPS[Math.min(times, TROUBLE_GAPS.length) - 1] ?? 0;
  return millis(at + gap);
}
