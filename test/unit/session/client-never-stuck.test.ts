import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { OuterIp, Path } from '../../../src/core/addr.ts';
import type { SessionEvent } from '../../../src/core/session/types.ts';
import { seconds } from '../../../src/core/units.ts';
import { Bench, configOf, endpoint, ip, SERVER, SERVER6 } from './bench.ts';

const LOCAL = ip('10.0.0.2');
const LOCAL6 = ip('2001:db8:c::2');
const PATH: Path = { local: endpoint(LOCAL, 10_000), remote: SERVER };
const PATH6: Path = { local: endpoint(LOCAL6, 10_000), remote: SERVER6 };
const EMPTY = new Uint8Array();
const UNREACHABLE = { kind: 'unreachable', code: 'port', from: SERVER.ip } as const;

describe('a client', () => {
  const does = (event: SessionEvent) => (bench: Bench) => void bench.do(event);
  const locates = (...locals: readonly OuterIp[]) => {
    return (bench: Bench) => void bench.located(...locals);
  };
  /** Anything that may happen, with paths and packets that may or may not fit. */
  const anything = fc.constantFrom<(bench: Bench) => void>(
    () => undefined,
    does({ kind: 'wake' }),
    does({ kind: 'reauthenticate' }),
    locates(LOCAL),
    locates(LOCAL, LOCAL6),
    locates(LOCAL6),
    locates(),
    locates(ip('10.0.0.3')),
    does({ kind: 'located', ways: [] }),
    does({ kind: 'resolved', addresses: [] }),
    does({ kind: 'resolved', addresses: [SERVER.ip, ip('198.51.100.2')] }),
    does({ kind: 'resolved', addresses: [SERVER6.ip, SERVER.ip] }),
    does({ kind: 'resolved', addresses: [ip('198.51.100.2')] }),
    does({ kind: 'admit-failed', path: PATH }),
    does({ kind: 'admit-failed', path: PATH6 }),
    does({ kind: 'packet', path: PATH, payload: EMPTY }),
    does({ kind: 'packet', path: PATH6, payload: EMPTY }),
    does({ kind: 'packet', path: PATH, payload: new Uint8Array(73) }),
    does({ kind: 'counters', counts: { rxPackets: 0n, txPackets: 1n } }),
    does({ kind: 'counters', counts: { rxPackets: 0n, txPackets: 2n } }),
    does({ kind: 'counters', counts: { rxPackets: 5n, txPackets: 2n } }),
    does(UNREACHABLE),
    does({ kind: 'displaced', path: PATH }),
  );

  it('is never stuck: whatever happens, it has something to wake up for, and soon', () => {
    const steps = fc.array(fc.tuple(anything, fc.integer({ min: 0, max: 100_000 })), {
      maxLength: 40,
    });
    fc.assert(
      fc.property(
        steps,
        fc.constantFrom(0, 27),
        fc.constantFrom(0, 30),
        fc.boolean(),
        (todo, keepalive, dead, literal) => {
          const bench = new Bench(
            configOf('client', {
              remoteHost: literal ? SERVER.ip : 'server.example',
              timers: { keepalive: seconds(keepalive), deadPeerTimeout: seconds(dead) },
            }),
          );
          bench.start();
          for (const [act, pause] of todo) {
            act(bench);
            expect(bench.wakeAt).toBeGreaterThan(bench.now);
            expect(bench.wakeAt).toBeLessThanOrEqual(bench.now + 72_000);
            bench.pass(pause);
          }
        },
      ),
      { numRuns: 200 },
    );
  });

  it('asks again for a name or a route that it hears nothing of', () => {
    const bench = new Bench(configOf('client', { remoteHost: 'server.example' }));
    bench.start();
    expect(bench.pass(61_000).map(({ effect }) => effect.kind)).toEqual(['resolve', 'resolve']);
    bench.do({ kind: 'resolved', addresses: [SERVER.ip] });
    expect(bench.pass(21_000).map(({ effect }) => effect.kind)).toEqual(['locate', 'locate']);
  });
});
