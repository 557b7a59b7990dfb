import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseInnerIp, type InnerIp } from '../../src/core/addr.ts';
import { formatCode, parseCode, SEED_BYTES, type Invitation } from '../../src/core/invite/code.ts';
import { decodePublicKey } from '../../src/core/public-key.ts';
import { port, seconds } from '../../src/core/units.ts';

const inner = (text: string): InnerIp => parseInnerIp(text) ?? expect.fail(text);
const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });

const anyInvitation: fc.Arbitrary<Invitation> = fc
  .record({
    host: fc.constantFrom('198.51.100.7', '2001:db8::7', 'vps.example', 'x'.repeat(253)),
    port: fc.integer({ min: 1, max: 65_535 }).map(port),
    serverKey: bytes(32).map(decodePublicKey),
    seed: bytes(SEED_BYTES),
    until: fc.integer({ min: 0, max: 0xffff_ffff }).map(seconds),
    tunnel: fc.constantFrom('home', 'a', 'ipipou0'),
    exposed: fc.boolean(),
    families: fc.constantFrom(['4'], ['6'], ['4', '6']),
  })
  .map(({ families, ...rest }) => {
    const of = (v4: string, v6: string) =>
      families.map((family) => inner(family === '4' ? v4 : v6));
    return {
      ...rest,
      clientIps: of('172.28.0.2', 'fd28::2'),
      serverIps: of('172.28.0.1', 'fd28::1'),
    };
  });

const one = fc.sample(anyInvitation, { numRuns: 1, seed: 7 })[0] ?? expect.fail('none');

describe('the code of an invitation', () => {
  test('says what it was made of, and is one word', () => {
    fc.assert(
      fc.property(anyInvitation, (invitation) => {
        const code = formatCode(invitation);
        expect(code).toMatch(/^[\w-]+$/);
        expect(parseCode(code)).toEqual({ ok: true, invitation });
      }),
    );
  });

  test('of a server with IPv4 inside fits a line of a letter', () => {
    const { length } = formatCode({
      ...{ ...one, host: '198.51.100.7', tunnel: 'home' },
      ...{ clientIps: [inner('172.28.0.2')], serverIps: [inner('172.28.0.1')] },
    });
    expect(length).toBeLessThanOrEqual(120);
  });

  test('may have been broken into lines', () => {
    const code = formatCode(one);
    const broken = ` ${code.slice(0, 40)}\r\n  ${code.slice(40)}\n`;
    expect(parseCode(broken)).toEqual({ ok: true, invitation: one });
  });

  test('with one character changed, left out or added is refused', () => {
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    fc.assert(
      fc.property(
        ...([
          anyInvitation,
          fc.nat(),
          fc.constantFrom(...Array.from(alphabet)),
          fc.constantFrom(0, 1, 2),
        ] as const),
        (invitation, place, letter, kind) => {
          const code = formatCode(invitation);
          const at = place % code.length;
          const tail = code.slice(at + (kind === 2 ? 0 : 1));
          const altered = code.slice(0, at) + (kind === 1 ? '' : letter) + tail;
          fc.pre(altered !== code);
          expect(parseCode(altered).ok).toBe(false);
        },
      ),
      { numRuns: 1000 },
    );
  });

  test('cut short anywhere is refused', () => {
    const code = formatCode(one);
    for (let length = 0; length < code.length; length += 1) {
      expect(parseCode(code.slice(0, length)).ok).toBe(false);
    }
  });

  test('whatever else it is, it is refused without a throw, in words', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 2000 }), (text) => {
        const reading = parseCode(text);
        expect(reading.ok ? '' : reading.why).not.toBe('');
      }),
    );
  });

  test.each([
    ['', /none/],
    ['a?b', /characters/],
    ['A'.repeat(1001), /longer/],
    ['AQ', /missing/],
  ])('%# says what is wrong', (text, why) => {
    expect(parseCode(text)).toEqual({ ok: false, why: expect.stringMatching(why) as string });
  });

  test('of a later version is told as that', () => {
    const bytes = Buffer.from(formatCode(one), 'base64url');
    bytes[0] = 9;
    let hash = 0x811c9dc5;
    for (const byte of bytes.subarray(0, -4)) hash = Math.imul(hash ^ byte, 0x01000193);
    bytes.writeUInt32BE(hash >>> 0, bytes.length - 4);
    expect(parseCode(bytes.toString('base64url'))).toEqual({
      ok: false,
      why: 'it is of version 9: this ipipou knows 1',
    });
  });
});

test('a code names a tunnel, never a file elsewhere', () => {
  for (const tunnel of ['/etc/nologin', '../x', './x', 'a/b']) {
    expect(parseCode(formatCode({ ...one, tunnel }))).toMatchObject({ ok: false });
  }
  expect(parseCode(formatCode({ ...one, tunnel: 'my.home-2_x' }))).toMatchObject({ ok: true });
});
