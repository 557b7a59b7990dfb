import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { openSessionCrypto } from '../../../src/adapters/crypto.ts';
import { familyOf, type OuterIp, type Path } from '../../../src/core/addr.ts';
import { interleave } from '../../../src/core/session/client-ways.ts';
import { CANDIDATE_SENDS, CANDIDATES_MAX } from '../../../src/core/session/limits.ts';
import type { SessionEffect } from '../../../src/core/session/types.ts';
import { seconds } from '../../../src/core/units.ts';
import {
  Bench,
  configOf,
  endpoint,
  ip,
  kindsOf,
  requestAt,
  SERVER,
  SERVER6,
  SERVER_PROOF,
} from './bench.ts';

const NAME = 'server.example';
const LOCAL = ip('10.0.0.2');
const LOCAL6 = ip('2001:db8:c::2');
const PATH: Path = { local: endpoint(LOCAL, 10_000), remote: SERVER };
const PATH6: Path = { local: endpoint(LOCAL6, 10_000), remote: SERVER6 };
const OTHER = ip('198.51.100.2');

const serverCrypto = openSessionCrypto(SERVER_PROOF);
const replyAt = (bench: Bench): Uint8Array => requestAt(Math.ceil(bench.now / 1000), serverCrypto);

type Timers = { readonly keepalive?: number; readonly dead?: number };

/** A client of a name with these addresses, whose host has routes from these. */
function client(
  addresses: readonly OuterIp[],
  locals: readonly OuterIp[],
  { keepalive = 27, dead = 30 }: Timers = {},
): Bench {
  const timers = { keepalive: seconds(keepalive), deadPeerTimeout: seconds(dead) };
  const bench = new Bench(configOf('client', { remoteHost: NAME, timers }));
  bench.start();
  bench.do({ kind: 'resolved', addresses });
  bench.located(...locals);
  return bench;
}

/** One that works by IPv6, and could by IPv4. */
function established(timers?: Timers): Bench {
  const bench = client([SERVER6.ip, SERVER.ip], [LOCAL, LOCAL6], timers);
  bench.packet(PATH6, replyAt(bench));
  bench.counters(0, 0);
  expect(bench.status).toMatchObject({ phase: 'established', path: PATH6 });
  return bench;
}

type Timed = ReturnType<Bench['pass']>[number];

/** Where requests went, in their order. */
function asked(effects: readonly Timed[]): readonly OuterIp[] {
  return effects.flatMap(({ effect }) => (effect.kind === 'send' ? effect.path.remote.ip : []));
}

const admits = (effects: readonly SessionEffect[]): readonly Path[] =>
  effects.flatMap((effect) => (effect.kind === 'admit' ? effect.path : []));

describe('the addresses of a name', () => {
  it.each([
    [
      ['::1', '::2', '1.1.1.1', '2.2.2.2'],
      ['::1', '1.1.1.1', '::2', '2.2.2.2'],
    ],
    [
      ['1.1.1.1', '2.2.2.2', '3.3.3.3', '::1'],
      ['1.1.1.1', '::1', '2.2.2.2', '3.3.3.3'],
    ],
    [
      ['::1', '1.1.1.1', '2.2.2.2', '3.3.3.3'],
      ['::1', '1.1.1.1', '2.2.2.2', '3.3.3.3'],
    ],
    [['1.1.1.1', '1.1.1.1'], ['1.1.1.1']],
    [[], []],
  ])('%j are tried in the order %j: families by turns', (given, order) => {
    expect(interleave(given.map(ip))).toEqual(order);
  });

  it('are all tried, each once, those of one family in their order', () => {
    const address = fc.oneof(
      fc.ipV4(),
      fc.integer({ min: 1, max: 99 }).map((n) => `2001:db8::${n}`),
    );
    fc.assert(
      fc.property(fc.array(address, { maxLength: 12 }), (given) => {
        const order = interleave(given.map(ip));
        expect(new Set(order)).toEqual(new Set(given));
        expect(order).toHaveLength(new Set(given).size);
        expect(order[0]).toBe(given[0]);
        for (const family of ['ipv4', 'ipv6'] as const) {
          const of = (list: readonly OuterIp[]) =>
            list.filter((one, i) => familyOf(one) === family && list.indexOf(one) === i);
          expect(of(order)).toEqual(of(given.map(ip)));
        }
      }),
    );
  });

  it('are looked for ways to all at once, a bounded number of them', () => {
    const many = Array.from({ length: 50 }, (_unused, i) => ip(`198.51.100.${i + 1}`));
    const bench = new Bench(configOf('client', { remoteHost: NAME }));
    bench.start();
    const [effect] = bench.do({ kind: 'resolved', addresses: [SERVER6.ip, ...many] });
    expect(effect).toMatchObject({ kind: 'locate', remotes: { length: CANDIDATES_MAX } });
  });
});

describe('a name of more addresses than are tried, in another order every time', () => {
  const many = Array.from({ length: 50 }, (_unused, i) => ip(`198.51.100.${i + 1}`));

  it('keeps the one in use among them', () => {
    const bench = client(many, [LOCAL]);
    bench.pass(60_500);
    const before = bench.status.path?.remote.ip;
    bench.do({ kind: 'resolved', addresses: many.toReversed() });
    expect(bench.told('resolved')).toHaveLength(1);
    expect(bench.status.path?.remote.ip).toBe(before);
    expect(bench.state).toMatchObject({ addresses: { length: CANDIDATES_MAX } });
  });
});

describe('a client of a server with both families', () => {
  it.each([
    ['the first that the system names', [LOCAL, LOCAL6], PATH6],
    ['IPv4 where there is no route of IPv6', [LOCAL], PATH],
    ['IPv6 where there is no route of IPv4', [LOCAL6], PATH6],
  ])('begins with %s', (_what, locals, path) => {
    const bench = client([SERVER6.ip, SERVER.ip], locals);
    expect(bench.status).toMatchObject({ phase: 'authenticating', path });
    expect(bench.told('other-address')).toEqual([]);
  });

  it('begins with what the plane still carries', () => {
    const bench = new Bench(configOf('client', { remoteHost: NAME }));
    bench.start(undefined, PATH);
    bench.do({ kind: 'resolved', addresses: [SERVER6.ip, SERVER.ip] });
    const effects = bench.located(LOCAL, LOCAL6);
    expect(kindsOf(effects)).toEqual(['authenticate', 'poll-counters']);
    expect(bench.status.path).toEqual(PATH);
  });

  it('asks three times by one family, then by the other, and so on while nothing is heard', () => {
    const bench = client([SERVER6.ip, SERVER.ip], [LOCAL, LOCAL6], { keepalive: 0 });
    const [six, four] = [SERVER6.ip, SERVER.ip];
    const first = Array.from<OuterIp>({ length: CANDIDATE_SENDS - 1 }).fill(six);
    const turns = asked(bench.pass(16_500));
    expect(turns.slice(0, 8)).toEqual([...first, four, four, four, six, six, six]);
    expect(bench.told('other-address').slice(0, 2)).toEqual([
      { kind: 'other-address', address: four, before: six, why: 'no-answer', again: false },
      { kind: 'other-address', address: six, before: four, why: 'no-answer', again: false },
    ]);
    bench.pass(30_000);
    expect(bench.told('other-address').at(-1)).toMatchObject({ again: true });
  });

  it('comes to a server of IPv4 alone within six seconds', () => {
    const bench = client([SERVER6.ip, SERVER.ip], [LOCAL, LOCAL6]);
    const seen = bench.pass(6000);
    const at = seen.find(({ effect }) => effect.kind === 'admit')?.at;
    expect(at).toBeGreaterThan(4000);
    expect(seen.filter(({ effect }) => effect.kind === 'admit')).toHaveLength(1);
    bench.packet(PATH, replyAt(bench));
    expect(bench.status).toMatchObject({ phase: 'established', path: PATH });
    expect(asked(bench.pass(26_000))).not.toContain(SERVER6.ip);
  });

  it('goes on at once when the network says that its packets do not arrive', () => {
    const bench = client([SERVER6.ip, SERVER.ip], [LOCAL, LOCAL6]);
    bench.do({ kind: 'unreachable', code: 'net', from: LOCAL6 });
    expect(asked(bench.pass(1300))).toEqual([SERVER.ip]);
  });

  it('takes one request each once three minutes have brought nothing, and never ends', () => {
    const bench = client([SERVER6.ip, SERVER.ip], [LOCAL, LOCAL6]);
    bench.pass(240_000);
    const turns = asked(bench.pass(27_000 * 4));
    expect(turns).toHaveLength(4);
    for (const [index, address] of turns.entries()) {
      if (index > 0) expect(address).not.toBe(turns[index - 1]);
    }
  });

  it('says that neither answers, once and not at every turn', () => {
    const bench = client([SERVER6.ip, SERVER.ip], [LOCAL, LOCAL6]);
    bench.pass(58_000);
    expect(bench.told('trouble')).toHaveLength(1);
    const [trouble] = bench.status.troubles;
    expect(trouble).toMatchObject({ kind: 'no-answer', others: [expect.any(String) as string] });
  });

  it('looks its name up every minute until it hears of it', () => {
    const bench = client([SERVER6.ip, SERVER.ip], [LOCAL, LOCAL6]);
    const lookUps = (effects: readonly Timed[]) =>
      effects.filter(({ effect }) => effect.kind === 'resolve');
    expect(lookUps(bench.pass(61_000))).toHaveLength(1);
    bench.do({ kind: 'resolved', addresses: [SERVER.ip] });
    bench.located(LOCAL, LOCAL6);
    bench.packet(PATH, replyAt(bench));
    expect(bench.status.phase).toBe('established');
    expect(lookUps(bench.pass(26_000))).toEqual([]);
  });
});

describe('a client that works by one family', () => {
  it('goes to the other at once when its route is lost, and stays where it works', () => {
    const bench = established();
    const effects = bench.located(LOCAL);
    expect(kindsOf(effects).slice(0, 2)).toEqual(['admit', 'authenticate']);
    expect(admits(effects)).toEqual([PATH]);
    expect(bench.told('other-address')).toMatchObject([{ why: 'no-route', address: SERVER.ip }]);
    bench.packet(PATH, replyAt(bench));
    expect(bench.located(LOCAL, LOCAL6)).toEqual([]);
    bench.pass(20_000);
    expect(bench.status).toMatchObject({ phase: 'established', path: PATH });
  });

  it('goes back when the other fails in its turn', () => {
    const bench = established();
    bench.located(LOCAL);
    bench.packet(PATH, replyAt(bench));
    bench.located(LOCAL, LOCAL6);
    expect(admits(bench.located(LOCAL6))).toEqual([PATH6]);
  });

  it('begins where it was when all routes were lost and are back', () => {
    const bench = established();
    bench.located(LOCAL);
    bench.packet(PATH, replyAt(bench));
    bench.located();
    expect(bench.status.phase).toBe('offline');
    expect(kindsOf(bench.located(LOCAL, LOCAL6))).toContain('authenticate');
    expect(bench.status.path).toEqual(PATH);
  });

  it('says of each of them that it has no route, when none has', () => {
    const bench = established();
    bench.located();
    const others = [{ remote: SERVER.ip, why: undefined }];
    expect(bench.status.troubles).toEqual([
      { kind: 'no-route', remote: SERVER6.ip, why: undefined, others },
    ]);
  });

  it('goes to the first that has a route after it had none', () => {
    const bench = established();
    bench.located();
    expect(admits(bench.located(LOCAL))).toEqual([PATH]);
  });

  it('goes to the other when the plane refuses the one', () => {
    const bench = client([SERVER6.ip, SERVER.ip], [LOCAL, LOCAL6]);
    bench.packet(PATH6, replyAt(bench));
    expect(admits(bench.do({ kind: 'admit-failed', path: PATH6 }))).toEqual([]);
    const tried = bench.pass(1300).map(({ effect }) => effect);
    expect(admits(tried)).toEqual([PATH6]);
    expect(admits(bench.do({ kind: 'admit-failed', path: PATH6 }))).toEqual([PATH]);
    expect(bench.told('other-address')).toMatchObject([{ why: 'refused', again: false }]);
  });

  it('is not moved by a name that has more addresses now, nor by their order', () => {
    const bench = established();
    bench.state = { ...bench.state, resolveAt: bench.wakeAt };
    bench.do({ kind: 'resolved', addresses: [SERVER.ip, OTHER, SERVER6.ip] });
    expect(admits(bench.located(LOCAL, LOCAL6))).toEqual([]);
    expect(bench.status).toMatchObject({ phase: 'established', path: PATH6 });
  });

  it('tries the other when the server falls silent, whether its name resolves or not', () => {
    for (const resolves of [true, false]) {
      const bench = established({ keepalive: 0 });
      bench.counters(0, 5);
      const silent = bench.pass(30_000);
      expect(silent.map(({ effect }) => effect.kind)).toContain('resolve');
      const addresses = resolves ? [SERVER6.ip, SERVER.ip] : [];
      const effects = bench.do({ kind: 'resolved', addresses, error: 'no answer in time' });
      expect(admits(effects)).toEqual(resolves ? [PATH] : []);
      const later = bench.pass(1300).map(({ effect }) => effect);
      expect(admits(later)).toEqual(resolves ? [] : [PATH]);
    }
  });

  it('forgets what it knew of the path’s size when the family is another', () => {
    const timers = { keepalive: seconds(27) };
    const bench = new Bench(configOf('client', { remoteHost: NAME, mtu: 'auto', timers }));
    bench.start();
    bench.do({ kind: 'resolved', addresses: [SERVER6.ip, SERVER.ip] });
    const ways = (six: OuterIp | undefined) =>
      bench.do({
        kind: 'located',
        ways: [
          { remote: SERVER6.ip, local: six, mtu: 1452 },
          { remote: SERVER.ip, local: LOCAL, mtu: 1472 },
        ],
      });
    ways(LOCAL6);
    bench.packet(PATH6, replyAt(bench));
    bench.do({ kind: 'too-big', mtu: 1400 });
    expect(bench.status.pathMtu.limit).toBe(1400);
    expect(ways(undefined)).toContainEqual({ kind: 'limit-mtu', mtu: undefined });
    expect(bench.status.pathMtu).toEqual({ limit: undefined, proved: undefined });
  });
});

describe('a way through a translator', () => {
  const literal = (): Bench => {
    const bench = new Bench(configOf('client'));
    bench.start();
    return bench;
  };
  const via = ip('64:ff9b::c633:6401');
  const translated = { remote: SERVER.ip, via, local: LOCAL6, mtu: 1452 };

  it('is taken where there is no other, told of, and left when there is', () => {
    const bench = literal();
    bench.located();
    const [admitted] = admits(bench.do({ kind: 'located', ways: [translated] }));
    expect(admitted).toEqual({ local: PATH6.local, remote: { ...SERVER, ip: via } });
    expect(bench.told('translated')).toEqual([{ kind: 'translated', address: SERVER.ip, via }]);
    if (admitted) bench.packet(admitted, replyAt(bench));
    expect(bench.status.phase).toBe('established');
    expect(admits(bench.located(LOCAL))).toEqual([PATH]);
    expect(bench.status).toMatchObject({ phase: 'authenticating', path: PATH });
  });
});
