import { beforeEach, describe, expect, test } from 'vitest';
import { concatBytes } from '../../../src/core/bytes.ts';
import { ip } from '../addresses.ts';
import {
  AUTH_LENGTH,
  filler,
  frame,
  innerPacket,
  ipPacket,
  LOCAL,
  LOCAL_PORT,
  outerFrame,
  REMOTE,
  REMOTE_PORT,
  udpHeader,
} from '../bpf-packets.ts';
import { CONFIG, loaded, load, unload, reset, arrive, expectFate, expectTaken } from './shared.ts';
import { patience } from '../patience.ts';

export function describeStrangers(): void {
  beforeEach(() => {
    // With budgets that nobody has used.
    unload();
    load();
    reset();
  });

  const limited = { perSecond: 1, burst: 3 };
  const authentication = filler(AUTH_LENGTH);
  const from = (host: number): string => {
    const source = ip(`203.0.113.${host}`);
    return arrive(outerFrame(authentication, { source })).counted[0] ?? '';
  };

  test('authentication of the peer goes up, even when it begins like a packet', () => {
    const looks = concatBytes([innerPacket({}, new Uint8Array(0)), filler(AUTH_LENGTH - 20)]);
    const exact = innerPacket({ checksum: 0x1234 }, filler(AUTH_LENGTH - 20));
    for (const payload of [authentication, looks, exact]) {
      expect(arrive(outerFrame(payload))).toMatchObject({
        verdict: 'unspec',
        counted: ['passed-up'],
      });
    }
    const data = innerPacket({}, filler(AUTH_LENGTH - 20));
    expectTaken(outerFrame(data), data);
  });

  test("a peer's empty packet goes up: it says that the peer is alive", () => {
    expect(arrive(outerFrame(new Uint8Array(0))).counted).toEqual(['passed-up']);
    loaded().configure({ ...CONFIG, authLengths: [0, 1472] });
    expect(arrive(outerFrame(new Uint8Array(0))).counted).toEqual(['passed-up']);
    expect(arrive(outerFrame(filler(1472))).counted).toEqual(['passed-up']);
    expect(arrive(outerFrame(filler(575))).counted).toEqual(['malformed']);
  });

  test('what a peer has padded goes up, whatever its length', () => {
    for (const length of [576, 1337, 1471]) {
      expect(arrive(outerFrame(filler(length))).counted).toEqual(['passed-up']);
    }
    expect(arrive(outerFrame(filler(575))).counted).toEqual(['malformed']);
  });

  test('a peer beyond its budget is refused, and others are heard', () => {
    loaded().configure({ ...CONFIG, rates: { ...CONFIG.rates, peer: limited } });
    const counted = Array.from({ length: 5 }, () => arrive(outerFrame(authentication)).counted[0]);
    expect(counted).toEqual(['passed-up', 'passed-up', 'passed-up', 'peer-budget', 'peer-budget']);
    expect(from(1)).toBe('passed-up');
  });

  test('a source beyond its budget is refused, and others are heard', () => {
    loaded().configure({ ...CONFIG, rates: { ...CONFIG.rates, strangerSource: limited } });
    expect([from(1), from(1), from(1), from(1), from(2)]).toEqual([
      ...['passed-up', 'passed-up', 'passed-up', 'stranger-source', 'passed-up'],
    ]);
  });

  test('all sources together have a budget, and the peer one of its own', () => {
    loaded().configure({ ...CONFIG, rates: { ...CONFIG.rates, strangerAll: limited } });
    expect([from(1), from(2), from(3), from(4)]).toEqual([
      ...['passed-up', 'passed-up', 'passed-up', 'stranger-all'],
    ]);
    expect(arrive(outerFrame(authentication)).counted).toEqual(['passed-up']);
  });

  describe('what is known of a request gives it a budget apart from all strangers', () => {
    const HINT = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
    const request = (hint: Uint8Array): Uint8Array =>
      concatBytes([filler(73), Uint8Array.of(1, 0, 8), hint, Uint8Array.of(0)]);
    const heard = (host: number, payload: Uint8Array): string =>
      arrive(outerFrame(payload, { source: ip(`203.0.113.${host}`) })).counted[0] ?? '';
    const none = { perSecond: 1e-6, burst: 0 };
    const configure = (rates: Partial<typeof CONFIG.rates>): void =>
      loaded().configure({
        ...CONFIG,
        authLengths: [AUTH_LENGTH, 85],
        rates: { ...CONFIG.rates, strangerAll: none, ...rates },
      });

    test('the hint of a key, from anywhere', () => {
      configure({});
      loaded().setHints([[HINT, 3]]);
      expect(heard(1, request(HINT))).toBe('passed-up');
      expect(heard(2, request(HINT))).toBe('passed-up');
      expect(heard(3, request(new Uint8Array(8)))).toBe('stranger-all');
      expect(heard(4, authentication)).toBe('stranger-all');
      loaded().removeHint(HINT, 2);
      expect(heard(5, request(HINT))).toBe('passed-up');
      loaded().removeHint(HINT, 3);
      expect(heard(6, request(HINT))).toBe('stranger-all');
    });

    test("one source's excess does not use up the budget of a hint", () => {
      configure({ hintSource: limited, hint: { perSecond: 1, burst: 5 } });
      loaded().setHints([[HINT, 3]]);
      const one = Array.from({ length: 20 }, () => heard(1, request(HINT)));
      expect(one.filter((what) => what === 'passed-up')).toHaveLength(3);
      expect(heard(2, request(HINT))).toBe('passed-up');
    });

    test('what has a hint whose budget is empty is a stranger', () => {
      configure({ hint: none, strangerAll: limited });
      loaded().setHints([[HINT, 3]]);
      const four = Array.from({ length: 4 }, (_, host) => heard(host, request(HINT)));
      expect(four).toEqual(['passed-up', 'passed-up', 'passed-up', 'stranger-all']);
    });

    test('where a peer was admitted, whatever it sends', () => {
      configure({ former: limited });
      loaded().rememberSources([ip('203.0.113.1')]);
      expect([1, 1, 1, 1, 2].map((host) => heard(host, authentication))).toEqual([
        ...['passed-up', 'passed-up', 'passed-up', 'stranger-all', 'stranger-all'],
      ]);
    });

    test('and all of these have one together', () => {
      configure({ knownAll: limited });
      loaded().setHints([[HINT, 3]]);
      const four = Array.from({ length: 4 }, (_, host) => heard(host, request(HINT)));
      expect(four).toEqual(['passed-up', 'passed-up', 'passed-up', 'stranger-all']);
    });
  });

  describe('ICMP errors about packets of the port', () => {
    const about = (port: number, destination = REMOTE, type = 3): Uint8Array => {
      const udp = udpHeader({ sourcePort: LOCAL_PORT, destinationPort: port }, new Uint8Array(0));
      const quoted = ipPacket({ source: LOCAL, destination }, udp);
      const icmp = concatBytes([Uint8Array.of(type, 3, 0, 0, 0, 0, 0, 0), quoted]);
      return frame(ipPacket({ protocol: 1, source: ip('203.0.113.9') }, icmp));
    };
    const fate = (bytes: Uint8Array): string => arrive(bytes).counted[0] ?? arrive(bytes).verdict;

    test('have a budget for each peer, and one for packets to nobody', () => {
      loaded().configure({
        ...CONFIG,
        rates: { ...CONFIG.rates, errorPeer: { perSecond: 1, burst: 2 } },
      });
      for (const port of [REMOTE_PORT, 7]) {
        const fates = Array.from({ length: 4 }, () => arrive(about(port)).verdict);
        expect(fates).toEqual(['unspec', 'unspec', 'shot', 'shot']);
        expect(fate(about(port))).toBe('outer-error');
      }
    });

    test('have one together', () => {
      loaded().configure({
        ...CONFIG,
        rates: { ...CONFIG.rates, errorAll: { perSecond: 1, burst: 2 } },
      });
      const fates = [REMOTE_PORT, 7, REMOTE_PORT].map((port) => arrive(about(port)).verdict);
      expect(fates).toEqual(['unspec', 'unspec', 'shot']);
    });

    test('others, and other messages, are not looked at', () => {
      const rates = { ...CONFIG.rates, errorAll: { perSecond: 1e-6, burst: 0 } };
      loaded().configure({ ...CONFIG, localPort: LOCAL_PORT + 1, rates });
      expect(arrive(about(7))).toMatchObject({ verdict: 'unspec', counted: [] });
      loaded().configure({ ...CONFIG, rates });
      for (const type of [0, 5, 8]) expect(arrive(about(7, REMOTE, type)).verdict).toBe('unspec');
      for (const type of [3, 4, 11, 12])
        expect(arrive(about(7, REMOTE, type)).verdict).toBe('shot');
      for (let length = 14; length < about(7).length; length += 1) {
        if (length >= 34) arrive(about(7).slice(0, length));
      }
    });
  });

  test('what looks like data has a small budget', () => {
    loaded().configure({ ...CONFIG, rates: { ...CONFIG.rates, strangerData: limited } });
    const early = outerFrame(innerPacket(), { sourcePort: 1 });
    const counted = Array.from({ length: 4 }, () => arrive(early).counted[0]);
    expect(counted).toEqual(['passed-up', 'passed-up', 'passed-up', 'stranger-data']);
    expect(from(1)).toBe('passed-up');
  });

  test('a budget fills up again', async () => {
    const rates = { ...CONFIG.rates, strangerSource: { perSecond: 20, burst: 1 } };
    loaded().configure({ ...CONFIG, rates });
    expect([from(1), from(1)]).toEqual(['passed-up', 'stranger-source']);
    await expect.poll(() => from(1), { timeout: patience(10_000) }).toBe('passed-up');
  });

  test('where strangers are not heard, nothing of theirs goes up', () => {
    loaded().configure({ ...CONFIG, strangers: false });
    expect(from(1)).toBe('stranger-closed');
    expectFate(outerFrame(innerPacket(), { sourcePort: 1 }), false);
    expect(arrive(outerFrame(authentication)).counted).toEqual(['passed-up']);
  });
}
