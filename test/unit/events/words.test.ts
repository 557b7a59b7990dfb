import { describe, expect, test } from 'vitest';
import { formatFields } from '../../../src/adapters/system/log.ts';
import { REFUSALS } from '../../../src/core/auth/refusal.ts';
import type { EventKind, EventOf } from '../../../src/core/events/event.ts';
import { wordsOf } from '../../../src/core/events/words.ts';
import { seconds } from '../../../src/core/units.ts';
import { endpoint, ip } from '../session/bench.ts';

const remote = endpoint('192.0.2.1', 10_000);
const other = endpoint('192.0.2.9', 4500);

/** One of every kind, and its log line. */
const GOLDEN: { readonly [Kind in EventKind]: readonly [EventOf<Kind>, string] } = {
  refused: [
    {
      kind: 'refused',
      refusal: { ok: false, reason: 'signature' },
      from: remote,
      allowed: 300,
      unlogged: 3,
    },
    'warn wrong signature: the keys do not match, or auth-secret differs reason=signature from=192.0.2.1:10000 unlogged=3',
  ],
  trouble: [
    { kind: 'trouble', trouble: { kind: 'no-key' } },
    'error cannot authenticate: auth-key-b64 is not set',
  ],
  established: [{ kind: 'established', remote }, 'info established remote=192.0.2.1:10000'],
  back: [
    { kind: 'back', remote, silence: seconds(130) },
    'info established again after a silence remote=192.0.2.1:10000 seconds=130',
  ],
  unreachable: [
    { kind: 'unreachable', remote, code: 'port', from: remote.ip },
    'debug nothing listens on that port, says the network: authenticating remote=192.0.2.1:10000 from=192.0.2.1',
  ],
  'path-mtu': [
    { kind: 'path-mtu', role: 'client', mtu: 1372 },
    'info largest inner packet to the peer mtu=1372',
  ],
  'proof-changed': [
    { kind: 'proof-changed' },
    'warn the configured proof has changed: who was admitted by the former one is forgotten',
  ],
  'not-admitted': [
    { kind: 'not-admitted', role: 'server', remote, attempt: 2 },
    'warn the tunnel could not be pointed at the peer; will be tried again remote=192.0.2.1:10000 attempt=2',
  ],
  displaced: [
    { kind: 'displaced', role: 'server', remote },
    'warn another peer has authenticated from the same address and port remote=192.0.2.1:10000',
  ],
  moved: [
    { kind: 'moved', remote, before: other, again: false },
    'info peer has moved remote=192.0.2.1:10000 before=192.0.2.9:4500',
  ],
  refreshed: [
    { kind: 'refreshed', remote },
    'debug peer authenticated again remote=192.0.2.1:10000',
  ],
  expired: [
    { kind: 'expired', remote },
    'info silent: the connection has expired remote=192.0.2.1:10000',
  ],
  'ran-out': [
    { kind: 'ran-out', remote },
    'info peer was silent for its lifetime and is forgotten remote=192.0.2.1:10000',
  ],
  resumed: [
    { kind: 'resumed', remote },
    'info peer of the earlier run goes on remote=192.0.2.1:10000',
  ],
  'not-resumed': [
    { kind: 'not-resumed', remote },
    'info the remembered peer has run out or is no longer allowed remote=192.0.2.1:10000',
  ],
  unvouched: [
    { kind: 'unvouched', remote },
    'warn nothing vouches for whom the earlier run admitted: it must authenticate remote=192.0.2.1:10000',
  ],
  'nothing-to-authenticate': [
    { kind: 'nothing-to-authenticate' },
    'info nothing to authenticate: this is the server',
  ],
  silent: [
    { kind: 'silent', remote, timeout: seconds(60) },
    'warn the server is silent: authenticating until it answers remote=192.0.2.1:10000 timeout=60',
  ],
  reply: [{ kind: 'reply', from: remote }, 'debug reply verified from=192.0.2.1:10000'],
  resolved: [
    { kind: 'resolved', host: 'vps.example', address: ip('192.0.2.1'), before: undefined },
    'info server resolved host=vps.example address=192.0.2.1',
  ],
  'no-path': [{ kind: 'no-path' }, 'info no path to the server yet'],
};

test.each(Object.values(GOLDEN))('$kind has its line', (event, expected) => {
  const { level, words, fields } = wordsOf(event);
  expect(`${level} ${words}${formatFields(fields)}`).toBe(expected);
});

describe('a refusal', () => {
  test.each(REFUSALS)('for its %s has words', (reason) => {
    const refusal =
      reason === 'clock' || reason === 'stale'
        ? ({ ok: false, reason, difference: -412 } as const)
        : ({ ok: false, reason } as const);
    const { words } = wordsOf({
      kind: 'refused',
      refusal,
      from: remote,
      allowed: 300,
      unlogged: undefined,
    });
    expect(words).not.toBe('');
  });

  test.each([
    [-412, "the other side's is behind"],
    [412, "the other side's is ahead"],
  ])('of a clock that differs by %i s says whose is wrong', (difference, whose) => {
    const refusal = { ok: false, reason: 'clock', difference } as const;
    const event = { kind: 'refused', refusal, from: remote, allowed: 300, unlogged: 0 } as const;
    const { level, words } = wordsOf(event);
    expect(level).toBe('warn');
    expect(words).toContain('clocks differ by 412 s, allowed 300: ');
    expect(words).toContain(whose);
  });
});
