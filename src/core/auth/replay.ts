/**
 * Replay memory of one signer: what keeps a captured authentication packet from working again.
 *
 * Times of packets are on a line. Two stretches of it are used up: everything before `newest`, and, where
 * some packet came from far ahead of our own clock, everything from `ahead.oldest` to `ahead.newest`.
 * A packet is
 *   - refused as `stale` when its time is within a stretch that is used up;
 *   - refused as `replayed` when its time is the last of a stretch and its fingerprint is among those
 *     accepted with exactly that time;
 *   - refused as `crowded` when its time is that and the list of fingerprints is full: better to
 *     refuse an honest peer for a second than to forget what was accepted;
 *   - new otherwise. Only then, and only after its signature proved right, it is written down.
 * So a packet is accepted at most once for ever, as long as the memory survives, whatever either clock
 * does: our own clock is not asked whether a packet is new, only on which stretch an accepted one is
 * written down. More than `FAR_AHEAD` ahead of us it is `ahead`, which leaves the time between free: a
 * client whose clock was in 2099 is heard again as soon as its clock is right. (Where the difference of
 * clocks is checked, nothing that far ahead is accepted at all.) Once our clock has come to the end of
 * that stretch, or was the wrong one, the two become one.
 *
 * What the peer sends must not go back in time: a client whose clock is set back keeps sending its
 * last time for a while (see `packetTime`), and a peer that was ahead by less than `FAR_AHEAD` is
 * refused until its clock has passed the newest time again.
 */
import { seconds, type Seconds } from '../units.ts';
import { ACCEPTED, refused, type Verdict } from './refusal.ts';

/** Fingerprints kept for the newest time: more packets in one second are refused. */
export const REPLAY_SEEN_MAX = 32;

/**
 * Seconds by which `packetTime` may run ahead of a clock that was set back. The usual allowed
 * difference: had the clock been further ahead, nothing sent by it would have been accepted.
 */
export const CLOCK_BRIDGE = 300;

/** Seconds ahead of our clock from which a packet's time is not taken for the present. */
export const FAR_AHEAD = CLOCK_BRIDGE;

/** The end of a stretch: its last time, and the fingerprints accepted with exactly that. */
type End = { readonly newest: Seconds; readonly seen: readonly string[] };

export type Replay = End & { readonly ahead?: (End & { readonly oldest: Seconds }) | undefined };

/** Before anything was accepted. */
const NOTHING: Replay = { newest: seconds(0), seen: [] };

/** Whether a packet of this time and fingerprint would be new. */
export function checkReplay(replay: Replay | undefined, time: Seconds, print: string): Verdict {
  const { newest, seen, ahead } = replay ?? NOTHING;
  if (ahead && time >= ahead.oldest && time <= ahead.newest) return checkEnd(ahead, time, print);
  return time > newest ? ACCEPTED : checkEnd({ newest, seen }, time, print);
}

function checkEnd({ newest, seen }: End, time: Seconds, print: string): Verdict {
  if (time < newest) return { ok: false, reason: 'stale', difference: time - newest };
  if (seen.includes(print)) return refused('replayed');
  return seen.length >= REPLAY_SEEN_MAX ? refused('crowded') : ACCEPTED;
}

/** The memory after a packet that `checkReplay` passed has proved authentic. `now`: our own clock. */
export function rememberPacket(
  replay: Replay | undefined,
  time: Seconds,
  print: string,
  now: Seconds,
): Replay {
  const { newest, seen, ahead } = replay ?? NOTHING;
  if (ahead && time === ahead.newest) return { newest, seen, ahead: withPrint(ahead, print) };
  if (time === newest) return { newest, seen: [...seen, print], ahead };
  const fresh = { newest: time, seen: [print] };
  if (time <= now + FAR_AHEAD)
    return { ...fresh, ahead: ahead && time > ahead.newest ? undefined : ahead };
  if (ahead && time < ahead.newest) return { newest, seen, ahead: { ...ahead, oldest: time } };
  return { newest, seen, ahead: { oldest: ahead?.oldest ?? time, ...fresh } };
}

function withPrint<E extends End>(end: E, print: string): E {
  return { ...end, seen: [...end.seen, print] };
}

/** The memory that refuses whatever either of two does: of one signer, kept in two places. */
export function mergeReplay(a: Replay | undefined, b: Replay | undefined): Replay | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  const { ahead: first } = a;
  const { ahead: second } = b;
  const ahead =
    first && second
      ? { oldest: seconds(Math.min(first.oldest, second.oldest)), ...laterEnd(first, second) }
      : (first ?? second);
  const end = laterEnd(a, b);
  if (ahead === undefined || ahead.newest > end.newest) return { ...end, ahead };
  return laterEnd(end, ahead);
}

/** Lists of both may be longer together than one grows: then nothing more is accepted with that time. */
function laterEnd(a: End, b: End): End {
  if (a.newest !== b.newest) {
    const { newest, seen } = a.newest > b.newest ? a : b;
    return { newest, seen };
  }
  return { newest: a.newest, seen: [...new Set([...a.seen, ...b.seen])] };
}

/** The time to put into the next packet: now, or the last one sent when the clock was set back a little. */
export function packetTime(now: Seconds, lastSent: Seconds | undefined): Seconds {
  if (lastSent === undefined || lastSent <= now) return now;
  return lastSent - now <= CLOCK_BRIDGE ? lastSent : now;
}
