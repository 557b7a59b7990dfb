import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { concatBytes } from '../../../src/core/bytes.ts';
import { TAG_LENGTH } from '../../../src/core/tag/layout.ts';
import { tagged } from '../../../src/core/tag/tag.ts';
import { TAG_KEY_LENGTH } from '../../../src/core/tag/types.ts';
import { ReplayWindow } from '../../../src/core/tag/window.ts';
import { overheadOf } from '../../../src/core/wire/overhead.ts';
import { decodeUdp } from '../../../src/core/wire/udp.ts';
import { randomBytes, tagVectors } from '../../unit/tag/tag-vectors.ts';
import {
  ETHERNET,
  filler,
  INNER_LOCAL,
  INNER_REMOTE,
  innerPacket,
  tcpPacket,
} from '../bpf-packets.ts';
import {
  ETH_P_IPV6,
  INNER_LOCAL6,
  INNER_REMOTE6,
  innerPacket6,
  outerEnds,
  outerFrameOf,
  tcpPacket6,
} from '../bpf-packets6.ts';
import { arrive, leave, loaded, PEER, synOptions, TCP_SYN } from './shared.ts';

import {
  admitTagged,
  AT_FAR_END,
  FAMILIES,
  fateOf,
  from,
  keysOf,
  LEVELS,
  SEND_KEY,
} from './tag-peer.ts';

/* Tags, by the programs and by src/core/tag. */

const COMBINATIONS = FAMILIES.flatMap((outside) =>
  FAMILIES.map((inside) => [outside, inside] as const),
);
/** For experiments (RFC 3692): the programs know no checksum of it. */
const NO_PROTOCOL = 253;

/** `steps`: counters that are made up; an emulated machine is slow. */
export function describeTags(steps: number): void {
  describe.each(COMBINATIONS)('%s outside, %s inside', (outside, inside) => {
    const packetOf = (length: number): Uint8Array => {
      const header = inside === 'ipv4' ? 20 : 40;
      const data = randomBytes(length, length - header);
      return inside === 'ipv4'
        ? innerPacket({ protocol: NO_PROTOCOL }, data)
        : innerPacket6({ nextHeader: NO_PROTOCOL }, data);
    };
    const least = inside === 'ipv4' ? 20 : 40;

    test.each(LEVELS)('%s: what has the right tag is taken, of every length', (level) => {
      admitTagged(outside, keysOf(level));
      const lengths = [least, least + 1, 63, 64, 65, 127, 128, 129, 500, 1000, 1399, 1535, 1536];
      for (const [at, length] of lengths.entries()) {
        const packet = packetOf(length);
        const {
          verdict,
          packet: taken,
          counted,
        } = arrive(outerFrameOf(outside, from(level, at + 1, packet)));
        expect([length, verdict, ...counted]).toEqual([length, 'redirect']);
        expect(taken.subarray(ETHERNET)).toEqual(packet);
      }
      expect(fateOf(from(level, 100, packetOf(1537)), outside)).toBe('malformed');
      expect(loaded().entries.counters(3).rxPackets).toBe(BigInt(lengths.length));
    });

    test.each(LEVELS)('%s: what leaves has the tag that the other side expects', (level) => {
      for (const checksums of [false, true]) {
        const held = admitTagged(outside, keysOf(level));
        loaded().admit(3, {
          ...{ ...PEER, ...outerEnds(outside), innerMtu: 1536 },
          tagsOut: held.number,
        });
        const config = { udpChecksum: checksums, udpChecksum6: checksums };
        loaded().configure({ ...AT_FAR_END, ...config });
        const lengths = [least, 63, 64, 65, 127, 128, 129, 777, 1280, 1400, 1535, 1536];
        for (const [at, length] of lengths.entries()) {
          const packet = packetOf(length);
          const type = inside === 'ipv4' ? 0x0800 : ETH_P_IPV6;
          const { verdict, outer, counted } = leave(packet, type);
          expect([length, verdict, ...counted]).toEqual([length, 'redirect']);
          const payload = outer.subarray(overheadOf(outside));
          const header = { level, index: 0xfedcba, counter: at + 1 };
          expect(payload).toEqual(tagged(header, SEND_KEY, packet));
          expect(decodeUdp(outer).ok).toBe(checksums || outside === 'ipv4');
          const sum = outer.subarray(overheadOf(outside) - 2, overheadOf(outside));
          expect(sum.some((byte) => byte !== 0)).toBe(checksums);
        }
        expect(leave(packetOf(1537), inside === 'ipv4' ? 0x0800 : ETH_P_IPV6).counted).toEqual([
          'too-big',
        ]);
      }
    });

    test('the MSS of a SYN is lowered before the tag is made, and after it is tested', () => {
      admitTagged(outside, keysOf('full'));
      const syn = (mss: number, ends = {}): Uint8Array =>
        inside === 'ipv4'
          ? tcpPacket(ends, TCP_SYN, synOptions(mss, 1))
          : tcpPacket6(ends, TCP_SYN, synOptions(mss, 1));
      const fits = PEER.innerMtu - (inside === 'ipv4' ? 40 : 60);
      const { packet } = arrive(outerFrameOf(outside, from('full', 1, syn(1460))));
      expect(packet.subarray(ETHERNET)).toEqual(syn(fits));
      loaded().configure(AT_FAR_END);
      const ends =
        inside === 'ipv4'
          ? { source: INNER_LOCAL, destination: INNER_REMOTE }
          : { source: INNER_LOCAL6, destination: INNER_REMOTE6 };
      const { outer } = leave(syn(1460, ends), inside === 'ipv4' ? 0x0800 : ETH_P_IPV6);
      const header = { level: 'full', index: 0xfedcba, counter: 1 } as const;
      expect(outer.subarray(overheadOf(outside))).toEqual(
        tagged(header, SEND_KEY, syn(fits, ends)),
      );
    });
  });

  test('as the vectors have it', () => {
    const { tags } = loaded();
    for (const { header, key, packet, tag } of tagVectors()) {
      const keys = keysOf(header.level);
      admitTagged('ipv4', { ...keys, receive: [{ index: header.index, key }] });
      const payload = concatBytes([tag, packet]);
      // They are no packets, but that is seen after they are proved.
      expect(fateOf(payload)).toBe('malformed');
      expect(fateOf(payload)).toBe('replayed');
      expect(fateOf(payload.map((byte, at) => (at === 15 ? byte ^ 1 : byte)))).toBe('replayed');
    }
    expect(tags.isEmpty).toBe(false);
  });

  test('with any key, index, counter and content', () => {
    const bytes = fc.uint8Array({ minLength: 0, maxLength: 1516 });
    const keyOf = fc.integer({ min: 1, max: 2 ** 31 });
    fc.assert(
      fc.property(
        fc.constantFrom(...LEVELS),
        fc.integer({ min: 1, max: 0xffffff }),
        fc.integer({ min: 1, max: 0xffffffff }),
        keyOf,
        bytes,
        (level, index, counter, seed, data) => {
          const key = randomBytes(seed, TAG_KEY_LENGTH);
          admitTagged('ipv4', { ...keysOf(level), receive: [{ index, key }] });
          const payload = from(level, counter, innerPacket({}, data), { index, key });
          expect(fateOf(payload)).toBe('redirect');
          expect(fateOf(payload)).toBe('replayed');
        },
      ),
      { numRuns: 200 },
    );
  });

  describe.each(LEVELS)('at level %s', (level) => {
    beforeEach(() => {
      admitTagged('ipv4', keysOf(level));
    });

    test('no bit of what it covers can be another', () => {
      const packet = innerPacket({}, filler(280));
      const covered = level === 'full' ? packet.length : 64;
      for (let bit = 0; bit < 8 * (TAG_LENGTH + covered); bit += 1) {
        const payload = from(level, 1, packet);
        payload[bit >> 3] = (payload[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        const fate = fateOf(payload);
        expect([bit, fate]).not.toEqual([bit, 'redirect']);
        if (bit >= 8) expect([bit, fate]).not.toEqual([bit, 'malformed']);
      }
      // Nothing of that has taken its place.
      expect(fateOf(from(level, 1, packet))).toBe('redirect');
      const { tagFailures, rxRefused } = loaded().entries.counters(3);
      expect(tagFailures).toBeGreaterThan(BigInt(8 * covered));
      expect(rxRefused).toBeGreaterThanOrEqual(tagFailures);
    });

    test('a longer or shorter packet has another tag', () => {
      const whole = from(level, 1, innerPacket({}, filler(280)));
      expect(fateOf(concatBytes([whole, Uint8Array.of(0)]))).toBe('bad-tag');
      expect(fateOf(whole.subarray(0, -1))).toBe('bad-tag');
      for (let length = 0; length < TAG_LENGTH + 20; length += 1) {
        expect(fateOf(whole.subarray(0, length))).not.toBe('redirect');
      }
      expect(fateOf(whole)).toBe('redirect');
    });

    test('the other level is refused, whatever its tag', () => {
      const other = level === 'full' ? 'header' : 'full';
      expect(fateOf(from(other, 1, innerPacket()))).toBe('level');
    });
  });

  describe('the window', () => {
    const take = (counter: number): boolean => {
      const fate = fateOf(from('header', counter, innerPacket()));
      expect(['redirect', 'replayed']).toContain(fate);
      return fate === 'redirect';
    };

    beforeEach(() => {
      admitTagged('ipv4', keysOf('header'));
    });

    test('is as the model has it, at both ends of it and of all counters', () => {
      const window = new ReplayWindow();
      const steps = [1, 1, 2, 31, 32, 33, 2048, 2049, 1, 2, 3, 2047, 2048, 4096, 2048, 2049, 0];
      const far = [5000, 2951, 2952, 2953, 3000, 100_000, 99_999, 97_952, 97_953, 2 ** 31];
      const last = [2 ** 32 - 1, 2 ** 32 - 2, 2 ** 32 - 2048, 2 ** 32 - 2049, 2 ** 32 - 1, 0, 1];
      for (const counter of [...steps, ...far, ...last, 2 ** 32 - 3]) {
        expect([counter, take(counter)]).toEqual([counter, window.take(counter)]);
      }
      expect(loaded().entries.counters(3).replays).toBeGreaterThan(10n);
    });

    test('is as the model has it, by chance', () => {
      const window = new ReplayWindow();
      let state = 1;
      const below = (bound: number): number => {
        state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
        return (state >>> 8) % bound;
      };
      let newest = 1;
      let taken = 0;
      for (let step = 0; step < steps; step += 1) {
        const kind = below(100);
        if (kind < 60) newest += 1;
        else if (kind < 62) newest += below(4000);
        const counter = Math.max(0, kind < 62 ? newest : newest - below(2300));
        const fresh = window.take(counter);
        expect([step, counter, take(counter)]).toEqual([step, counter, fresh]);
        if (fresh) taken += 1;
      }
      expect(taken).toBeGreaterThan(steps / 2);
    });
  });
}
