import { describe, expect, it } from 'vitest';
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
  SERVER6,
  servingClient,
  startedServer,
} from './bench.ts';

const SIX = pathFrom('2001:db8:c::2');

describe('a server of both families', () => {
  it('follows its peer from one to the other and back, and writes each down', () => {
    const bench = servingClient();
    const effects = bench.packet(SIX, requestAt(1));
    expect(kindsOf(effects).slice(0, 3)).toEqual(['remember', 'admit', 'reply']);
    expect(effects).toContainEqual({ kind: 'admit', path: SIX });
    expect(effects).toMatchObject([{ memory: { remote: { path: { local: SERVER6 } } } }, {}, {}]);
    expect(bench.told('moved')).toMatchObject([{ before: PATH.remote, remote: SIX.remote }]);
    expect(kindsOf(bench.packet(PATH, requestAt(2)))).toContain('admit');
    expect(bench.status.path).toEqual(PATH);
  });

  it('goes on after a restart with a peer that it remembers by IPv6', () => {
    const bench = startedServer();
    const [remembered] = bench.packet(SIX, requestAt());
    if (remembered?.kind !== 'remember') throw new Error('nothing remembered');
    const later = new Bench(configOf('server'));
    expect(kindsOf(later.start(remembered.memory, SIX))).toEqual(['remember']);
    expect(later.status).toMatchObject({ phase: 'established', path: SIX });
    const elsewhere = new Bench(configOf('server'));
    expect(kindsOf(elsewhere.start(remembered.memory, undefined))).toContain('admit');
  });

  it('does not go on with a peer by a family that the tunnel runs over no more', () => {
    const bench = startedServer();
    const [remembered] = bench.packet(SIX, requestAt());
    if (remembered?.kind !== 'remember') throw new Error('nothing remembered');
    const later = new Bench(configOf('server', { families: ['ipv4'] }));
    expect(kindsOf(later.start(remembered.memory, SIX))).toEqual(['remember', 'evict']);
    expect(later.status.path).toBeUndefined();
    expect(kindsOf(later.packet(PATH, requestAt(1)))).toContain('admit');
  });

  it('knows a peer of IPv6 by its network: a flood leaves it its way in from another address there', () => {
    const altered = hintedRequest();
    altered[40] = (altered[40] ?? 0) ^ 1;
    const bench = startedServer();
    bench.packet(pathFrom('2001:db8::1'), requestAt());
    for (let i = 0; i < 300; i++) bench.packet(pathFrom(`2001:db8:bad:${i}::1`), altered);
    expect(kindsOf(bench.packet(pathFrom('2001:db8:1::1'), hintedRequest()))).toEqual([]);
    const moved = pathFrom('2001:db8::abcd:1');
    expect(kindsOf(bench.packet(moved, hintedRequest()))).toContain('admit');
  });
});

describe('a peer that goes to and fro between the families', () => {
  /** So many moves, ten seconds apart. */
  function moving(moves: number, replyOnAuthOk: boolean): Bench {
    const bench = servingClient({ auth: { replyOnAuthOk } });
    for (let i = 1; i <= moves; i++) {
      bench.pass(10_000);
      bench.packet(i % 2 === 1 ? SIX : PATH, requestAt(10 * i));
    }
    return bench;
  }

  it('is one that tries them by turns, where nothing is answered', () => {
    const bench = moving(12, false);
    expect(bench.status.troubles).toEqual([]);
    expect(bench.told('trouble')).toEqual([]);
  });

  it('is two with one key, where each of them is answered', () => {
    expect(moving(4, true).status.troubles).toMatchObject([{ kind: 'shared-key' }]);
  });
});

describe('auth-by-remote-ip with a name', () => {
  const config = configOf('server', {
    auth: { byRemoteIp: true },
    remoteHost: 'client.example',
  });

  it('that has addresses of both families takes each of them, and no other', () => {
    const bench = new Bench(config);
    bench.start();
    bench.do({ kind: 'resolved', addresses: [SIX.remote.ip, PATH.remote.ip] });
    expect(kindsOf(bench.packet(SIX, requestAt()))).toContain('admit');
    expect(kindsOf(bench.packet(PATH, requestAt(1)))).toContain('admit');
    bench.packet(pathFrom('2001:db8:c::3'), requestAt(2));
    expect(bench.status.refused).toEqual({ 'wrong-source': 1 });
  });

  it('of an address of IPv6 takes that', () => {
    const bench = new Bench(
      configOf('server', { auth: { byRemoteIp: true }, remoteHost: SIX.remote.ip }),
    );
    expect(bench.start()).toEqual([]);
    bench.packet({ ...SIX, remote: endpoint('2001:db8:c::3', 40_000) }, requestAt());
    expect(bench.status.refused).toEqual({ 'wrong-source': 1 });
    expect(kindsOf(bench.packet(SIX, requestAt()))).toContain('admit');
    expect(bench.status.path?.remote.ip).toBe(ip('2001:db8:c::2'));
  });
});
