import { setTimeout as delay } from 'node:timers/promises';
import { beforeEach, expect, test } from 'vitest';
import { dhPairOf, noiseCrypto } from '../../../src/adapters/crypto-noise.ts';
import { monotonicEpoch } from '../../../src/adapters/planes/monotonic-epoch.ts';
import type { ProgramConfig } from '../../../src/adapters/planes/bpf/abi.ts';
import type { Family, OuterIp } from '../../../src/core/addr.ts';
import { concatBytes } from '../../../src/core/bytes.ts';
import { createCookie, periodAt, readCookie } from '../../../src/core/handshake/cookies.ts';
import { hasMac1, hasMac2With, mac1Of } from '../../../src/core/handshake/init.ts';
import { serverKeysOf } from '../../../src/core/handshake/keys.ts';
import { sipHash128 } from '../../../src/core/siphash.ts';
import { millis, port } from '../../../src/core/units.ts';
import { decodeUdp } from '../../../src/core/wire/udp.ts';
import { ip } from '../addresses.ts';
import { ETHERNET, filler, outerFrame } from '../bpf-packets.ts';
import { outerFrame6 } from '../bpf-packets6.ts';
import { arrive, CONFIG, loaded } from './shared.ts';
import { CONFIG6 } from './shared6.ts';

const INIT_LENGTH = 200;
const CONTROL_LENGTH = 96;
const keys = serverKeysOf(noiseCrypto, dhPairOf(filler(32)));
const secret = noiseCrypto.random(16);
const initKeys = { mac1: keys.mac1, cookie: keys.cookie, secret };
const cookieEpoch = BigInt(Math.round(monotonicEpoch() * 1e6));
const NONE = { perSecond: 1e-6, burst: 0 };
const SOURCE_PORT = 4711;

/** On a machine that is slow to begin with, more than a test takes. */
const TURN = 2000;

const nowIn = (wait: number) => millis(performance.now() + wait);

let count = 0;

/** All but its macs is anything. */
function init(cookie?: Uint8Array): Uint8Array {
  const before = filler(168).map((byte, at) => byte ^ (count >> (8 * (at & 3))));
  count += 1;
  before.set([0xf1, 2, 0, 0, 0, 1, 2, 3]);
  const first = concatBytes([before, sipHash128(keys.mac1, before)]);
  return concatBytes([first, cookie ? sipHash128(cookie, first) : new Uint8Array(16)]);
}

type Case = { readonly config: ProgramConfig; readonly source: OuterIp; readonly other: OuterIp };

const CASES: Readonly<Record<Family, Case>> = {
  ipv4: { config: CONFIG, source: ip('203.0.113.9'), other: ip('203.0.113.10') },
  ipv6: { config: CONFIG6, source: ip('2001:db8:9::9'), other: ip('2001:db8:10::9') },
};

const frameOf = (payload: Uint8Array, source: OuterIp, sourcePort = SOURCE_PORT): Uint8Array =>
  source.includes(':')
    ? outerFrame6(payload, { source, sourcePort })
    : outerFrame(payload, { source, sourcePort });

export function describeCookies(family: Family): void {
  const { config, source, other } = CASES[family];

  /** Nothing is left of the budget of first messages without a cookie. */
  const flooded = (rates: Partial<ProgramConfig['rates']> = {}): void => {
    loaded().configure({
      ...config,
      ...{ authLengths: [INIT_LENGTH, CONTROL_LENGTH], initKeys, cookieEpoch },
      rates: { ...config.rates, init: NONE, strangerAll: NONE, ...rates },
    });
  };

  /** What comes back of a first message; the checksums of the answer are right. */
  function answerTo(payload: Uint8Array, from = source, sourcePort = SOURCE_PORT): Uint8Array {
    const { verdict, packet, counted } = arrive(frameOf(payload, from, sourcePort));
    expect([verdict, ...counted]).toEqual(['redirect', 'cookie']);
    const answer = decodeUdp(packet.subarray(ETHERNET));
    if (!answer.ok) throw new Error(answer.reason);
    expect(answer.value.destination).toEqual({ ip: from, port: sourcePort });
    return answer.value.payload;
  }

  function cookieIn(answer: Uint8Array, packet: Uint8Array): Uint8Array {
    const read = readCookie(keys, { index: 0x01_0203, mac1: mac1Of(packet) }, answer);
    if (!read.ok) throw new Error(read.reason);
    return read.value;
  }

  const cookieFor = (from = source): Uint8Array => {
    const packet = init();
    return cookieIn(answerTo(packet, from), packet);
  };

  beforeEach(() => flooded());

  test('beyond its budget it goes back as a COOKIE, as the session makes it', async () => {
    // Where one period ends and the next begins, whoever looks a moment later makes another cookie.
    while (periodAt(nowIn(TURN)) !== periodAt(nowIn(-TURN))) await delay(TURN);
    const packet = init();
    expect(hasMac1(keys, packet)).toBe(true);
    const answer = answerTo(packet);
    expect(answer).toHaveLength(56);
    const maker = { secret, now: nowIn(0) };
    const end = { ip: source, port: port(SOURCE_PORT) };
    const same = createCookie(noiseCrypto, keys, maker, end, packet);
    expect(same && cookieIn(same, packet)).toEqual(cookieIn(answer, packet));
    expect(answerTo(packet)).not.toEqual(answer);
  });

  test('with the cookie it goes up, from that address and port alone, and any bit counts', () => {
    const cookie = cookieFor();
    const packet = init(cookie);
    expect(hasMac2With(cookie, packet)).toBe(true);
    expect(arrive(frameOf(packet, source)).counted).toEqual(['passed-up']);
    answerTo(packet, source, SOURCE_PORT + 1);
    answerTo(packet, other);
    for (let bit = 8 * 184; bit < 8 * 200; bit += 1) {
      const wrong = packet.slice();
      wrong[bit >> 3] = (wrong[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      answerTo(wrong);
    }
  });

  test('a cookie counts until the period after the next', () => {
    const packet = init(cookieFor());
    const later = (periods: number): string | undefined => {
      const epoch = cookieEpoch - BigInt(periods) * 120_000_000_000n;
      loaded().configure({
        ...{ ...config, authLengths: [INIT_LENGTH], initKeys, cookieEpoch: epoch },
        rates: { ...config.rates, init: NONE },
      });
      return arrive(frameOf(packet, source)).counted[0];
    };
    expect([1, 2, 0].map(later)).toEqual(['passed-up', 'cookie', 'passed-up']);
  });

  test('one source with cookies uses up its own budget only', () => {
    flooded({ provedSource: { perSecond: 1e-6, burst: 2 } });
    const alone = family === 'ipv4' ? ip('203.0.113.78') : ip('2001:db8:78::9');
    const [one, two] = [cookieFor(alone), cookieFor(other)];
    const up = (cookie: Uint8Array, from: OuterIp) =>
      arrive(frameOf(init(cookie), from)).counted[0];
    // A map that forgets what was used least may take one that was just noted for that, once.
    const counted = [1, 2, 3, 4, 5].map(() => up(one, alone));
    const passed = counted.lastIndexOf('passed-up') + 1;
    expect(passed).toBeGreaterThanOrEqual(2);
    expect(passed).toBeLessThan(5);
    expect(new Set(counted.slice(passed))).toEqual(new Set(['stranger-source']));
    expect(up(two, other)).toBe('passed-up');
  });

  test('cookies have a budget of each source, and of all', () => {
    flooded({ cookieSource: { perSecond: 1e-6, burst: 2 } });
    const given = (from: OuterIp) => arrive(frameOf(init(), from)).counted[0];
    const twenty = Array.from({ length: 20 }, () => given(source));
    expect(twenty.filter((reason) => reason === 'cookie').length).toBeLessThanOrEqual(2);
    expect(given(other)).toBe('cookie');
    flooded({ cookie: NONE });
    expect(given(other)).toBe('stranger-all');
  });

  test('what ends a handshake goes up from where a first message did, a few times', () => {
    const asked = { perSecond: 1e-6, burst: 3 };
    flooded({ asked });
    const control = filler(CONTROL_LENGTH);
    control.set([0xf4, 0, 0, 0]);
    const from = family === 'ipv4' ? ip('203.0.113.77') : ip('2001:db8:77::9');
    const end = () => arrive(frameOf(control, from)).counted[0];
    expect(end()).toBe('stranger-all');
    expect(arrive(frameOf(init(cookieFor(from)), from)).counted).toEqual(['passed-up']);
    const reasons = [1, 2, 3, 4].map(end);
    expect(reasons).toEqual(['passed-up', 'passed-up', 'passed-up', 'stranger-all']);
    control[3] = 1;
    expect(arrive(frameOf(init(cookieFor(from)), from)).counted).toEqual(['passed-up']);
    expect(end()).toBe('stranger-all');
  });
}
