import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LOSSES, SharedCounters } from '../../../src/adapters/planes/tun/counters.ts';
import { MAX_PEERS } from '../../../src/adapters/planes/tun/limits.ts';
import { PeerTable } from '../../../src/adapters/planes/tun/peer-table.ts';
import { TokenBucket } from '../../../src/adapters/planes/tun/token-bucket.ts';
import type { Ipv4, Path } from '../../../src/core/addr.ts';
import { port } from '../../../src/core/units.ts';
import type { PeerId } from '../../../src/ports/data-plane.ts';

const ONE = 'one' as PeerId;
const TWO = 'two' as PeerId;

function path(local: string, remote: string, remotePort: number): Path {
  return {
    local: { ip: local as Ipv4, port: port(10000) },
    remote: { ip: remote as Ipv4, port: port(remotePort) },
  };
}

const LOCAL = 0xc0000201;
const REMOTE = 0xcb007102;
const HOME = path('192.0.2.1', '203.0.113.2', 10000);

function table(): PeerTable {
  return new PeerTable();
}

describe('the peer table', () => {
  test('finds a peer by its exact path only', () => {
    const peers = table();
    expect(peers.at(LOCAL, REMOTE, 10000)).toBeUndefined();
    peers.admit(ONE, 0, HOME);
    expect(peers.at(LOCAL, REMOTE, 10000)?.id).toBe(ONE);
    expect(peers.find(HOME)?.id).toBe(ONE);
    expect(peers.at(LOCAL + 1, REMOTE, 10000)).toBeUndefined();
    expect(peers.at(LOCAL, REMOTE + 1, 10000)).toBeUndefined();
    expect(peers.at(LOCAL, REMOTE, 10001)).toBeUndefined();
  });

  test('forgets the old path of a peer that is re-pointed', () => {
    const peers = table();
    peers.admit(ONE, 0, HOME);
    expect(peers.find(HOME)).toBeDefined();
    peers.admit(ONE, 0, path('192.0.2.1', '203.0.113.2', 20000));
    expect(peers.find(HOME)).toBeUndefined();
    expect(peers.at(LOCAL, REMOTE, 20000)?.id).toBe(ONE);
    expect([...peers.all()]).toHaveLength(1);
  });

  test('refuses a path that another peer has, and leaves both as they were', () => {
    const peers = table();
    const other = path('192.0.2.1', '203.0.113.2', 20000);
    expect(peers.admit(ONE, 0, HOME)).toBe(true);
    expect(peers.admit(TWO, 1, other)).toBe(true);
    expect(peers.admit(TWO, 1, HOME)).toBe(false);
    expect(peers.find(HOME)?.id).toBe(ONE);
    expect(peers.find(other)?.id).toBe(TWO);
  });

  test('holds what a map of paths holds, after any calls', () => {
    const paths = fc.record({ local: fc.nat(1), remote: fc.nat(1), port: fc.nat(1) });
    const call = fc.record({ peer: fc.constantFrom(ONE, TWO), to: fc.option(paths) });
    fc.assert(
      fc.property(fc.array(call, { maxLength: 12 }), (calls) => {
        const peers = table();
        const model = new Map<string, string>();
        const key = (p: { local: number; remote: number; port: number }) =>
          `${p.local}/${p.remote}/${p.port}`;
        for (const { peer, to } of calls) {
          const holder = to ? model.get(key(to)) : undefined;
          const allowed = holder === undefined || holder === peer;
          if (allowed) for (const [at, id] of model) if (id === peer) model.delete(at);
          if (!to) peers.evict(peer);
          else {
            const full = path(`192.0.2.${to.local}`, `203.0.113.${to.remote}`, 1 + to.port);
            expect(peers.admit(peer, 0, full)).toBe(allowed);
            if (allowed) model.set(key(to), peer);
          }
          for (const local of [0, 1])
            for (const remote of [0, 1])
              for (const at of [0, 1]) {
                const found = peers.at(0xc0000200 + local, 0xcb007100 + remote, 1 + at);
                expect(found?.id).toBe(model.get(key({ local, remote, port: at })));
              }
        }
      }),
    );
  });
});

describe('the token bucket', () => {
  test('gives its burst at once, then its rate', () => {
    const bucket = new TokenBucket({ perSecond: 10, burst: 2 }, 1000);
    expect([bucket.take(1000), bucket.take(1000), bucket.take(1000)]).toEqual([true, true, false]);
    expect(bucket.take(1099)).toBe(false);
    expect(bucket.take(1100)).toBe(true);
    expect(bucket.take(1100)).toBe(false);
  });

  test('never gives more than burst and rate allow, even when time runs backwards', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 5000 }), { maxLength: 200 }), (times) => {
        const bucket = new TokenBucket({ perSecond: 10, burst: 5 }, 0);
        const given = times.filter((time) => bucket.take(time)).length;
        expect(given).toBeLessThanOrEqual(5 + Math.max(0, ...times) / 100);
      }),
    );
  });
});

describe('shared counters', () => {
  test('what one side adds the other reads, peers and losses apart', () => {
    const worker = new SharedCounters();
    const owner = new SharedCounters(worker.memory);
    worker.received(0, 2, 168);
    worker.sent(0, 1, 84);
    worker.received(MAX_PEERS - 1, 3, 4);
    for (const [index, loss] of LOSSES.entries()) worker.lost(loss, index + 1);
    expect(owner.peer(0)).toEqual({ rxPackets: 2n, rxBytes: 168n, txPackets: 1n, txBytes: 84n });
    expect(owner.peer(1)).toEqual({ rxPackets: 0n, rxBytes: 0n, txPackets: 0n, txBytes: 0n });
    expect(owner.peer(MAX_PEERS - 1)).toMatchObject({ rxPackets: 3n, rxBytes: 4n });
    expect(LOSSES.map((loss) => owner.losses(loss))).toEqual(
      LOSSES.map((_, index) => BigInt(index + 1)),
    );
  });
});
