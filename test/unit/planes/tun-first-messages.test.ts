import { describe, expect, test } from 'vitest';
import { encodeIp } from '../../../src/core/addr.ts';
import { readCookie } from '../../../src/core/handshake/cookies.ts';
import { sipHash128 } from '../../../src/core/siphash.ts';
import type { Port } from '../../../src/core/units.ts';
import { decodeSockaddr } from '../../../src/core/wire/sockaddr.ts';
import { randomBytes } from '../tag/tag-vectors.ts';
import { BothFamilies } from './tun-both-families.ts';
import { parsePath } from './tun-packets.ts';

const ELSEWHERE = parsePath('192.0.2.1:10000', '198.51.100.7:4000');

describe('first messages of session 2', () => {
  const key = randomBytes(5, 16);
  const keysOf = (mac1: Uint8Array) => ({
    ...{ mac1, cookie: randomBytes(6, 32), secret: randomBytes(7, 16) },
  });
  const messageOf = (seed: number, cookie?: Uint8Array): Uint8Array => {
    const made = new Uint8Array(200).fill(seed);
    made.set([0xf1, 2, 0, 0, 0, 0, 0, 5]);
    made.set(sipHash128(key, made.subarray(0, 168)), 168);
    made.set(cookie ? sipHash128(cookie, made.subarray(0, 184)) : new Uint8Array(16), 184);
    return made;
  };
  const message = messageOf(7);

  test.each([
    { what: 'one that is meant for us', payload: message, mac1: key, passes: true },
    { what: 'one that is not', payload: message.with(170, 1), mac1: key, passes: false },
    { what: 'one that was altered', payload: message.with(20, 1), mac1: key, passes: false },
    { what: 'any without a key', payload: message.with(170, 1), mac1: undefined, passes: true },
    { what: 'another type', payload: message.with(0, 0xf2), mac1: key, passes: true },
    { what: 'a token that begins so', payload: message.with(1, 7), mac1: key, passes: true },
    { what: 'another length', payload: message.slice(0, 199), mac1: key, passes: true },
  ])('$what goes up: $passes', ({ payload, mac1, passes }) => {
    const all = new BothFamilies();
    all.firstMessages.keys = mac1 && keysOf(mac1);
    all.in({ path: ELSEWHERE, payload });
    expect(all.control.map((one) => one.payload)).toEqual(passes ? [payload] : []);
    expect([all.strangers, all.counters.losses('mac1')]).toEqual([1, passes ? 0n : 1n]);
  });

  test('what strangers have used up is not missed by who knows the server', () => {
    const all = new BothFamilies();
    all.firstMessages.keys = keysOf(key);
    const junk = Array.from({ length: 100 }, (_, at) => new Uint8Array(100).fill(at));
    all.in(...junk.map((payload) => ({ path: ELSEWHERE, payload })));
    expect(all.counters.losses('stranger')).toBeGreaterThan(0n);
    all.control.length = 0;
    all.in({ path: ELSEWHERE, payload: message.with(170, 1) });
    all.in({ path: ELSEWHERE, payload: message });
    expect(all.control.map(({ payload }) => payload)).toEqual([message]);
    // Nobody can be answered there.
    const nowhere = { ...ELSEWHERE, remote: { ...ELSEWHERE.remote, port: 0 as Port } };
    all.in({ path: nowhere, payload: message });
    expect(all.control).toHaveLength(1);
  });

  test.each([
    { over: 'IPv4', path: parsePath('192.0.2.1:10000', '203.0.113.50:999') },
    { over: 'IPv6', path: parsePath('[2001:db8::1]:10000', '[2001:db8:2::50]:999') },
  ])(
    'beyond its budget it gets a cookie over $over, and goes up with that, and so does what ends its handshake',
    ({ path }) => {
      const all = new BothFamilies();
      all.firstMessages.keys = keysOf(key);
      const flood = Array.from({ length: 300 }, (_, at) => messageOf(at));
      for (let at = 0; at < flood.length; at += 30) {
        all.in(...flood.slice(at, at + 30).map((payload) => ({ path: ELSEWHERE, payload })));
        for (let gone = 0; gone < 30; gone += 1) all.gate.settled();
      }
      expect(all.counters.losses('cookie')).toBe(BigInt(all.answered.length));
      expect(all.answered.length).toBeGreaterThan(0);
      all.sent.length = 0;
      const own = messageOf(251);
      all.in({ path, payload: own });
      const [answer] = all.answered;
      expect(answer && decodeSockaddr(answer.name)).toMatchObject({ ok: true, value: path.remote });
      expect(answer?.source).toEqual(encodeIp(path.local.ip));
      const pending = { index: 5, mac1: own.subarray(168, 184) };
      const read = answer && readCookie(keysOf(key), pending, answer.payload);
      if (!read?.ok) throw new Error('no cookie');
      all.control.length = 0;
      const control = new Uint8Array(96).with(0, 0xf4);
      const proved = messageOf(252, read.value);
      all.in({ path: ELSEWHERE, payload: proved });
      expect(all.control).toEqual([]);
      all.in({ path, payload: proved }, { path, payload: control });
      expect(all.control.map(({ payload }) => payload)).toEqual([proved, control]);
    },
  );
});
