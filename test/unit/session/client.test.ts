import { describe, expect, it } from 'vitest';
import { openSessionCrypto } from '../../../src/adapters/crypto.ts';
import type { Path } from '../../../src/core/addr.ts';
import { schemeOf } from '../../../src/core/auth/schemes.ts';
import { EAGER_SENDS, REQUESTS_MAX } from '../../../src/core/session/limits.ts';
import { millis, seconds } from '../../../src/core/units.ts';
import {
  BEGIN,
  Bench,
  CLIENT_PROOF,
  configOf,
  endpoint,
  ip,
  kindsOf,
  requestAt,
  sentIn,
  SERVER,
  SERVER_PROOF,
} from './bench.ts';

const LOCAL = ip('10.0.0.2');
const PATH: Path = { local: endpoint('10.0.0.2', 10_000), remote: SERVER };
const EMPTY = new Uint8Array();
const UNREACHABLE = { kind: 'unreachable', code: 'port', from: SERVER.ip } as const;
/** A client that does not check signatures of replies: they are its reversed requests. */
const UNSIGNED = { proof: { ...CLIENT_PROOF, peerPublicKey: undefined } };

const serverCrypto = openSessionCrypto(SERVER_PROOF);

/** A reply that the server signed so many seconds after the beginning. */
function signedReply(offset = 0): Uint8Array {
  return requestAt(offset, serverCrypto);
}

function onlineClient(
  ...overrides: Parameters<typeof configOf> extends [unknown, ...infer R] ? R : never
) {
  const bench = new Bench(configOf('client', ...overrides));
  bench.start();
  const request = sentIn(bench.located(LOCAL));
  return { bench, request };
}

const sends = (bench: Bench, duration: number): readonly number[] =>
  bench
    .pass(duration)
    .filter(({ effect }) => effect.kind === 'send')
    .map(({ at }) => at);

describe('the way to a path', () => {
  it('of a literal address: locate, then admit, then authenticate', () => {
    const bench = new Bench(configOf('client'));
    expect(bench.start()).toEqual([{ kind: 'locate', remotes: [SERVER.ip] }]);
    expect(bench.status.phase).toBe('offline');
    const effects = bench.located(LOCAL);
    expect(kindsOf(effects)).toEqual(['admit', 'authenticate', 'poll-counters']);
    expect(effects[0]).toEqual({ kind: 'admit', path: PATH });
    expect(bench.status).toMatchObject({ phase: 'authenticating', path: PATH });
    const look = schemeOf(SERVER_PROOF).takeRequest(undefined, sentIn(effects), {
      crypto: serverCrypto,
      now: millis(BEGIN),
    });
    expect(look.ok && look.prove().ok).toBe(true);
  });

  it('of a name: resolve first, and take the first address', () => {
    const bench = new Bench(configOf('client', { remoteHost: 'server.example' }));
    expect(bench.start()).toEqual([{ kind: 'resolve', host: 'server.example' }]);
    expect(bench.status.phase).toBe('resolving');
    const addresses = [SERVER.ip, ip('198.51.100.2')];
    expect(bench.do({ kind: 'resolved', addresses })).toEqual([
      { kind: 'locate', remotes: addresses },
    ]);
  });

  it('does not admit again what the plane has adopted', () => {
    const bench = new Bench(configOf('client'));
    bench.start(undefined, PATH);
    const effects = bench.located(LOCAL);
    expect(kindsOf(effects)).toEqual(['authenticate', 'poll-counters']);
  });

  it('uses the configured TTL', () => {
    const bench = new Bench(configOf('client', { auth: { packetTtl: 12 } }));
    bench.start();
    expect(bench.located(LOCAL)[1]).toMatchObject({ kind: 'send', ttl: 12 });
  });

  it('is tried again when it cannot be admitted', () => {
    const { bench } = onlineClient();
    bench.do({ kind: 'admit-failed', path: PATH });
    const tried = bench.pass(1300).filter(({ effect }) => effect.kind === 'admit');
    expect(tried).toHaveLength(1);
    expect(bench.do({ kind: 'admit-failed', path: { ...PATH, remote: PATH.local } })).toEqual([]);
  });

  it('is taken again at once when the local address changes', () => {
    const { bench } = onlineClient();
    const effects = bench.located(ip('10.0.0.3'));
    expect(kindsOf(effects)).toEqual(['admit', 'authenticate', 'poll-counters']);
  });

  it('is left and found again with the route', () => {
    const { bench } = onlineClient();
    expect(bench.located()).toEqual([]);
    expect(bench.status.phase).toBe('offline');
    expect(sends(bench, 400_000)).toEqual([]);
    expect(kindsOf(bench.located(LOCAL))).toContain('authenticate');
  });
});

describe('a reply', () => {
  it('with the signature of the server is verified and remembered', () => {
    const { bench } = onlineClient();
    const reply = signedReply();
    const effects = bench.packet(PATH, reply);
    expect(effects).toMatchObject([
      { kind: 'remember', memory: { remote: undefined, replay: { newest: BEGIN / 1000 } } },
    ]);
    expect(bench.status).toMatchObject({ phase: 'established', repliesVerified: 1 });
    bench.packet(PATH, reply);
    expect(bench.status).toMatchObject({ repliesVerified: 1, refused: { replayed: 1 } });
  });

  const spoiled = signedReply();
  spoiled[60] = (spoiled[60] ?? 0) ^ 1;

  it.each([
    ['signature', 'of somebody else', requestAt()],
    ['signature', 'spoiled', spoiled],
    ['clock', 'of another time', signedReply(-400)],
    ['length', 'cut', signedReply().subarray(1)],
  ])('is refused for its %s: %s', (reason, _what, payload) => {
    const { bench } = onlineClient();
    expect(bench.packet(PATH, payload)).toEqual([]);
    expect(bench.status).toMatchObject({ phase: 'authenticating', refused: { [reason]: 1 } });
    expect(bench.status.lastHeardAt).toBeUndefined();
  });

  it('is refused when it is our own packet, when it answers nothing, and from elsewhere', () => {
    const { bench, request } = onlineClient({ timers: { deadPeerTimeout: seconds(0) } });
    bench.packet(PATH, request);
    bench.packet({ ...PATH, remote: endpoint('198.51.100.9', 10_000) }, signedReply());
    bench.pass(240_000);
    bench.packet(PATH, signedReply(240));
    const refused = { 'wrong-direction': 1, 'wrong-source': 1, unsolicited: 1 };
    expect(bench.status).toMatchObject({ phase: 'authenticating', refused });
  });

  it('that is older than one accepted in an earlier run is refused', () => {
    const bench = new Bench(configOf('client'));
    const replay = { newest: seconds(BEGIN / 1000 + 5), seen: [] };
    bench.start({ remote: undefined, replay }, undefined);
    bench.located(LOCAL);
    bench.packet(PATH, signedReply(4));
    expect(bench.status.refused).toEqual({ stale: 1 });
  });

  it('that reverses a request is good once, where no public key is set', () => {
    const { bench, request } = onlineClient(UNSIGNED);
    bench.packet(PATH, request.toReversed());
    expect(bench.status).toMatchObject({ phase: 'established', repliesVerified: 1 });
    bench.packet(PATH, request.toReversed());
    expect(bench.status).toMatchObject({ repliesVerified: 1, refused: { unsolicited: 1 } });
  });

  it('that reverses a request proves nothing where the public key is set', () => {
    const { bench, request } = onlineClient();
    bench.packet(PATH, request.toReversed());
    expect(bench.status).toMatchObject({ phase: 'authenticating', repliesVerified: 0 });
  });

  it('that reverses an older request of the last half minute is good, too', () => {
    const { bench, request } = onlineClient(UNSIGNED);
    bench.now = 5000;
    bench.do({ kind: 'reauthenticate' });
    bench.packet(PATH, request.toReversed());
    expect(bench.status.repliesVerified).toBe(1);
  });

  it('that is empty answers an empty request', () => {
    const { bench } = onlineClient({ proof: { kind: 'none' } });
    bench.packet(PATH, EMPTY);
    bench.packet(PATH, EMPTY);
    expect(bench.status).toMatchObject({ phase: 'established', repliesVerified: 1, refused: {} });
  });

  it('reversing the token answers the token', () => {
    const token = new TextEncoder().encode('open sesame');
    const { bench } = onlineClient({ proof: { kind: 'token', token } });
    bench.packet(PATH, token);
    expect(bench.status.repliesVerified).toBe(0);
    bench.packet(PATH, token.toReversed());
    expect(bench.status.repliesVerified).toBe(1);
  });
});

describe('an empty packet', () => {
  it('of the server is a sign of life and is not answered', () => {
    const { bench } = onlineClient();
    expect(bench.packet(PATH, EMPTY)).toEqual([]);
    expect(bench.status).toMatchObject({ phase: 'established', repliesVerified: 0, refused: {} });
  });
});

describe('authentication packets', () => {
  it('come every two seconds or so on a new path without a sign of life, after three minutes with the keepalive', () => {
    const { bench } = onlineClient({ timers: { keepalive: seconds(27) } });
    const times = sends(bench, 400_000);
    const gaps = times.map((at, index) => at - (times[index - 1] ?? 0));
    const [first, ...others] = gaps.slice(0, EAGER_SENDS - 1);
    expect(first).toBeGreaterThanOrEqual(800);
    expect(first).toBeLessThanOrEqual(1200);
    expect(Math.min(...others)).toBeGreaterThanOrEqual(1600);
    expect(Math.max(...others)).toBeLessThanOrEqual(2400);
    const late = gaps.slice(EAGER_SENDS - 1);
    expect(late.length).toBeGreaterThan(4);
    expect(new Set(late)).toEqual(new Set([27_000]));
  });

  it('end after three minutes without an answer where there is no keepalive', () => {
    const { bench } = onlineClient();
    expect(sends(bench, 3600_000)).toHaveLength(EAGER_SENDS - 1);
  });

  it('come with the keepalive alone while they are answered', () => {
    const { bench } = onlineClient({ timers: { keepalive: seconds(27) } });
    const times: number[] = [];
    bench.packet(PATH, signedReply());
    for (let i = 1; i <= 4; i++) {
      times.push(...sends(bench, 27_000));
      bench.packet(PATH, signedReply(27 * i));
    }
    expect(times).toEqual([27_000, 54_000, 81_000, 108_000]);
  });

  it('do not come at all with keepalive 0 after a sign of life', () => {
    const { bench } = onlineClient();
    bench.packet(PATH, signedReply());
    expect(sends(bench, 24 * 3600_000)).toEqual([]);
    expect(bench.status.phase).toBe('established');
  });

  it('come at once when the operator asks', () => {
    const { bench } = onlineClient();
    expect(kindsOf(bench.do({ kind: 'reauthenticate' }))).toEqual(['authenticate']);
    const waiting = new Bench(configOf('client'));
    waiting.start();
    expect(waiting.do({ kind: 'reauthenticate' })).toEqual([]);
  });

  it('are never alike, and only the last few are kept', () => {
    const { bench, request } = onlineClient();
    const seen = new Set([Buffer.from(request).toString('hex')]);
    for (let i = 0; i < 20; i++) {
      const packet = sentIn(bench.do({ kind: 'reauthenticate' }));
      seen.add(Buffer.from(packet).toString('hex'));
    }
    expect(seen.size).toBe(21);
    expect(bench.state).toMatchObject({ requests: { length: REQUESTS_MAX } });
  });

  it('do not go back in time when the clock is set back a little', () => {
    const { bench, request } = onlineClient();
    bench.skew = -100_000;
    const packet = sentIn(bench.do({ kind: 'reauthenticate' }));
    expect(packet.subarray(64, 69)).toEqual(request.subarray(64, 69));
  });
});

describe('a server that has replied and falls silent', () => {
  function silentServer(keepalive: number, remoteHost: string = SERVER.ip) {
    const bench = new Bench(
      configOf('client', { timers: { keepalive: seconds(keepalive) }, remoteHost }),
    );
    bench.start();
    bench.do({ kind: 'resolved', addresses: [SERVER.ip] });
    bench.located(LOCAL);
    bench.packet(PATH, signedReply());
    bench.counters(0, 0);
    return bench;
  }

  it('is asked with growing pauses, and dead after deadPeerTimeout', () => {
    const bench = silentServer(60);
    const times = sends(bench, 60_000 + 29_000);
    expect(times[0]).toBe(60_000);
    expect(times.length).toBeGreaterThanOrEqual(5);
    expect(times.length).toBeLessThanOrEqual(6);
    expect(bench.status.phase).toBe('established');
    bench.pass(1000);
    expect(bench.status.phase).toBe('authenticating');
  });

  it('is asked half of deadPeerTimeout after data began to go unanswered', () => {
    const bench = silentServer(0);
    bench.now = 10_000;
    bench.counters(0, 5);
    expect(sends(bench, 15_001)).toEqual([25_000]);
    bench.packet(PATH, signedReply(25));
    bench.pass(100_000);
    expect(bench.status.phase).toBe('established');
  });

  it('has its name and the route looked up when it is dead, again and again', () => {
    const bench = silentServer(0, 'server.example');
    bench.counters(0, 5);
    const asked = bench.pass(30_000).map(({ effect }) => effect.kind);
    expect(asked.filter((kind) => kind === 'resolve')).toHaveLength(1);
    expect(asked.filter((kind) => kind === 'locate')).toHaveLength(1);
    bench.located(LOCAL);
    bench.do({ kind: 'resolved', addresses: [SERVER.ip] });
    const later = bench.pass(60_000).filter(({ effect }) => effect.kind === 'resolve');
    expect(later).toHaveLength(1);
    const moved = bench.do({ kind: 'resolved', addresses: [ip('198.51.100.7')] });
    expect(moved).toEqual([{ kind: 'locate', remotes: ['198.51.100.7'] }]);
    const effects = bench.located(LOCAL);
    expect(kindsOf(effects)).toEqual(['admit', 'authenticate', 'poll-counters']);
    expect(bench.status.path?.remote.ip).toBe('198.51.100.7');
  });

  it.each([
    ['a reply', (bench: Bench) => bench.packet(PATH, signedReply(bench.now / 1000))],
    ['received data', (bench: Bench) => bench.counters(1, 9)],
    ['an empty packet', (bench: Bench) => bench.packet(PATH, EMPTY)],
  ])('is back with %s', (_what, act) => {
    const bench = silentServer(0);
    bench.counters(0, 5);
    bench.pass(40_000);
    expect(bench.status.phase).toBe('authenticating');
    act(bench);
    expect(bench.status.phase).toBe('established');
  });

  it('is never dead when deadPeerTimeout is 0', () => {
    const bench = new Bench(configOf('client', { timers: { deadPeerTimeout: seconds(0) } }));
    bench.start();
    bench.located(LOCAL);
    bench.packet(PATH, signedReply());
    bench.do({ kind: 'reauthenticate' });
    bench.pass(3600_000);
    expect(bench.status.phase).toBe('established');
  });
});

describe('an error that the network reports', () => {
  it('makes a client ask whether its server is there, once in a while and nothing more', () => {
    const { bench } = onlineClient();
    bench.packet(PATH, signedReply());
    let sent = 0;
    for (let tenth = 0; tenth < 100; tenth++) {
      bench.now = 1000 + tenth * 100;
      if (!kindsOf(bench.do(UNREACHABLE)).includes('authenticate')) continue;
      sent += 1;
      bench.packet(PATH, signedReply(Math.ceil(bench.now / 1000)));
    }
    expect(sent).toBe(2);
    expect(bench.status).toMatchObject({ phase: 'established', path: PATH });
  });

  it('is nothing to a client that is asking already, or has no way', () => {
    const { bench } = onlineClient();
    expect(bench.do(UNREACHABLE)).toEqual([]);
    bench.packet(PATH, signedReply());
    bench.located();
    expect(bench.do(UNREACHABLE)).toEqual([]);
  });
});

describe('two servers at one address and port', () => {
  it('cannot both be admitted: the former is told and stays out', () => {
    const { bench } = onlineClient();
    expect(kindsOf(bench.do({ kind: 'displaced', path: PATH }))).toEqual(['evict']);
    expect(bench.status.path).toBeUndefined();
    const later = bench.pass(300_000).filter(({ effect }) => effect.kind === 'admit');
    expect(later).toEqual([]);
  });
});
