import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { noiseCrypto } from '../../../src/adapters/crypto-noise.ts';
import {
  COOKIE_LIFE,
  type CookieMaker,
  createCookie,
  hasMac2,
  readCookie,
} from '../../../src/core/handshake/cookies.ts';
import { sealControl } from '../../../src/core/handshake/control.ts';
import { readInitStatic } from '../../../src/core/handshake/init.ts';
import { serverKeysOf } from '../../../src/core/handshake/keys.ts';
import { PACKET_LENGTH, packetKind } from '../../../src/core/handshake/layout.ts';
import { createReset, isReset, resetTokenOf } from '../../../src/core/handshake/reset.ts';
import { tagged } from '../../../src/core/tag/tag.ts';
import { millis } from '../../../src/core/units.ts';
import {
  clientKeys,
  endpoint,
  flipped,
  init,
  server,
  serverKeys,
  sessions,
  source,
  taken,
} from './ends.ts';

const elsewhere = [endpoint('192.0.2.7', 40_001), endpoint('192.0.2.8', 40_000)];
const secret = noiseCrypto.random(16);
const makerAt = (now: number): CookieMaker => ({ secret, now: millis(now) });

function cookieFor(maker: CookieMaker, from = source) {
  const { packet, pending } = init();
  const answer = createCookie(noiseCrypto, serverKeys, maker, from, packet);
  if (!answer) throw new Error('no COOKIE');
  return { answer, pending, cookie: taken(readCookie(clientKeys(), pending, answer)) };
}

describe('COOKIE', () => {
  it('lets the next INIT in from the same source, and none before', () => {
    const maker = makerAt(0);
    const { cookie, answer } = cookieFor(maker);
    expect(answer).toHaveLength(PACKET_LENGTH.cookie);
    expect(hasMac2(maker, source, init().packet)).toBe(false);
    const { packet } = init(9, cookie);
    expect(hasMac2(maker, source, packet)).toBe(true);
    expect(readInitStatic(noiseCrypto, serverKeys, packet).ok).toBe(true);
    for (const other of elsewhere) expect(hasMac2(maker, other, packet)).toBe(false);
    for (const [bit, other] of flipped(packet)) {
      expect(hasMac2(maker, source, other), `bit ${bit}`).toBe(false);
    }
  });

  it('counts until the period after the next one, and for one secret', () => {
    const { packet } = init(9, cookieFor(makerAt(0)).cookie);
    expect(hasMac2(makerAt(COOKIE_LIFE - 1), source, packet)).toBe(true);
    expect(hasMac2(makerAt(2 * COOKIE_LIFE - 1), source, packet)).toBe(true);
    expect(hasMac2(makerAt(2 * COOKIE_LIFE), source, packet)).toBe(false);
    const other = { ...makerAt(0), secret: noiseCrypto.random(16) };
    expect(hasMac2(other, source, packet)).toBe(false);
  });

  it('is for the INIT that it answers, and refused with any bit flipped', () => {
    const { answer, pending } = cookieFor(makerAt(0));
    const other = init().pending;
    expect(readCookie(clientKeys(), other, answer)).toEqual({
      ok: false,
      reason: 'mac',
    });
    for (const [bit, spoilt] of flipped(answer)) {
      const read = readCookie(clientKeys(), pending, spoilt);
      expect(read, `bit ${bit}`).toMatchObject({ ok: false });
    }
  });

  it('does not tell the cookie to who sees it', () => {
    const { answer, cookie } = cookieFor(makerAt(0));
    const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
    expect(hex(answer)).not.toContain(hex(cookie));
  });
});

describe('RESET', () => {
  const { client } = sessions();
  const token = resetTokenOf(serverKeys, client.sendIndex, source);
  const control = sealControl(noiseCrypto, client, []).packet;

  it('is made by a server that has nothing but its key, and ends the session of its client', () => {
    const anew = serverKeysOf(noiseCrypto, server);
    const packet = createReset(anew, source, control);
    expect(packet).toHaveLength(PACKET_LENGTH.reset);
    expect(packet && isReset(client, token, packet)).toBe(true);
    const header = { level: 'full', index: client.sendIndex, counter: 1 } as const;
    const data = tagged(header, new Uint8Array(1560), new Uint8Array(20));
    expect(createReset(anew, source, data)).toEqual(packet);
  });

  it('ends no other: not of another index, not of who asks from elsewhere, with no bit flipped', () => {
    const packet = createReset(serverKeys, source, control) ?? new Uint8Array();
    expect(isReset({ sendIndex: client.sendIndex + 1 }, token, packet)).toBe(false);
    const other = sealControl(noiseCrypto, { ...client, sendIndex: 5 }, []).packet;
    const forOther = createReset(serverKeys, source, other) ?? new Uint8Array();
    expect(isReset({ sendIndex: 5 }, token, forOther)).toBe(false);
    for (const from of elsewhere) {
      const asked = createReset(serverKeys, from, control) ?? new Uint8Array();
      expect(isReset(client, token, asked)).toBe(false);
    }
    for (const [bit, spoilt] of flipped(packet)) {
      expect(isReset(client, token, spoilt), `bit ${bit}`).toBe(false);
    }
  });

  it('answers only what may be of a session', () => {
    const reset = createReset(serverKeys, source, control) ?? new Uint8Array();
    for (const [what, payload] of [
      ['RESET', reset],
      ['INIT', init().packet],
      ['nothing', new Uint8Array()],
      ['index 0', Uint8Array.from(control).fill(0, 4, 8)],
      ['25 bits', Uint8Array.from(control).with(4, 1)],
      ['a short one', control.subarray(0, 31)],
      ['a tag of index 0', new Uint8Array(60).fill(0x11, 0, 1)],
    ] as const) {
      expect(createReset(serverKeys, source, payload), what).toBeUndefined();
    }
  });
});

describe('answers', () => {
  it('are never longer than what they answer', () => {
    const { init, response, cookie, control, reset } = PACKET_LENGTH;
    expect(Math.max(response, cookie)).toBeLessThanOrEqual(init);
    expect(reset).toBeLessThanOrEqual(control);
    const secrets = makerAt(0);
    fc.assert(
      fc.property(
        fc.constantFrom(0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0x11, 0x12),
        fc.uint8Array({ maxLength: 300 }),
        (first, rest) => {
          const bytes = Uint8Array.from([first, first === 0xf1 ? 2 : 0, 0, 0, 0, ...rest]);
          const answers = [
            createReset(serverKeys, source, bytes),
            createCookie(noiseCrypto, serverKeys, secrets, source, bytes),
          ];
          for (const answer of answers) {
            expect(answer?.length ?? 0).toBeLessThanOrEqual(bytes.length);
          }
        },
      ),
      { numRuns: 1000 },
    );
  });
});

describe('packetKind', () => {
  it('goes by the first four bytes and the exact length', () => {
    for (const [first, second, kind, length] of [
      [0xf1, 2, 'init', 200],
      [0xf2, 0, 'response', 140],
      [0xf3, 0, 'cookie', 56],
      [0xf4, 0, 'control', 96],
      [0xf5, 0, 'reset', 32],
    ] as const) {
      const packet = (length: number) => {
        const bytes = new Uint8Array(length);
        bytes.set([first, second].slice(0, length));
        return bytes;
      };
      const lengths = Array.from({ length: 1600 }, (_unused, n) => n);
      const right = lengths.filter((length) => packetKind(packet(length)) !== undefined);
      const probes = lengths.filter((n) => n >= 576);
      expect(right).toEqual(kind === 'control' ? [length, ...probes] : [length]);
      expect(packetKind(packet(length))).toBe(kind);
      for (const [bit, other] of flipped(packet(length))) {
        if (bit < 32) expect(packetKind(other)).toBeUndefined();
      }
    }
    expect(packetKind(new Uint8Array(65_508).fill(0xf4, 0, 1))).toBeUndefined();
  });
});
