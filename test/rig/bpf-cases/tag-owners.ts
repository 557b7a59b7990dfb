import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import type { TagKeys } from '../../../src/core/tag/types.ts';
import { ip } from '../addresses.ts';
import { filler, INNER_LOCAL, INNER_REMOTE, innerPacket } from '../bpf-packets.ts';
import { leave, loaded, PEER } from './shared.ts';
import { CONFIG6, withIpv6 } from './shared6.ts';
import {
  admitTagged,
  AT_FAR_END,
  fateOf,
  from,
  KEY,
  keysOf,
  nowHolds,
  SEND_KEY,
  setCounter,
} from './tag-peer.ts';

/* Whose tagged packets are, and keys that change. */

export function describeTagOwners(): void {
  describe('of whom', () => {
    const elsewhere = { source: ip('203.0.113.9'), sourcePort: 999 };
    const packet = innerPacket();

    beforeEach(() => {
      admitTagged('ipv4', keysOf('full'));
    });

    test('data without a tag is refused, what is no data is not', () => {
      expect(fateOf(packet)).toBe('untagged');
      expect(fateOf(filler(73))).toBe('passed-up');
      expect(fateOf(new Uint8Array(0))).toBe('passed-up');
    });

    test('a peer without tags has no use for them', () => {
      loaded().admit(3, PEER);
      expect(fateOf(from('full', 1, packet))).not.toBe('redirect');
      expect(fateOf(packet)).toBe('redirect');
    });

    test('a session that is not known: within a budget to the socket', () => {
      const payload = from('full', 1, packet, { index: 77 });
      expect(fateOf(payload)).toBe('passed-up');
      expect(fateOf(payload, 'ipv4', elsewhere)).toBe('passed-up');
      const none = { perSecond: 0.001, burst: 0 };
      loaded().configure({
        ...CONFIG6,
        tags: true,
        rates: { ...CONFIG6.rates, strangerData: none },
      });
      expect(fateOf(payload)).toBe('unknown-session');
      expect(fateOf(payload, 'ipv4', elsewhere)).toBe('stranger-data');
    });

    test('from elsewhere it is taken as well, once, and counted as the peer’s', () => {
      const payload = from('full', 9, packet);
      expect(fateOf(payload, 'ipv4', elsewhere)).toBe('redirect');
      expect(fateOf(payload, 'ipv4', elsewhere)).toBe('replayed');
      expect(fateOf(payload)).toBe('replayed');
      expect(fateOf(from('full', 10, packet), 'ipv6')).toBe('redirect');
      // What strangers send is not counted as if the peer had.
      expect(loaded().entries.counters(3)).toMatchObject({ rxPackets: 2n, replays: 1n });
    });

    test('from elsewhere it must be from an inner address of the peer all the same', () => {
      const foreign = innerPacket({ source: INNER_LOCAL });
      expect(fateOf(from('full', 9, foreign), 'ipv4', elsewhere)).toBe('foreign-source');
    });

    test('wrong ones from elsewhere have a budget, right ones cost none', () => {
      // Wrong ones of other tests have used some of it, and others find it used up by this one.
      const afresh = (): void => {
        nowHolds(undefined);
        withIpv6();
        admitTagged('ipv4', keysOf('full'));
      };
      onTestFinished(afresh);
      afresh();
      const wrong = from('full', 50, packet, { key: SEND_KEY });
      const three = { perSecond: 0.001, burst: 3 };
      loaded().configure({ ...CONFIG6, tags: true, rates: { ...CONFIG6.rates, tag: three } });
      for (let counter = 1; counter < 20; counter += 1) {
        expect(fateOf(from('full', counter, packet), 'ipv4', elsewhere)).toBe('redirect');
      }
      const fates = [0, 1, 2, 3, 4].map(() => fateOf(wrong, 'ipv4', elsewhere));
      expect(fates).toEqual(['bad-tag', 'bad-tag', 'bad-tag', 'stranger-tag', 'stranger-tag']);
      expect(fateOf(from('full', 30, packet), 'ipv4', elsewhere)).toBe('stranger-tag');
      expect(fateOf(from('full', 30, packet))).toBe('redirect');
      expect(loaded().entries.counters(3).tagFailures).toBe(0n);
    });

    test('who is evicted is not carried, though the keys are there', () => {
      loaded().evict(3);
      expect(fateOf(from('full', 1, packet))).toBe('passed-up');
    });

    test('another peer behind the same address sends by its own', () => {
      const other = { ...keysOf('full'), receive: [{ index: 5, key: SEND_KEY }] };
      const its = loaded().tags.prepare(4, undefined, other);
      const innerIp = INNER_LOCAL;
      loaded().admit(4, { ...PEER, remotePort: 4, innerIp, tagsOut: its.number });
      const payload = from('full', 1, innerPacket({ source: INNER_LOCAL }), {
        index: 5,
        key: SEND_KEY,
      });
      expect(fateOf(payload)).toBe('redirect');
      expect(loaded().entries.counters(4).rxPackets).toBe(1n);
      expect(loaded().entries.counters(3).rxPackets).toBe(0n);
      loaded().tags.retire(its, undefined);
    });
  });

  describe('keys that change', () => {
    const packet = innerPacket();
    const next: TagKeys = {
      level: 'full',
      send: { index: 3, key: KEY },
      receive: [{ index: 4, key: SEND_KEY }, ...keysOf('full').receive],
    };

    test('the old one is good beside the new, and its window goes on', () => {
      const before = admitTagged('ipv4', keysOf('full'));
      expect(fateOf(from('full', 1, packet))).toBe('redirect');
      const now = loaded().tags.prepare(3, before, next);
      loaded().admit(3, { ...PEER, tagsOut: now.number });
      loaded().tags.retire(before, now);
      nowHolds(now);
      expect(fateOf(from('full', 1, packet))).toBe('replayed');
      expect(fateOf(from('full', 2, packet))).toBe('redirect');
      expect(fateOf(from('full', 1, packet, { index: 4, key: SEND_KEY }))).toBe('redirect');
      const last = loaded().tags.prepare(3, now, { ...next, receive: next.receive.slice(0, 1) });
      expect(last.number).toBe(now.number);
      loaded().tags.retire(now, last);
      nowHolds(last);
      expect(fateOf(from('full', 3, packet))).toBe('passed-up');
      expect(fateOf(from('full', 2, packet, { index: 4, key: SEND_KEY }))).toBe('redirect');
    });

    test('the counter of a key goes on, that of a new one begins at 1, and the last is the last', () => {
      const counters = (): readonly number[] => {
        const { outer } = leave(innerPacket({ source: INNER_LOCAL, destination: INNER_REMOTE }));
        return [...outer.subarray(28, 36)];
      };
      const before = admitTagged('ipv4', keysOf('full'));
      loaded().configure(AT_FAR_END);
      expect([counters(), counters()]).toEqual([
        [0x12, 0xfe, 0xdc, 0xba, 0, 0, 0, 1],
        [0x12, 0xfe, 0xdc, 0xba, 0, 0, 0, 2],
      ]);
      const same = loaded().tags.prepare(3, before, keysOf('full'));
      loaded().tags.retire(before, same);
      expect(counters().at(-1)).toBe(3);
      const now = loaded().tags.prepare(3, same, next);
      loaded().admit(3, { ...PEER, tagsOut: now.number });
      loaded().tags.retire(same, now);
      nowHolds(now);
      expect(counters()).toEqual([0x12, 0, 0, 3, 0, 0, 0, 1]);
      setCounter(now, 0xffff_fffen);
      expect(counters().slice(4)).toEqual([255, 255, 255, 254]);
      expect(counters().slice(4)).toEqual([255, 255, 255, 255]);
      for (let count = 0; count < 3; count += 1) {
        expect(leave(packet).counted).toEqual(['exhausted']);
      }
    });
  });
}
