import { describe, expect, it } from 'vitest';
import { generateKeyPair, openSessionCrypto } from '../../../src/adapters/crypto.ts';
import { schemeOf } from '../../../src/core/auth/schemes.ts';
import { OWN_RATE, SOURCE_RATE } from '../../../src/core/budgets.ts';
import type { Path } from '../../../src/core/addr.ts';
import type { SessionMemory } from '../../../src/core/session/types.ts';
import { millis, port, seconds } from '../../../src/core/units.ts';
import {
  BEGIN,
  Bench,
  CLIENT,
  CLIENT_PROOF,
  configOf,
  ip,
  kindsOf,
  PATH,
  pathFrom,
  requestAt,
  SECRET,
  sentIn,
  servingClient,
  SERVER_PROOF,
  startedServer,
  hintedRequest,
} from './bench.ts';

const EMPTY = new Uint8Array();
const DATA = Uint8Array.from([0x45, 0, 0, 20, ...new Uint8Array(16)]);

function memoryOf(lastHeardAt: number, changes: Partial<SessionMemory> = {}): SessionMemory {
  const at = millis(BEGIN + lastHeardAt * 1000);
  return {
    remote: { path: PATH, authenticatedAt: at, lastHeardAt: at },
    replay: undefined,
    peer: schemeOf(SERVER_PROOF).mark(),
    ...changes,
  };
}

describe('an authentic packet', () => {
  it('is written down, then admitted, then answered', () => {
    const bench = startedServer();
    const request = requestAt();
    const effects = bench.packet(PATH, request);
    expect(kindsOf(effects)).toEqual(['remember', 'admit', 'reply']);
    expect(effects[0]).toMatchObject({
      memory: {
        remote: { path: PATH, authenticatedAt: BEGIN, lastHeardAt: BEGIN },
        replay: { newest: BEGIN / 1000 },
      },
    });
    expect(effects[1]).toEqual({ kind: 'admit', path: PATH });
    const reply = sentIn(effects);
    const look = schemeOf(CLIENT_PROOF).takeReply(undefined, reply, [request], {
      crypto: openSessionCrypto(CLIENT_PROOF),
      now: millis(BEGIN),
    });
    expect(look.ok && look.prove().ok).toBe(true);
    expect(bench.status).toMatchObject({ phase: 'established', path: PATH, refused: {} });
  });

  it('on the admitted path only refreshes', () => {
    const bench = servingClient();
    expect(kindsOf(bench.packet(PATH, requestAt(1)))).toEqual(['remember', 'reply']);
  });

  it('from elsewhere moves the tunnel', () => {
    const bench = servingClient();
    const effects = bench.packet(pathFrom('203.0.113.9'), requestAt(1));
    expect(kindsOf(effects)).toEqual(['remember', 'admit', 'reply']);
    expect(bench.status.path).toEqual(pathFrom('203.0.113.9'));
  });

  it('is not answered unless so configured', () => {
    const bench = startedServer({ auth: { replyOnAuthOk: false } });
    expect(kindsOf(bench.packet(PATH, requestAt()))).toEqual(['remember', 'admit']);
  });

  it('is answered by its reversal where no own key is set, with the configured TTL', () => {
    const proof = { ...SERVER_PROOF, privateSeed: undefined };
    const bench = startedServer({ proof, auth: { packetTtl: 64 } });
    const request = requestAt();
    const effects = bench.packet(PATH, request);
    expect(sentIn(effects)).toEqual(request.toReversed());
    expect(effects.at(-1)).toMatchObject({ ttl: 64, path: PATH });
  });

  it('may carry a signed trailer, and the answer is just as long as it', () => {
    const bench = startedServer();
    const { sign } = openSessionCrypto(CLIENT_PROOF);
    const signed = Buffer.concat([requestAt().subarray(64), Buffer.from('trailer')]);
    const signature = sign?.(Buffer.concat([signed, SECRET])) ?? EMPTY;
    const effects = bench.packet(PATH, Buffer.concat([signature, signed]));
    expect(sentIn(effects)).toHaveLength(80);
  });
});

describe('a refused packet', () => {
  const stranger = generateKeyPair();
  const foreign = openSessionCrypto({
    kind: 'ed25519',
    privateSeed: stranger.privateSeed,
    peerPublicKey: undefined,
    secret: SECRET,
    maxTimeDiscrepancy: seconds(0),
  });
  const spoiled = requestAt();
  spoiled[5] = (spoiled[5] ?? 0) ^ 1;

  it.each([
    ['empty', EMPTY, 'length'],
    ['short', requestAt().subarray(0, 72), 'length'],
    ['data', DATA, 'not-authentication'],
    ['too old', requestAt(-301), 'clock'],
    ['too new', requestAt(301), 'clock'],
    ['spoiled', spoiled, 'signature'],
    ['of another key', requestAt(0, foreign), 'signature'],
  ])('that is %s is counted and changes nothing else', (_what, payload, reason) => {
    const bench = startedServer();
    const before = bench.state;
    expect(bench.packet(PATH, payload)).toEqual([]);
    expect(bench.status.refused).toEqual({ [reason]: 1 });
    expect(bench.state.replay).toBe(before.replay);
    expect(bench.status.path).toBeUndefined();
  });

  it('with a good time and a bad signature does not shut out the packet of the same time', () => {
    const bench = startedServer();
    bench.packet(PATH, requestAt(200, foreign));
    expect(kindsOf(bench.packet(PATH, requestAt(0)))).toContain('admit');
  });

  it('is refused the second time, and when it is older than the newest', () => {
    const bench = startedServer();
    const [first, second] = [requestAt(), requestAt(5)];
    bench.packet(PATH, first);
    expect(bench.packet(PATH, first)).toEqual([]);
    bench.packet(PATH, second);
    expect(bench.packet(pathFrom('203.0.113.9'), first)).toEqual([]);
    expect(bench.status.refused).toEqual({ replayed: 1, stale: 1 });
    expect(bench.status.path).toEqual(PATH);
  });

  it('is refused by the memory of an earlier run', () => {
    const first = startedServer();
    const request = requestAt();
    const [remembered] = first.packet(PATH, request);
    expect(remembered).toMatchObject({ kind: 'remember' });
    const memory = remembered?.kind === 'remember' ? remembered.memory : undefined;
    const second = new Bench(configOf('server'));
    second.start(memory, PATH);
    second.packet(pathFrom('203.0.113.9'), request);
    expect(second.status.refused).toEqual({ replayed: 1 });
  });

  it('of the peer does not count as a sign of life', () => {
    const bench = servingClient();
    const { lastHeardAt } = bench.status;
    bench.now += 5000;
    bench.packet(PATH, spoiled);
    expect(bench.status.lastHeardAt).toBe(lastHeardAt);
  });

  it('in a flood of one source leaves other sources and the own path their turn', () => {
    const bench = servingClient();
    for (let i = 0; i < 50; i++) bench.packet(pathFrom('192.0.2.1'), requestAt(0, foreign));
    const limited = 50 - SOURCE_RATE.burst;
    expect(bench.status.refused).toEqual({ signature: 10, 'rate-limited': limited });
    expect(kindsOf(bench.packet(PATH, requestAt(1)))).toContain('reply');
    expect(kindsOf(bench.packet(pathFrom('203.0.113.9'), requestAt(2)))).toContain('admit');
  });

  it('is limited on the own path, too: what is left there is what the address has', () => {
    const bench = servingClient();
    for (let i = 0; i < 50; i++) bench.packet(PATH, requestAt(0, foreign));
    expect(bench.status.refused['signature']).toBe(OWN_RATE.burst + SOURCE_RATE.burst - 1);
  });

  it('with a hint that somebody has seen leaves the peer its way in', () => {
    const altered = hintedRequest();
    altered[40] = (altered[40] ?? 0) ^ 1;
    const flood = (bench: Bench, from: (index: number) => Path) => {
      for (let i = 0; i < 100; i++) bench.packet(from(i), altered);
    };
    const elsewhere = pathFrom('198.18.0.1');
    const one = servingClient();
    flood(one, () => pathFrom('192.0.2.9'));
    expect(one.status.refused['signature']).toBe(SOURCE_RATE.burst);
    expect(kindsOf(one.packet(elsewhere, hintedRequest()))).toContain('admit');
    // Whoever floods from as many addresses as he likes cannot keep it from where it was known.
    const many = servingClient();
    for (let round = 0; round < 3; round++) flood(many, (i) => pathFrom(`192.0.${round}.${i}`));
    expect(kindsOf(many.packet(elsewhere, hintedRequest()))).toEqual([]);
    const otherPort = { ...PATH, remote: { ...PATH.remote, port: port(40_999) } };
    expect(kindsOf(many.packet(otherPort, hintedRequest()))).toContain('admit');
  });

  it('does not use up tokens when it is mere data', () => {
    const bench = startedServer();
    for (let i = 0; i < 1000; i++) bench.packet(PATH, DATA);
    expect(kindsOf(bench.packet(PATH, requestAt()))).toContain('admit');
  });
});

describe('auth-by-remote', () => {
  it('accepts only the configured address and port', () => {
    const bench = startedServer({
      auth: { byRemoteIp: true, byRemotePort: true },
      remoteHost: CLIENT.ip,
      remotePort: port(40_000),
    });
    bench.packet(pathFrom('203.0.113.2'), requestAt());
    bench.packet(pathFrom('203.0.113.1', 40_001), requestAt());
    expect(bench.status.refused).toEqual({ 'wrong-source': 2 });
    expect(kindsOf(bench.packet(PATH, requestAt()))).toContain('admit');
  });

  it('accepts nobody while a name has not resolved, and asks again', () => {
    const bench = new Bench(
      configOf('server', { auth: { byRemoteIp: true }, remoteHost: 'client.example' }),
    );
    expect(bench.start()).toEqual([{ kind: 'resolve', host: 'client.example' }]);
    bench.packet(PATH, requestAt());
    expect(bench.status.refused).toEqual({ unresolved: 1 });
    bench.do({ kind: 'resolved', addresses: [] });
    expect(bench.pass(1200).map(({ effect }) => effect.kind)).toEqual(['resolve']);
    bench.do({ kind: 'resolved', addresses: [ip('203.0.113.5'), CLIENT.ip] });
    expect(kindsOf(bench.packet(PATH, requestAt(1)))).toContain('admit');
    bench.packet(pathFrom('203.0.113.6'), requestAt(2));
    expect(bench.status.refused).toMatchObject({ 'wrong-source': 1 });
  });

  it('asks for the name again only while the peer is silent, and keeps the last addresses', () => {
    const bench = new Bench(
      configOf('server', {
        auth: { byRemoteIp: true },
        remoteHost: 'client.example',
        timers: { connectionIdle: seconds(120), authLifetime: seconds(0) },
      }),
    );
    bench.start();
    bench.do({ kind: 'resolved', addresses: [CLIENT.ip] });
    bench.packet(PATH, requestAt());
    const asked = bench.pass(200_000).filter(({ effect }) => effect.kind === 'resolve');
    expect(asked.map(({ at }) => at)).toEqual([120_000, 150_000, 180_000]);
    bench.do({ kind: 'resolved', addresses: [] });
    expect(kindsOf(bench.packet(PATH, requestAt(200)))).toEqual(['remember', 'reply']);
  });

  it('sends an answer that never comes after its question again', () => {
    const bench = new Bench(
      configOf('server', { auth: { byRemoteIp: true }, remoteHost: 'client.example' }),
    );
    bench.start();
    expect(bench.pass(95_000).map(({ at }) => at)).toEqual([30_000, 60_000, 90_000]);
  });
});

describe('the remote', () => {
  const timers = { connectionIdle: seconds(60), authLifetime: seconds(100) };

  it('expires, runs out and is forgotten, each in its second', () => {
    const bench = servingClient({ timers });
    expect(bench.status.rememberedUntil).toBe(BEGIN + 160_000);
    bench.pass(59_999);
    expect(bench.status.phase).toBe('established');
    bench.pass(1);
    expect(bench.status.phase).toBe('listening');
    const late = bench.pass(100_000).filter(({ effect }) => effect.kind !== 'poll-counters');
    expect(late.map(({ at, effect }) => [at, effect.kind])).toEqual([
      [160_000, 'remember'],
      [160_000, 'evict'],
    ]);
    expect(bench.status.path).toBeUndefined();
    expect(bench.wakeAt).toBeUndefined();
  });

  it('has its counters read a second before it is forgotten', () => {
    const bench = servingClient({ timers });
    const polls = bench.pass(160_000).filter(({ effect }) => effect.kind === 'poll-counters');
    expect(polls.at(-1)?.at).toBe(159_000);
    expect(polls.length).toBeLessThan(20);
  });

  it.each([
    ['received data revives it', (bench: Bench) => bench.counters(6, 0), true],
    ['sent data does not', (bench: Bench) => bench.counters(5, 9), false],
    ['counters that began again do not', (bench: Bench) => bench.counters(0, 0), false],
    ['an empty packet does', (bench: Bench) => bench.packet(PATH, EMPTY), true],
    ['data that arrives here does', (bench: Bench) => bench.packet(PATH, DATA), true],
    [
      "a stranger's data does not",
      (bench: Bench) => bench.packet(pathFrom('192.0.2.1'), DATA),
      false,
    ],
  ])('after a silence, %s', (_what, act, alive) => {
    const bench = servingClient({ timers });
    bench.counters(5, 0);
    bench.pass(150_000);
    act(bench);
    expect(bench.status.phase).toBe(alive ? 'established' : 'listening');
    bench.pass(10_000);
    expect(bench.status.path !== undefined).toBe(alive);
  });

  it('has its signs of life written down from time to time', () => {
    const bench = servingClient();
    bench.counters(0, 0);
    const written: number[] = [];
    for (let i = 1; i <= 60; i++) {
      bench.pass(10_000);
      if (kindsOf(bench.counters(i, 0)).includes('remember')) written.push(bench.now / 1000);
    }
    expect(written).toEqual([60, 120, 180, 240, 300, 360, 420, 480, 540, 600]);
  });

  it('gets a keepalive when so configured, and nobody else does', () => {
    const bench = startedServer({ timers: { keepalive: seconds(20) } });
    expect(bench.pass(100_000)).toEqual([]);
    bench.packet(PATH, requestAt(100));
    const sent = bench.pass(50_000).filter(({ effect }) => effect.kind === 'send');
    expect(sent).toEqual(
      [120_000, 140_000].map((at) => ({
        at,
        effect: { kind: 'send', purpose: 'keepalive', path: PATH, payload: EMPTY, ttl: undefined },
      })),
    );
  });
});

describe('an admission that fails', () => {
  const OTHER = pathFrom('203.0.113.9');

  it('leaves the earlier path in place and is tried again with growing pauses', () => {
    const bench = servingClient();
    bench.packet(OTHER, requestAt(1));
    const failed = bench.do({ kind: 'admit-failed', path: OTHER });
    expect(failed).toMatchObject([{ kind: 'remember', memory: { remote: { path: PATH } } }]);
    expect(bench.status.path).toEqual(PATH);
    const tries: number[] = [];
    for (let i = 0; i < 300; i++) {
      const admitted = bench.pass(100).some(({ effect }) => effect.kind === 'admit');
      if (!admitted) continue;
      tries.push(bench.now);
      bench.do({ kind: 'admit-failed', path: OTHER });
    }
    const pauses = tries.map((at, index) => (at - (tries[index - 1] ?? 0)) / 1000);
    expect(tries.length).toBeGreaterThanOrEqual(4);
    for (const [index, pause] of pauses.entries()) {
      expect(pause).toBeGreaterThanOrEqual(0.8 * 2 ** index - 0.1);
      expect(pause).toBeLessThanOrEqual(1.2 * 2 ** index + 0.1);
    }
  });

  it('of the first peer evicts whatever may be left', () => {
    const bench = servingClient();
    const effects = bench.do({ kind: 'admit-failed', path: PATH });
    expect(kindsOf(effects)).toEqual(['remember', 'evict']);
    expect(bench.status.path).toBeUndefined();
    const again = bench.pass(1300).map(({ effect }) => effect);
    expect(kindsOf(again)).toEqual(['remember', 'admit']);
    expect(bench.status.path).toEqual(PATH);
  });

  it('is dropped when the peer comes back to the earlier path', () => {
    const bench = servingClient();
    bench.packet(OTHER, requestAt(1));
    bench.do({ kind: 'admit-failed', path: OTHER });
    expect(kindsOf(bench.packet(PATH, requestAt(2)))).toEqual(['remember', 'reply']);
    const later = bench.pass(60_000).filter(({ effect }) => effect.kind === 'admit');
    expect(later).toEqual([]);
  });

  it('leaves no path in place whose own admission has failed as well', () => {
    const bench = servingClient();
    bench.packet(OTHER, requestAt(1));
    bench.packet(pathFrom('203.0.113.10'), requestAt(2));
    expect(bench.do({ kind: 'admit-failed', path: OTHER })).toEqual([]);
    const effects = bench.do({ kind: 'admit-failed', path: pathFrom('203.0.113.10') });
    expect(kindsOf(effects)).toEqual(['remember', 'evict']);
    expect(bench.status.path).toBeUndefined();
  });

  it('of another path than the current one is old news', () => {
    const bench = servingClient();
    expect(bench.do({ kind: 'admit-failed', path: OTHER })).toEqual([]);
  });
});

describe('the start', () => {
  it.each([
    ['adopted as remembered', memoryOf(-10), PATH, ['remember']],
    ['remembered, plane empty', memoryOf(-10), undefined, ['remember', 'admit']],
    ['remembered, another adopted', memoryOf(-10), pathFrom('203.0.113.9'), ['remember', 'admit']],
    ['adopted, never remembered', undefined, PATH, ['evict']],
    ['run out', memoryOf(-3721), PATH, ['remember', 'evict']],
    ['run out, plane empty', memoryOf(-3721), undefined, ['remember']],
    ['forgotten, still adopted', memoryOf(0, { remote: undefined }), PATH, ['evict']],
    ['remembered of another key', memoryOf(-10, { peer: 'ed25519-00000000' }), PATH, ['evict']],
    ['of unknown proof', memoryOf(-10, { peer: undefined }), PATH, ['evict']],
    ['nothing at all', undefined, undefined, []],
  ] as const)('%s', (_what, memory, adopted, kinds) => {
    const bench = new Bench(configOf('server'));
    expect(kindsOf(bench.start(memory, adopted))).toEqual(kinds);
  });

  it('goes on counting where the earlier run stopped', () => {
    const bench = new Bench(configOf('server'));
    bench.start(memoryOf(-3000), PATH);
    expect(bench.status.phase).toBe('listening');
    expect(bench.status.rememberedUntil).toBe(BEGIN + 720_000);
    bench.pass(719_999);
    expect(bench.status.path).toEqual(PATH);
    bench.pass(1);
    expect(bench.status.path).toBeUndefined();
  });

  it('takes a time of the future for now: the clock was set back', () => {
    const bench = new Bench(configOf('server'));
    bench.start(memoryOf(1e6), PATH);
    expect(bench.status.lastHeardAt).toBe(BEGIN);
    expect(bench.status.rememberedUntil).toBe(BEGIN + 3_720_000);
  });

  it('does not readmit whom the config no longer allows', () => {
    const wrongPort = new Bench(configOf('server', { localPort: port(10_001) }));
    expect(kindsOf(wrongPort.start(memoryOf(-10), PATH))).toEqual(['remember', 'evict']);
    const wrongIp = new Bench(
      configOf('server', { auth: { byRemoteIp: true }, remoteHost: '203.0.113.99' }),
    );
    expect(kindsOf(wrongIp.start(memoryOf(-10), PATH))).toEqual(['remember', 'evict']);
  });

  it('comes first: other events are ignored', () => {
    const bench = new Bench(configOf('server'));
    expect(bench.packet(PATH, requestAt())).toEqual([]);
    expect(bench.wakeAt).toBeUndefined();
    expect(bench.status).toMatchObject({ phase: 'listening', refused: {} });
  });
});

describe('without a proof', () => {
  const bench = startedServer({ proof: { kind: 'none' } });

  it('an empty packet is enough, and two servers do not answer each other for ever', () => {
    expect(kindsOf(bench.packet(PATH, EMPTY))).toEqual(['remember', 'admit', 'reply']);
    bench.now += 300;
    expect(kindsOf(bench.packet(PATH, EMPTY))).toEqual(['remember']);
    bench.now += 1000;
    expect(kindsOf(bench.packet(PATH, EMPTY))).toEqual(['remember', 'reply']);
  });
});

describe('with a token', () => {
  const token = new TextEncoder().encode('open sesame');
  const bench = startedServer({ proof: { kind: 'token', token } });

  it('the token is needed, and comes back reversed', () => {
    bench.packet(PATH, new TextEncoder().encode('open barley'));
    bench.packet(PATH, token.subarray(1));
    expect(bench.status.refused).toEqual({ token: 1, length: 1 });
    expect(sentIn(bench.packet(PATH, token))).toEqual(token.toReversed());
  });
});
