import { expect, test } from 'vitest';
import type { AnsweringTunnel, RecordedTunnel } from '../../../src/app/management/survey.ts';
import { formatLines } from '../../../src/cli/peer-lines.ts';
import { formatField, PEER_FIELDS } from '../../../src/app/management/fields.ts';
import type { PeerStatus } from '../../../src/ports/control.ts';
import { inner, ip } from '../../rig/addresses.ts';

const NOW = 1_000_000;
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
const TUNNEL = {
  ...{ daemon: 'answers', device: 'ipipou0', name: 'home', role: 'server', plane: 'bpf' },
  ...{ peerCount: 2, establishedCount: 1, troubles: [], peers: [LAPTOP, OTHER] },
} as unknown as AnsweringTunnel;

test('a line a peer, columns aligned', () => {
  const rateOf = ({ id }: PeerStatus) =>
    id === 'laptop' ? { received: 1024 * 1024, sent: 0 } : undefined;
  expect(formatLines(TUNNEL, { now: NOW, most: 9, rateOf })).toBe(
    `ipipou0 (home): server, bpf, 1 of 2 established
  PEER    STATE        ENDPOINT          HEARD          RECEIVED  SENT  IN         OUT    MTU
  laptop  established  [2001:db8::2]:20  1 min 1 s ago  2.0 KiB   5 B   1.0 MiB/s  0 B/s  1452
  other   listening    -                 -              -         -     -          -      -
  trouble: a
`,
  );
  expect(formatLines(TUNNEL, { now: NOW, most: 1, rateOf })).toMatch(/laptop[^]*and 1 more/);
  const dead = {
    ...TUNNEL,
    daemon: 'dead',
    why: 'its daemon is dead',
  } as unknown as RecordedTunnel;
  expect(formatLines(dead, { now: NOW, most: 1, rateOf })).toBe(
    'ipipou0 (home): server, bpf: its daemon is dead\n',
  );
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
