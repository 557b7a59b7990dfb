/**
 * Replay memory of one peer: what keeps a captured authentication packet from working again.
 *
 * It holds the newest time that an accepted packet carried, and the fingerprints of all packets
 * accepted with exactly that time. A packet is
 *   - refused as `stale` when its time is older than the newest;
 *   - refused as `replayed` when its time is the newest and its fingerprint is known;
 *   - refused as `crowded` when its time is the newest and the list of fingerprints is full: better
 *     to refuse an honest peer for a second than to forget what was accepted;
 *   - new otherwise. Only then, and only after its signature proved right, it is written down; with
 *     a newer time the list starts again.
 * So a packet is accepted at most once for ever, as long as the memory survives. What the peer
 * sends must not go back in time: a client whose clock is set back keeps sending its last time
 * for a while (see `packetTime`), and a peer that was far ahead is refused until its clock has
 * passed the newest time again, which is at most twice the allowed difference of clocks.
 */
import { type Seconds } from '../units.ts';
import { ACCEPTED, refused, type Verdict } from './refusal.ts';

/** Fingerprints kept for the newest time: more packets in one second are refused. */
export const REPLAY_SEEN_MAX = 32;

/**
 * Seconds by which `packetTime` may run ahead of a clock that was set back. The usual allowed
 * difference: had the clock been further ahead, nothing sent by it would have been accepted.
 */
export const CLOCK_BRIDGE = 300;

export type Replay = { readonly newest: Seconds; readonly seen: readonly string[] };

/** Whether a packet of this time and fingerprint would be new. */
export function checkReplay(replay: Replay | undefined, time: Seconds, print: string): Verdict {
  if (replay === undefined || time > replay.newest) return ACCEPTED;
  if (time < replay.newest) {
    return { ok: false, reason: 'stale', difference: time - replay.newest };
  }
  if (replay.seen.includes(print)) return refused('replayed');
  return replay.seen.length >= REPLAY_SEEN_MAX ? refused('crowded') : ACCEPTED;
}

/** The memory after a packet that `checkReplay` passed has proved authentic. */
export function rememberPacket(replay: Replay | undefined, time: Seconds, print: string): Replay {
  if (replay === undefined || time > replay.newest) return { newest: time, seen: [print] };
  return { newest: replay.newest, seen: [...replay.seen, print] };
}

/** The time to put into the next packet: now, or the last one sent when the clock was set back a little. */
export function packetTime(now: Seconds, lastSent: Seconds | undefined): Seconds {
  if (lastSent === undefined || lastSent <= now) return now;
  return lastSent - now <= CLOCK_BRIDGE ? lastSent : now;
}
