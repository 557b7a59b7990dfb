import { describe, expect, it } from 'vitest';
import { openSessionCrypto } from '../../../src/adapters/crypto.ts';
import type { Path } from '../../../src/core/addr.ts';
import { schemeOf } from '../../../src/core/auth/schemes.ts';
import { seconds } from '../../../src/core/units.ts';
import {
  BEGIN,
  Bench,
  CLIENT_PROOF,
  configOf,
  endpoint,
  ip,
  pathFrom,
  SERVER,
  SERVER6,
  startedServer,
} from './bench.ts';

const LOCAL = ip('10.0.0.2');
const LOCAL6 = ip('2001:db8:c::2');
const PATH: Path = { local: endpoint(LOCAL, 10_000), remote: SERVER };
const EMPTY = new Uint8Array();

/** A client that hears of its server, by a route that takes so much. */
function client(mtu: number, ipv6Inside = true): Bench {
  const bench = new Bench(configOf('client', { ipv6Inside }));
  bench.start();
  bench.do({ kind: 'located', ways: [{ remote: SERVER.ip, local: LOCAL, mtu }] });
  bench.packet(PATH, EMPTY);
  return bench;
}

const OFF = { kind: 'trouble', trouble: { kind: 'ipv6-off', mtu: 1252 } };

describe('a path that takes less than IPv6 inside needs', () => {
  it('is told of, stands in the status, and its end is told', () => {
    const bench = client(1472);
    bench.do({ kind: 'too-big', mtu: 1252 });
    expect(bench.status.troubles).toEqual([]);
    bench.pass(5000);
    expect(bench.told('trouble')).toEqual([OFF]);
    expect(bench.status.troubles).toEqual([OFF.trouble]);
    // What ICMP said holds for ten minutes.
    bench.pass(600_000);
    expect(bench.told('trouble')).toEqual([OFF]);
    expect(bench.told('ipv6-on')).toEqual([{ kind: 'ipv6-on', mtu: 1472 }]);
    expect(bench.status.troubles).toEqual([]);
  });

  it('is told of where the route itself takes no more', () => {
    const bench = client(1252);
    bench.pass(5000);
    expect(bench.told('trouble')).toEqual([OFF]);
  });

  it('is nothing to a tunnel that carries IPv4 alone, nor is one that takes enough', () => {
    const benches = [client(1252, false), client(1280), client(1472)];
    for (const bench of benches) {
      bench.pass(60_000);
      expect(bench.told('trouble')).toEqual([]);
    }
  });

  it('is not told of when it lasts a moment only', () => {
    const bench = client(1252);
    bench.pass(3000);
    bench.do({ kind: 'located', ways: [{ remote: SERVER.ip, local: LOCAL, mtu: 1472 }] });
    bench.pass(60_000);
    expect([...bench.told('trouble'), ...bench.told('ipv6-on')]).toEqual([]);
  });

  it('is forgotten with the path, and without one nothing is said', () => {
    const bench = client(1252);
    bench.pass(6000);
    bench.located();
    expect(bench.status.troubles).toMatchObject([{ kind: 'no-route' }]);
    expect(bench.told('ipv6-on')).toEqual([]);
  });

  it('of IPv6 outside is told of likewise', () => {
    const bench = new Bench(configOf('client', { ipv6Inside: true, remoteHost: SERVER6.ip }));
    bench.start();
    bench.do({ kind: 'located', ways: [{ remote: SERVER6.ip, local: LOCAL6, mtu: 1232 }] });
    bench.pass(5000);
    expect(bench.status.troubles).toContainEqual({ kind: 'ipv6-off', mtu: 1232 });
  });
});

describe('a server', () => {
  const crypto = openSessionCrypto(CLIENT_PROOF);
  const report = (pathMtu: number, offset: number): Uint8Array => {
    const time = seconds(BEGIN / 1000 + offset);
    const payload = schemeOf(CLIENT_PROOF).build(crypto, time, { pathMtu });
    if (!payload) throw new Error('no key');
    return payload;
  };

  it('is told by its client, acts by it, and begins anew when that moves to another family', () => {
    const bench = startedServer({ ipv6Inside: true });
    bench.packet(pathFrom('2001:db8::9'), report(1240, 0));
    bench.pass(5000);
    expect(bench.status).toMatchObject({
      pathMtu: { limit: 1240 },
      troubles: [{ kind: 'ipv6-off', mtu: 1240 }],
    });
    const effects = bench.packet(pathFrom('203.0.113.9'), report(1472, 6));
    expect(effects).toContainEqual({ kind: 'limit-mtu', mtu: 1472 });
    expect(bench.told('ipv6-on')).toEqual([{ kind: 'ipv6-on', mtu: 1472 }]);
    expect(bench.status.troubles).toEqual([]);
  });
});
