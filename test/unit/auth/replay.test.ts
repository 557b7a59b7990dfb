import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  checkReplay,
  CLOCK_BRIDGE,
  FAR_AHEAD,
  mergeReplay,
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
    for (let i = 0; i < REPLAY_SEEN_MAX; i++)
      full = rememberPacket(full, seconds(5), `p${i}`, seconds(5));
    expect(checkReplay(full, seconds(5), 'new')).toEqual({ ok: false, reason: 'crowded' });
    expect(checkReplay(full, seconds(6), 'new')).toEqual({ ok: true });
  });
});

const signed = fc.record({
  time: fc.oneof(
    fc.integer({ min: 0, max: 6 }),
    fc.integer({ min: 0, max: 4 * FAR_AHEAD }),
    fc.integer({ min: 2_000_000_000, max: 2_000_000_006 }),
  ),
  print: fc.integer({ min: 0, max: 60 }),
});
const clock = fc.oneof(
  fc.integer({ min: 0, max: 4 * FAR_AHEAD }),
  fc.constant(2_000_000_003),
  fc.constant(3_000_000_000),
);
const packets = fc.array(fc.record({ signed, clock }), { maxLength: 300 });
/** A fingerprint belongs to one time: the time is signed. */
const nameOf = ({ time, print }: { time: number; print: number }) => `${time}/${print}`;

type Packets = readonly { signed: { time: number; print: number }; clock: number }[];

/** The memory after what was new among some packets, and what that was. */
function take(list: Packets, replay?: Replay): { replay: Replay | undefined; taken: Packets } {
  const taken = list.filter(({ signed: packet, clock: now }) => {
    const time = seconds(packet.time);
    if (!checkReplay(replay, time, nameOf(packet)).ok) return false;
    replay = rememberPacket(replay, time, nameOf(packet), seconds(now));
    return true;
  });
  return { replay, taken };
}

describe('rememberPacket', () => {
  it('accepts no packet twice and stays bounded, in whatever order and by whatever clock', () => {
    fc.assert(
      fc.property(packets, (list) => {
        const { replay, taken } = take(list);
        const names = taken.map((packet) => nameOf(packet.signed));
        expect(new Set(names).size).toBe(names.length);
        expect(replay?.seen.length ?? 0).toBeLessThanOrEqual(REPLAY_SEEN_MAX);
        expect(replay?.ahead?.seen.length ?? 0).toBeLessThanOrEqual(REPLAY_SEEN_MAX);
      }),
    );
  });

  it('takes those of a right clock whatever came from clocks far ahead before', () => {
    const present = 1_800_000_000;
    const far = fc.integer({ min: present + 2 * FAR_AHEAD, max: 2 ** 40 - 1 });
    fc.assert(
      fc.property(fc.array(far, { maxLength: 40 }), (times) => {
        let replay: Replay | undefined;
        for (const time of times) {
          if (!checkReplay(replay, seconds(time), `${time}`).ok) continue;
          replay = rememberPacket(replay, seconds(time), `${time}`, seconds(present));
        }
        for (let now = present; now < present + FAR_AHEAD; now += 27) {
          expect(checkReplay(replay, seconds(now), 'honest')).toEqual({ ok: true });
          replay = rememberPacket(replay, seconds(now), 'honest', seconds(now));
        }
        for (const time of times)
          expect(checkReplay(replay, seconds(time), `${time}`).ok).toBe(false);
      }),
    );
  });

  it('takes every packet of a clock that is always far ahead, also when the other one is set right', () => {
    let replay: Replay | undefined;
    for (let time = 1_800_000_000; time < 1_800_010_000; time += 27) {
      const now = time < 1_800_005_000 ? 100 : time;
      expect(checkReplay(replay, seconds(time), 'p')).toEqual({ ok: true });
      replay = rememberPacket(replay, seconds(time), 'p', seconds(now));
    }
    expect(replay?.ahead).toBeUndefined();
  });
});

describe('mergeReplay', () => {
  it('refuses whatever either of two memories refuses', () => {
    fc.assert(
      fc.property(packets, packets, (first, second) => {
        const a = take(first);
        const b = take(second);
        const merged = mergeReplay(a.replay, b.replay);
        for (const { signed: packet } of [...a.taken, ...b.taken]) {
          expect(checkReplay(merged, seconds(packet.time), nameOf(packet)).ok).toBe(false);
        }
        const again = take([...first, ...second], merged).taken;
        const names = new Set([...a.taken, ...b.taken].map((packet) => nameOf(packet.signed)));
        expect(again.filter((packet) => names.has(nameOf(packet.signed)))).toEqual([]);
      }),
    );
  });

  it('is the one there is', () => {
    const replay: Replay = { newest: seconds(1), seen: ['a'] };
    expect(mergeReplay(replay, undefined)).toBe(replay);
    expect(mergeReplay(undefined, replay)).toBe(replay);
    expect(mergeReplay(undefined, undefined)).toBeUndefined();
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
