import { expect, test } from 'vitest';
import { healthOf, VERDICTS } from '../../../src/app/management/health.ts';
import type { Tunnel } from '../../../src/app/management/survey.ts';

function tunnel(known: object): Tunnel {
  const one = { daemon: 'answers', role: 'client', phase: 'established', peerCount: 1 };
  return { ...one, establishedCount: 1, troubles: [], ...known } as unknown as Tunnel;
}

const FULL = { kind: 'not-remembered', words: 'the disk is full' };

test.each([
  ['a client whose server is there', {}, false, 'ok', 'client, established'],
  [
    'a client whose server is not',
    { phase: 'offline', establishedCount: 0 },
    false,
    'notEstablished',
    'client, offline',
  ],
  [
    'a client with one server of two',
    { peerCount: 2 },
    false,
    'notEstablished',
    'client, 1 of 2 peers established',
  ],
  [
    'a server without its client',
    { role: 'server', phase: 'listening', establishedCount: 0 },
    false,
    'ok',
    'server, listening',
  ],
  [
    'the same, where it is needed',
    { role: 'server', phase: 'listening', establishedCount: 0 },
    true,
    'notEstablished',
    'server, listening',
  ],
  [
    'a server without any peer',
    { role: 'server', peerCount: 0, establishedCount: 0 },
    true,
    'ok',
    'server, 0 of 0 peers established',
  ],
  [
    'one that is troubled',
    { troubles: [FULL] },
    false,
    'troubled',
    'client, established; the disk is full',
  ],
  [
    'one that is troubled and not there',
    { establishedCount: 0, phase: 'authenticating', troubles: [FULL] },
    false,
    'notEstablished',
    'client, authenticating; the disk is full',
  ],
  [
    'a dead daemon',
    { daemon: 'dead', why: 'its daemon is dead' },
    false,
    'generic',
    'its daemon is dead',
  ],
] as const)('%s', (_, known, everyPeer, exit, words) => {
  expect(healthOf(tunnel(known), everyPeer)).toEqual({ exit, words });
});

test('a trouble is not told as a tunnel that does not work', () => {
  const verdict = (known: object) => VERDICTS[healthOf(tunnel(known), false).exit];
  expect(verdict({})).toBe('works');
  expect(verdict({ troubles: [FULL] })).toBe('works, but something is wrong');
  expect(verdict({ establishedCount: 0 })).toBe('does not work');
});
