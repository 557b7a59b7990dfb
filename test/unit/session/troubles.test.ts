import { describe, expect, test } from 'vitest';
import { seconds } from '../../../src/core/units.ts';
import {
  BEGIN,
  Bench,
  CLIENT_PROOF,
  configOf,
  endpoint,
  ip,
  PATH,
  requestAt,
  SERVER,
  servingClient,
} from './bench.ts';

const LOCAL = ip('10.0.0.2');
const KEYLESS =
  CLIENT_PROOF.kind === 'ed25519' ? { ...CLIENT_PROOF, privateSeed: undefined } : CLIENT_PROOF;
const HOUR = 3_600_000;

function onlineClient(
  ...overrides: Parameters<typeof configOf> extends [unknown, ...infer R] ? R : never
) {
  const bench = new Bench(configOf('client', ...overrides));
  bench.start();
  bench.located(LOCAL);
  return bench;
}

describe('a client without an answer', () => {
  test('says so after some seconds: since when, how many were sent, and what was said on the way', () => {
    const bench = onlineClient();
    bench.pass(4000);
    expect(bench.status.troubles).toEqual([]);
    bench.do({ kind: 'unreachable', code: 'port', from: SERVER.ip });
    bench.pass(2000);
    const { authPacketsSent: sent } = bench.status;
    expect(bench.status).toMatchObject({
      phase: 'authenticating',
      troubles: [
        {
          ...{ kind: 'no-answer', remote: SERVER, since: BEGIN, sent },
          network: { code: 'port', from: SERVER.ip },
        },
      ],
    });
  });

  test('tells it once, and again with growing pauses', () => {
    const bench = onlineClient({ timers: { keepalive: seconds(25) } });
    bench.pass(59_000);
    expect(bench.told('trouble')).toHaveLength(1);
    bench.pass(8000);
    expect(bench.told('trouble')).toHaveLength(2);
    bench.pass(600_000);
    expect(bench.told('trouble')).toHaveLength(3);
    bench.pass(24 * HOUR);
    expect(bench.told('trouble')).toHaveLength(3 + 24);
  });

  test('stops saying so with any sign of life, and tells that it is established', () => {
    const bench = onlineClient();
    bench.pass(6000);
    bench.packet({ local: endpoint(LOCAL, 10_000), remote: SERVER }, new Uint8Array());
    expect(bench.status).toMatchObject({ phase: 'established', troubles: [] });
    expect(bench.told('established')).toEqual([{ kind: 'established', remote: SERVER }]);
  });

  test('that was established says so too once the server counts as dead', () => {
    const bench = onlineClient({
      timers: { deadPeerTimeout: seconds(60), keepalive: seconds(25) },
    });
    bench.packet({ local: endpoint(LOCAL, 10_000), remote: SERVER }, new Uint8Array());
    bench.counters(0, 0);
    for (let tx = 1; tx < 15; tx++) {
      bench.pass(10_000);
      bench.counters(0, tx);
    }
    expect(bench.told('silent')).toHaveLength(1);
    expect(bench.status.troubles).toMatchObject([{ kind: 'no-answer', remote: SERVER }]);
    bench.counters(1, 15);
    expect(bench.told('back')).toMatchObject([{ remote: SERVER, silence: 140 }]);
    expect(bench.status.troubles).toEqual([]);
  });
});

describe('a client that cannot send', () => {
  test('without a route says which is missing, and why', () => {
    const bench = new Bench(configOf('client'));
    bench.start();
    expect(bench.status.troubles).toEqual([]);
    const why = { kind: 'missing', device: 'eth0' } as const;
    bench.do({ kind: 'located', ways: [{ remote: SERVER.ip, local: undefined, why }] });
    const trouble = { kind: 'no-route', remote: SERVER.ip, why };
    expect(bench.status).toMatchObject({ phase: 'offline', troubles: [trouble] });
    for (let times = 0; times < 10; times++) {
      bench.pass(5000);
      bench.do({ kind: 'located', ways: [{ remote: SERVER.ip, local: undefined, why }] });
    }
    expect(bench.told('trouble')).toEqual([{ kind: 'trouble', trouble }]);
  });

  test('without an address says which name has none, and what the resolver said', () => {
    const bench = new Bench(configOf('client', { remoteHost: 'vps.example' }));
    bench.start();
    bench.do({ kind: 'resolved', addresses: [], error: 'ESERVFAIL' });
    const trouble = { kind: 'unresolved', host: 'vps.example', error: 'ESERVFAIL' };
    expect(bench.status).toMatchObject({ phase: 'resolving', troubles: [trouble] });
    expect(bench.told('trouble')).toEqual([{ kind: 'trouble', trouble }]);
  });

  test('without a key says so once', () => {
    const bench = onlineClient({ proof: KEYLESS });
    bench.pass(30_000);
    expect(bench.status.troubles).toEqual([{ kind: 'no-key' }]);
    expect(bench.told('trouble')).toHaveLength(1);
  });
});

describe('a server', () => {
  const OTHER = { ...PATH, remote: endpoint('198.51.100.77', 4500) };

  /** Authenticates from the two paths by turns, so many times, with so many seconds between. */
  function alternate(bench: Bench, times: number, pause: number): void {
    for (let turn = 0; turn < times; turn++) {
      bench.pass(pause * 1000);
      bench.packet(turn % 2 === 0 ? OTHER : PATH, requestAt(bench.now / 1000));
    }
  }

  test('that hears one key from two places by turns says so, with both', () => {
    const bench = servingClient();
    alternate(bench, 3, 13);
    expect(bench.status.troubles).toEqual([]);
    alternate(bench, 1, 13);
    expect(bench.status.troubles).toEqual([]);
    bench.pass(13_000);
    bench.packet(PATH, requestAt(bench.now / 1000));
    const trouble = { kind: 'shared-key', remote: PATH.remote, other: OTHER.remote };
    expect(bench.status.troubles).toEqual([trouble]);
    expect(bench.told('trouble')).toEqual([{ kind: 'trouble', trouble }]);
  });

  test('says it again with growing pauses only, and no more once it is over', () => {
    const bench = servingClient();
    alternate(bench, 40, 13);
    expect(bench.told('trouble')).toHaveLength(2);
    expect(bench.told('moved').filter(({ again }) => !again)).toHaveLength(3);
    bench.pass(200_000);
    expect(bench.status.troubles).toEqual([]);
  });

  test('says nothing of one that moves on, and of one that returns once in a while', () => {
    const bench = servingClient();
    for (let at = 1; at < 10; at++) {
      const remote = endpoint(`198.51.100.${at}`, 4500);
      bench.packet({ ...PATH, remote }, requestAt(at));
    }
    alternate(bench, 10, 600);
    expect(bench.told('trouble')).toEqual([]);
  });

  test('tells of a peer that comes back after its connection expired, as it told of that', () => {
    const bench = servingClient();
    bench.pass(150_000);
    expect(bench.told('expired')).toEqual([{ kind: 'expired', remote: PATH.remote }]);
    bench.packet(PATH, requestAt(150));
    expect(bench.told('back')).toEqual([{ kind: 'back', remote: PATH.remote, silence: 150 }]);
    expect(bench.status).toMatchObject({ phase: 'established', requestsAccepted: 2 });
  });
});
