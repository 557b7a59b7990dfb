import { schemeOf } from '../../../src/core/auth/schemes.ts';
import { describe, expect, it } from 'vitest';
import { millis, seconds } from '../../../src/core/units.ts';
import {
  BEGIN,
  Bench,
  configOf,
  kindsOf,
  PATH,
  pathFrom,
  hintedRequest,
  ip,
  requestAt,
  servingClient,
  startedServer,
} from './bench.ts';

describe('a plane that knows when data came', () => {
  const timers = { connectionIdle: seconds(60), authLifetime: seconds(600) };

  /** A server whose plane says that data last came at these times; gives back when it was asked. */
  function asked(heardAt: (now: number) => number, duration: number) {
    const bench = servingClient({ timers });
    const times: number[] = [];
    while (bench.wakeAt !== undefined && bench.wakeAt <= duration) {
      bench.now = bench.wakeAt;
      if (!kindsOf(bench.do({ kind: 'wake' })).includes('poll-counters')) continue;
      times.push(bench.now / 1000);
      const counts = { rxPackets: 0n, txPackets: 0n };
      bench.do({ kind: 'counters', counts, heardAt: millis(heardAt(bench.now)) });
    }
    bench.now = duration;
    return { bench, times };
  }

  it('is asked once at first, and then only before a silence decides something', () => {
    const { bench, times } = asked((now) => now - 1000, 600_000);
    expect(bench.status.phase).toBe('established');
    expect(times.length).toBeLessThanOrEqual(2 + 600 / 58);
    const silent = asked(() => 0, 659_000);
    expect(silent.times).toEqual([10, 59, 61, 659]);
    expect(silent.bench.status.phase).toBe('listening');
  });

  it('is believed the time, not the moment of its answer', () => {
    const { bench } = asked(() => 30_000, 89_999);
    expect(bench.status).toMatchObject({ lastHeardAt: BEGIN + 30_000, phase: 'established' });
    bench.pass(1);
    expect(bench.status.phase).toBe('listening');
    expect(bench.status.rememberedUntil).toBe(BEGIN + 690_000);
  });

  it('is not believed a time that stands for no data at all', () => {
    const bench = new Bench(configOf('server', { timers }));
    const at = millis(BEGIN - 10_000);
    const remote = { path: PATH, authenticatedAt: at, lastHeardAt: at };
    const { proof } = configOf('server');
    bench.start({ remote, replay: undefined, peer: schemeOf(proof).mark() }, PATH);
    const counts = { rxPackets: 0n, txPackets: 0n };
    bench.do({ kind: 'counters', counts, heardAt: millis(0) });
    expect(bench.status.lastHeardAt).toBe(BEGIN - 10_000);
  });

  it('hears data of a moment between two milliseconds once, however often it is told', () => {
    const { bench } = asked(() => 30_000.4, 100_000);
    expect(bench.status).toMatchObject({ lastHeardAt: BEGIN + 30_001, phase: 'listening' });
    const counts = { rxPackets: 0n, txPackets: 0n };
    expect(bench.do({ kind: 'counters', counts, heardAt: millis(30_000.4) })).toEqual([]);
  });

  it('revives a connection by data of its last second', () => {
    const { bench } = asked((now) => (now < 61_000 ? 0 : 59_500), 61_000);
    expect(bench.status).toMatchObject({ phase: 'established', lastHeardAt: BEGIN + 59_500 });
  });
});

describe('a path that another peer has proved to be on', () => {
  it('is let go, and so is a retry on it', () => {
    const bench = servingClient();
    const effects = bench.do({ kind: 'displaced', path: PATH });
    expect(kindsOf(effects)).toEqual(['remember', 'evict']);
    expect(effects[0]).toMatchObject({ memory: { remote: undefined } });
    expect(bench.status.path).toBeUndefined();
    const retrying = servingClient();
    retrying.do({ kind: 'admit-failed', path: PATH });
    retrying.do({ kind: 'displaced', path: PATH });
    expect(kindsOf(retrying.pass(60_000).map(({ effect }) => effect))).not.toContain('admit');
  });

  it('is no news when it is another than the current one', () => {
    const bench = servingClient();
    expect(bench.do({ kind: 'displaced', path: pathFrom('203.0.113.9') })).toEqual([]);
    expect(bench.status.path).toEqual(PATH);
  });
});

describe('a packet of another path, when all peers together have used up their budget', () => {
  const now = millis(0);

  const sources = Array.from({ length: 2000 }, (_unused, i) => ip(`10.0.${i >> 8}.${i & 255}`));

  it('with a hint waits for that of hints or of strangers, whichever has something', () => {
    const bench = startedServer();
    for (const source of sources) bench.gate.hinted(source, now);
    expect(kindsOf(bench.packet(PATH, hintedRequest()))).toContain('admit');
    const hinted = startedServer();
    for (const source of sources) hinted.gate.hinted(source, now);
    for (const source of sources) hinted.gate.stranger(source, now);
    hinted.packet(PATH, hintedRequest());
    expect(hinted.status.refused).toEqual({ 'rate-limited': 1 });
  });

  it('on the own path waits for that of own paths or of strangers', () => {
    const bench = servingClient();
    while (bench.gate.own(now)) continue;
    expect(kindsOf(bench.packet(PATH, requestAt(1)))).toContain('remember');
    for (const source of sources) bench.gate.stranger(source, now);
    expect(bench.packet(PATH, requestAt(2))).toEqual([]);
    expect(bench.status.refused).toEqual({ 'rate-limited': 1 });
  });
});
