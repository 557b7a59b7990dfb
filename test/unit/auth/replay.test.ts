import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  checkReplay,
  CLOCK_BRIDGE,
  packetTime,
  rememberPacket,
  REPLAY_SEEN_MAX,
  type Replay,
} from '../../../src/core/auth/replay.ts';
import { seconds } from '../../../src/core/units.ts';

describe('checkReplay', () => {
  const replay: Replay = { newest: seconds(100), seen: ['a', 'b'] };
  for (const [time, print, verdict] of [
    [101, 'a', { ok: true }],
    [100, 'c', { ok: true }],
    [100, 'b', { ok: false, reason: 'replayed' }],
    [99, 'c', { ok: false, reason: 'stale', difference: -1 }],
    [0, 'a', { ok: false, reason: 'stale', difference: -100 }],
  ] as const) {
    it(`time ${time}, packet ${print}: ${JSON.stringify(verdict)}`, () => {
      expect(checkReplay(replay, seconds(time), print)).toEqual(verdict);
    });
  }

  it('accepts anything without a memory', () => {
    expect(checkReplay(undefined, seconds(0), 'a')).toEqual({ ok: true });
  });

  it('refuses unseen packets of one second when the list is full, and takes those of the next', () => {
    let full: Replay | undefined;
    for (let i = 0; i < REPLAY_SEEN_MAX; i++) full = rememberPacket(full, seconds(5), `p${i}`);
    expect(checkReplay(full, seconds(5), 'new')).toEqual({ ok: false, reason: 'crowded' });
    expect(checkReplay(full, seconds(6), 'new')).toEqual({ ok: true });
  });
});

describe('rememberPacket', () => {
  it('accepts no packet twice and stays bounded, whatever comes in whatever order', () => {
    const packet = fc.record({
      time: fc.integer({ min: 0, max: 6 }),
      print: fc.integer({ min: 0, max: 60 }),
    });
    fc.assert(
      fc.property(fc.array(packet, { maxLength: 400 }), (packets) => {
        let replay: Replay | undefined;
        const accepted = new Set<string>();
        for (const { time, print } of packets) {
          // A fingerprint belongs to one time: the time is signed.
          const name = `${time}/${print}`;
          if (!checkReplay(replay, seconds(time), name).ok) continue;
          expect(accepted.has(name)).toBe(false);
          accepted.add(name);
          replay = rememberPacket(replay, seconds(time), name);
          expect(replay.seen.length).toBeLessThanOrEqual(REPLAY_SEEN_MAX);
        }
      }),
    );
  });
});

describe('packetTime', () => {
  for (const [now, last, expected, what] of [
    [1000, undefined, 1000, 'the clock for the first packet'],
    [1000, 990, 1000, 'the clock as it goes on'],
    [1000, 1010, 1010, 'the last time after a small step back'],
    [1000, 1000 + CLOCK_BRIDGE, 1000 + CLOCK_BRIDGE, 'the last time at the edge'],
    [1000, 1001 + CLOCK_BRIDGE, 1000, 'the clock after a big step back'],
  ] as const) {
    it(`is ${what}`, () => {
      const lastSent = last === undefined ? undefined : seconds(last);
      expect(packetTime(seconds(now), lastSent)).toBe(expected);
    });
  }
});
