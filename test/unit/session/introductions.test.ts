import { expect, it } from 'vitest';
import { noiseCrypto } from '../../../src/adapters/crypto-noise.ts';
import type { Path } from '../../../src/core/addr.ts';
import { createCookie, readCookie } from '../../../src/core/handshake/cookies.ts';
import { Gate } from '../../../src/core/session/gate.ts';
import { Introductions, type Introduced } from '../../../src/core/session/introductions.ts';
import { COPIES } from '../../../src/core/session/secure/limits.ts';
import { millis } from '../../../src/core/units.ts';
import { clientKeys, endpoint, init, serverKeys, source, taken } from '../handshake/ends.ts';

const NOW = millis(1000);
const HERE: Path = { local: endpoint('198.51.100.1', 10_000), remote: source };
const secret = new Uint8Array(16).fill(7);
const own = {
  noise: noiseCrypto,
  serverKeys: () => serverKeys,
  clientKeys: () => undefined,
  peer: () => undefined,
  psk: () => clientKeys().psk,
};

/** Reads one first message after the other; says what became of each. */
function reader(): (payload: Uint8Array, path?: Path) => string {
  const introductions = new Introductions(secret);
  const gate = new Gate();
  return (payload, path = HERE) =>
    outcome(introductions.read([own], { path, payload, admitted: false }, gate, NOW));
}

function outcome(read: Introduced): string {
  if (read.ok) return read.cookied ? 'cookied' : 'plain';
  return read.why?.reason ?? 'copy';
}

function withCookie(): Uint8Array {
  const first = init();
  const maker = { secret, now: NOW };
  const answer = createCookie(noiseCrypto, serverKeys, maker, source, first.packet);
  if (!answer) throw new Error('no COOKIE');
  return init(9, taken(readCookie(clientKeys(), first.pending, answer))).packet;
}

function altered(init: Uint8Array, mac2: number): Uint8Array {
  return Uint8Array.from(init).fill(mac2, init.length - 16);
}

it('is looked at once by a path: its copies say nothing, and more of them are replayed', () => {
  const read = reader();
  const { packet } = init();
  expect(read(packet)).toBe('plain');
  for (let copy = 0; copy < COPIES; copy += 1) expect(read(packet)).toBe('copy');
  expect(read(packet)).toBe('replayed');
  expect(read(packet, { ...HERE, remote: endpoint('192.0.2.8', 40_000) })).toBe('plain');
  expect(read(packet, { ...HERE, local: endpoint('198.51.100.2', 10_000) })).toBe('plain');
});

it('is no copy of one that somebody has sent ahead without its cookie', () => {
  const read = reader();
  const packet = withCookie();
  expect(read(altered(packet, 0))).toBe('plain');
  expect(read(altered(packet, 5))).toBe('copy');
  expect(read(packet)).toBe('cookied');
  expect(read(packet)).toBe('copy');
});
