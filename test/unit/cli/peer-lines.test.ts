import { expect, test } from 'vitest';
import type { PeerId } from '../../../src/core/config/tunnel-config.ts';
import { COLOURS, paintFor, PLAIN } from '../../../src/cli/paint.ts';
import { PeerTable, troubleLines } from '../../../src/cli/peer-lines.ts';
import { formatField, PEER_FIELDS } from '../../../src/app/management/fields.ts';
import type { PeerStatus } from '../../../src/ports/control.ts';
import { millis } from '../../../src/core/units.ts';
import { inner, ip } from '../../rig/addresses.ts';

const NOW = 1_000_000;
const FIRST = {
  version: 1,
  integrity: 'none',
  ...{ since: undefined, observed: undefined, attestation: undefined },
} as const;
const LAPTOP = {
  ...{ id: 'laptop', phase: 'established', lastHeardAt: NOW - 61_000, mtu: 1452, keepalive: 25 },
  path: { local: { ip: ip('192.0.2.1'), port: 1 }, remote: { ip: ip('2001:db8::2'), port: 20 } },
  traffic: { rxBytes: 2048, rxPackets: 2, txBytes: 5, txPackets: 1 },
  ...{ innerIps: [inner('10.0.0.2'), inner('fd28::2')], allowedIps: ['10.0.0.2/32'], troubles: [] },
  ...{ authenticatedAt: 1_999, remote: undefined },
} as unknown as PeerStatus;
const OTHER = {
  ...{ id: 'other', phase: 'listening', allowedIps: 'any', innerIps: [inner('10.0.0.3')] },
  ...{ keepalive: 0, troubles: [{ words: 'a' }], remote: undefined },
} as unknown as PeerStatus;
const rateOf = ({ id }: PeerStatus) =>
  id === 'laptop' ? { received: 1024 * 1024, sent: 0 } : undefined;
const linesOf = (table: PeerTable, ...peers: readonly PeerStatus[]): string =>
  table
    .add(peers)
    .map((line) => `${line}\n`)
    .join('');

test('a line a peer, columns aligned; what passes now where that is known', () => {
  expect(linesOf(new PeerTable({ now: NOW, rateOf }), LAPTOP, OTHER)).toBe(
    `  PEER    STATE        ENDPOINT          HEARD          RECEIVED  SENT  IN         OUT    MTU   TROUBLE
  laptop  established  [2001:db8::2]:20  1 min 1 s ago  2.0 KiB   5 B   1.0 MiB/s  0 B/s  1452  -
  other   listening    -                 -              -         -     -          -      -     a
`,
  );
  expect(linesOf(new PeerTable({ now: NOW }), LAPTOP)).not.toMatch(/ IN | OUT /);
});

test('who has not joined yet is invited', () => {
  const lines = linesOf(new PeerTable({ now: NOW }), { ...OTHER, invitedUntil: millis(NOW) });
  expect(lines).toMatch(/^ +other +invited /m);
});

test('session and integrity have columns where the daemon tells them', () => {
  const table = new PeerTable({ now: NOW });
  expect(linesOf(table, { ...LAPTOP, session: FIRST }, OTHER)).toBe(
    `  PEER    STATE        ENDPOINT          HEARD          RECEIVED  SENT  MTU   SESSION  INTEGRITY  TROUBLE
  laptop  established  [2001:db8::2]:20  1 min 1 s ago  2.0 KiB   5 B   1452  v1       none       -
  other   listening    -                 -              -         -     -     -        -          a
`,
  );
});

test('in portions: one head, and columns that grow', () => {
  const table = new PeerTable({ now: NOW });
  expect(table.add([])).toEqual([]);
  linesOf(table, OTHER);
  expect(linesOf(table, { ...OTHER, id: 'a-very-long-name' as PeerId }, OTHER)).toBe(
    `  a-very-long-name  listening  -         -      -         -     -    a
  other             listening  -         -      -         -     -    a
`,
  );
});

test('colours are beside the words, and widths do not count them', () => {
  const plain = linesOf(new PeerTable({ now: NOW }), LAPTOP, OTHER);
  const painted = linesOf(new PeerTable({ now: NOW, paint: COLOURS }), LAPTOP, OTHER);
  expect(painted).toContain('\u001b[32mestablished\u001b[0m');
  // oxlint-disable-next-line no-control-regex -- escapes are what this takes away
  expect(painted.replaceAll(/\u001b\[\d+m/g, '')).toBe(plain);
});

test('a terminal gets no control characters of what a daemon says', () => {
  const evil = { ...OTHER, remote: 'a\u001b[31m' };
  expect(linesOf(new PeerTable({ now: NOW }), evil)).not.toContain('\u001b');
});

test('troubles of a tunnel are told once, those of its peers beside them', () => {
  const troubles = [{ words: 'a' }, { words: 'b' }, { words: 'b' }] as never;
  expect(troubleLines({ troubles, peers: [OTHER] })).toEqual(['  trouble: b']);
});

test.each([
  [undefined, 24, {}, COLOURS],
  [undefined, undefined, {}, PLAIN],
  [undefined, 24, { NO_COLOR: '1' }, PLAIN],
  [undefined, 24, { NO_COLOR: '' }, COLOURS],
  [undefined, 24, { TERM: 'dumb' }, PLAIN],
  ['always', undefined, { NO_COLOR: '1' }, COLOURS],
  ['never', 24, {}, PLAIN],
])('colour %s, %s rows, %j', (when, rows, env, paint) => {
  expect(paintFor('show', when, { rows: () => rows, env })).toBe(paint);
});

test('any other --color is refused', () => {
  const words = '--color takes auto, always or never, not "red"';
  expect(() => paintFor('show', 'red', { rows: () => 1, env: {} })).toThrow(words);
});

test.each([
  ['peers', 'laptop\nother\n'],
  ['phases', 'laptop\testablished\nother\tlistening\n'],
  ['endpoints', 'laptop\t[2001:db8::2]:20\nother\t(none)\n'],
  ['inner-ips', 'laptop\t10.0.0.2 fd28::2\nother\t10.0.0.3\n'],
  ['allowed-ips', 'laptop\t10.0.0.2/32\nother\tany\n'],
  ['last-authenticated', 'laptop\t1\nother\t0\n'],
  ['last-heard', 'laptop\t939\nother\t0\n'],
  ['transfer', 'laptop\t2048\t5\nother\t0\t0\n'],
  ['mtu', 'laptop\t1452\nother\t(none)\n'],
  ['keepalive', 'laptop\t25\nother\toff\n'],
  ['toString', undefined],
])('the field %s', (field, text) => {
  expect(formatField(field, [LAPTOP, OTHER])).toBe(text);
});

test('every field has a case here', () => {
  expect(Object.keys(PEER_FIELDS)).toHaveLength(9);
});
