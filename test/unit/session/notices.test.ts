import { describe, expect, it } from 'vitest';
import { refusalIn } from '../../../src/core/auth/trailer.ts';
import { NOTICE_RATE, OVERALL_NOTICE_RATE } from '../../../src/core/budgets.ts';
import type { Proof } from '../../../src/core/config/tunnel-config.ts';
import { millis, seconds } from '../../../src/core/units.ts';
import {
  Bench,
  configOf,
  endpoint,
  hintedRequest,
  ip,
  kindsOf,
  PATH,
  pathFrom,
  requestAt,
  sentIn,
  SERVER,
  SERVER_PROOF,
  servingClient,
  startedServer,
} from './bench.ts';

const WITHOUT_KEY: Proof =
  SERVER_PROOF.kind === 'ed25519' ? { ...SERVER_PROOF, privateSeed: undefined } : SERVER_PROOF;

describe('a server that refuses whoever signed', () => {
  it('says by how much the clocks differ, and forgets nothing and nobody', () => {
    const bench = servingClient();
    const { state } = bench;
    const effects = bench.packet(pathFrom('203.0.113.9'), hintedRequest(-412));
    expect(kindsOf(effects)).toEqual(['reply']);
    expect(refusalIn(sentIn(effects))).toEqual({ reason: 'clock', seconds: -412 });
    expect(bench.status).toMatchObject({ path: PATH, refused: { clock: 1 } });
    expect(bench.state).toMatchObject({ remote: (state as { remote?: object }).remote });
  });

  it('tells an old packet of the same address from one of another', () => {
    const bench = startedServer();
    bench.packet(PATH, hintedRequest(5));
    const older = hintedRequest(2);
    const stale = { reason: 'stale', seconds: -3 };
    expect(refusalIn(sentIn(bench.packet(PATH, older)))).toEqual(stale);
    const elsewhere = sentIn(bench.packet(pathFrom('203.0.113.9'), older));
    expect(refusalIn(elsewhere)).toEqual({ ...stale, reason: 'taken-over' });
  });

  it('says nothing to whoever did not, would not understand, or where replies are off', () => {
    const bench = startedServer();
    const forged = hintedRequest(-412);
    forged[40] = (forged[40] ?? 0) ^ 1;
    expect(bench.packet(PATH, forged)).toEqual([]);
    expect(bench.packet(PATH, requestAt(-412))).toEqual([]);
    const silent = startedServer({ auth: { replyOnAuthOk: false } });
    expect(silent.packet(PATH, hintedRequest(-412))).toEqual([]);
    const keyless = startedServer({ proof: WITHOUT_KEY });
    expect(keyless.packet(PATH, hintedRequest(-412))).toEqual([]);
  });

  it('says it seldom, and pays for it with nothing that authentication needs', () => {
    const bench = startedServer();
    const old = hintedRequest(-412);
    const words = Array.from({ length: 1000 }, () => bench.packet(PATH, old)).flat();
    expect(words).toHaveLength(NOTICE_RATE.burst);
    expect(bench.gate.sources).toBe(0);
    expect(kindsOf(bench.packet(PATH, hintedRequest()))).toContain('admit');
    const crowd = startedServer();
    for (let i = 0; i < OVERALL_NOTICE_RATE.burst; i++) crowd.gate.notice(millis(0));
    expect(crowd.packet(PATH, old)).toEqual([]);
  });
});

describe('a client that is refused', () => {
  const path = { local: endpoint('10.0.0.2', 10_000), remote: SERVER };

  function refusedClient() {
    const bench = new Bench(configOf('client'));
    bench.skew = -412_000;
    bench.start();
    const request = sentIn(bench.located(ip('10.0.0.2')));
    const server = startedServer();
    return { bench, server, request, word: sentIn(server.packet(PATH, request)) };
  }

  it('knows why, whatever its clock says, and does not count as connected', () => {
    const { bench, word } = refusedClient();
    expect(bench.packet(path, word)).toEqual([]);
    const notice = { reason: 'clock', seconds: -412 };
    expect(bench.status).toMatchObject({ notice, repliesVerified: 0, phase: 'authenticating' });
    expect(bench.status).toMatchObject({ lastHeardAt: undefined, refused: {} });
    bench.packet(path, word);
    expect(bench.status.refused).toEqual({ unsolicited: 1 });
  });

  it('forgets it with the next reply', () => {
    const { bench, word, server } = refusedClient();
    bench.packet(path, word);
    bench.skew = 0;
    const request = sentIn(bench.do({ kind: 'reauthenticate' }));
    bench.packet(path, sentIn(server.packet(PATH, request)));
    expect(bench.status).toMatchObject({ notice: undefined, phase: 'established' });
  });

  it('believes nobody but the server', () => {
    const { bench, word } = refusedClient();
    word[40] = (word[40] ?? 0) ^ 1;
    bench.packet(path, word);
    expect(bench.status).toMatchObject({ notice: undefined, refused: { signature: 1 } });
  });
});

describe('a server whose peer had a clock far ahead', () => {
  it('hears it again when that is right, with the clock unchecked', () => {
    const proof = { ...SERVER_PROOF, maxTimeDiscrepancy: seconds(0) } as const;
    const bench = startedServer({ proof });
    const far = hintedRequest(73 * 365 * 86_400);
    expect(kindsOf(bench.packet(PATH, far))).toContain('admit');
    expect(kindsOf(bench.packet(pathFrom('203.0.113.9'), hintedRequest(1)))).toContain('admit');
    bench.packet(PATH, far);
    expect(bench.status.refused).toEqual({ replayed: 1 });
  });
});
