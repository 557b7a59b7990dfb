import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LOSSES, SharedCounters } from '../../../src/adapters/planes/tun/counters.ts';
import { CHUNK_SLOTS } from '../../../src/adapters/planes/tun/limits.ts';
import { PeerTable, type MemberSpec } from '../../../src/adapters/planes/tun/peer-table.ts';
import { PrefixTable } from '../../../src/adapters/planes/tun/prefix-table.ts';
import { TokenBucket } from '../../../src/adapters/planes/token-bucket.ts';
import { ipv4ToNumber, type OuterIp, type Path } from '../../../src/core/addr.ts';
import { port } from '../../../src/core/units.ts';
import type { PeerId } from '../../../src/ports/data-plane.ts';

const ONE = 'one' as PeerId;
const TWO = 'two' as PeerId;

function path(local: string, remote: string, remotePort: number): Path {
  return {
    local: { ip: local as OuterIp, port: port(10000) },
    remote: { ip: remote as OuterIp, port: port(remotePort) },
  };
}

const LOCAL = 0xc0000201;
const REMOTE = 0xcb007102;
const HOME = path('192.0.2.1', '203.0.113.2', 10000);

function table(): PeerTable {
  const peers = new PeerTable();
  for (const id of [ONE, TWO]) peers.configure({ id, prefixes: undefined });
  return peers;
}

function inner(text: string): number {
  return ipv4ToNumber(text as OuterIp);
}

function member(id: PeerId, ...prefixes: readonly string[]): MemberSpec {
  return {
    id,
    prefixes: prefixes.flatMap((text) => {
      const [ip = '', length = '32'] = text.split('/');
      return [inner(ip), Number(length)];
    }),
  };
}

describe('the peer table', () => {
  test('finds a peer by its exact path only', () => {
    const peers = table();
    expect(peers.at(LOCAL, REMOTE, 10000)).toBeUndefined();
    peers.admit(ONE, 0, HOME);
    expect(peers.at(LOCAL, REMOTE, 10000)?.member.id).toBe(ONE);
    expect(peers.find(HOME)?.member.id).toBe(ONE);
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
    expect(peers.at(LOCAL, REMOTE, 20000)?.member.id).toBe(ONE);
    expect(peers.get(ONE)?.remotePort).toBe(20000);
  });

  test('refuses a path that another peer has, and leaves both as they were', () => {
    const peers = table();
    const other = path('192.0.2.1', '203.0.113.2', 20000);
    expect(peers.admit(ONE, 0, HOME)).toBeUndefined();
    expect(peers.admit(TWO, 1, other)).toBeUndefined();
    expect(peers.admit(TWO, 1, HOME)).toBe('path');
    expect(peers.find(HOME)?.member.id).toBe(ONE);
    expect(peers.find(other)?.member.id).toBe(TWO);
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
            expect(peers.admit(peer, 0, full)).toBe(allowed ? undefined : 'path');
            if (allowed) model.set(key(to), peer);
          }
          for (const local of [0, 1])
            for (const remote of [0, 1])
              for (const at of [0, 1]) {
                const found = peers.at(0xc0000200 + local, 0xcb007100 + remote, 1 + at);
                expect(found?.member.id).toBe(model.get(key({ local, remote, port: at })));
              }
        }
      }),
    );
  });
});

describe('inner addresses', () => {
  const A = path('192.0.2.1', '203.0.113.2', 10000);
  const B = path('192.0.2.1', '203.0.113.3', 10000);
  const to = (peers: PeerTable, address: string) => peers.recipient(inner(address))?.member.id;
  const from = (peers: PeerTable, id: PeerId, address: string) => {
    const peer = peers.get(id);
    return peer !== undefined && peers.maySend(peer, inner(address));
  };

  test('a packet goes to the peer with the longest prefix, and to nobody else', () => {
    const peers = new PeerTable();
    peers.configure(member(ONE, '10.0.0.1', '10.1.0.0/16'));
    peers.configure(member(TWO, '10.0.0.2', '10.0.0.0/8', '10.1.2.0/24'));
    peers.admit(ONE, 0, A);
    peers.admit(TWO, 1, B);
    const whose = ['10.0.0.1', '10.0.0.2', '10.1.1.1', '10.1.2.3', '10.200.0.1', '11.0.0.1'];
    expect(whose.map((address) => to(peers, address))).toEqual([
      ONE,
      TWO,
      ONE,
      TWO,
      TWO,
      undefined,
    ]);
  });

  test('what belongs to a peer that is not admitted goes to nobody', () => {
    const peers = new PeerTable();
    peers.configure(member(ONE, '10.1.0.0/16'));
    peers.configure(member(TWO, '10.0.0.0/8'));
    peers.configure({ id: 'rest' as PeerId, prefixes: undefined });
    peers.admit(TWO, 1, B);
    peers.admit('rest' as PeerId, 2, A);
    expect([to(peers, '10.1.0.1'), to(peers, '10.2.0.1'), to(peers, '9.9.9.9')]).toEqual([
      undefined,
      TWO,
      'rest',
    ]);
    peers.evict(TWO);
    expect(to(peers, '10.2.0.1')).toBeUndefined();
  });

  test('a peer may send from what is its own by the longest prefix; any peer from everything', () => {
    const peers = new PeerTable();
    peers.configure(member(ONE, '10.0.0.0/8'));
    peers.configure(member(TWO, '10.1.0.0/16'));
    peers.configure({ id: 'rest' as PeerId, prefixes: undefined });
    peers.admit(ONE, 0, A);
    peers.admit(TWO, 1, B);
    peers.admit('rest' as PeerId, 2, path('192.0.2.1', '203.0.113.4', 10000));
    expect([from(peers, ONE, '10.0.0.1'), from(peers, ONE, '10.1.0.1')]).toEqual([true, false]);
    expect([from(peers, TWO, '10.1.0.1'), from(peers, TWO, '11.0.0.1')]).toEqual([true, false]);
    expect(from(peers, 'rest' as PeerId, '10.1.0.1')).toBe(true);
  });

  test('changing what is its own takes effect, and leaves the peer admitted', () => {
    const peers = new PeerTable();
    peers.configure(member(ONE, '10.0.0.1'));
    peers.admit(ONE, 0, A);
    expect(to(peers, '10.0.0.1')).toBe(ONE);
    peers.configure(member(ONE, '10.0.0.2'));
    expect([to(peers, '10.0.0.1'), to(peers, '10.0.0.2')]).toEqual([undefined, ONE]);
    peers.configure({ id: ONE, prefixes: undefined });
    expect(to(peers, '10.0.0.1')).toBe(ONE);
    peers.configure(member(ONE, '10.0.0.2'));
    expect(to(peers, '10.0.0.1')).toBeUndefined();
    peers.remove(ONE);
    expect([to(peers, '10.0.0.2'), peers.get(ONE)]).toEqual([undefined, undefined]);
    expect(peers.find(A)).toBeUndefined();
  });

  test('a prefix that another peer took stays with that one', () => {
    const peers = new PeerTable();
    peers.configure(member(ONE, '10.0.0.1'));
    peers.configure(member(TWO, '10.0.0.1'));
    peers.admit(ONE, 0, A);
    peers.admit(TWO, 1, B);
    peers.remove(ONE);
    expect(to(peers, '10.0.0.1')).toBe(TWO);
  });

  test('the longest prefix is what a walk over all prefixes finds', () => {
    const prefix = fc.record({
      address: fc.integer({ min: 0, max: 0xffff_ffff }),
      length: fc.integer({ min: 0, max: 32 }),
      remove: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(prefix, { maxLength: 30 }), fc.nat(32), (prefixes, flip) => {
        const table = new PrefixTable<number>();
        const model = new Map<string, { at: number; length: number; owner: number }>();
        const cut = (address: number, length: number) =>
          Math.floor(address / 2 ** (32 - length)) * 2 ** (32 - length);
        for (const [owner, { address, length, remove }] of prefixes.entries()) {
          const at = cut(address, length);
          const key = `${at}/${length}`;
          table.set(address, length, owner);
          model.set(key, { at, length, owner });
          if (!remove) continue;
          table.delete(address, length, owner + 1);
          expect(table.find(address)).toBeDefined();
          table.delete(address, length, owner);
          model.delete(key);
        }
        for (const { address } of prefixes) {
          const asked = flip === 32 ? address : (address ^ (1 << flip)) >>> 0;
          const holding = [...model.values()]
            .filter(({ at, length }) => cut(asked, length) === at)
            .toSorted((a, b) => b.length - a.length);
          expect(table.find(asked)).toBe(holding[0]?.owner);
        }
      }),
    );
  });
});

describe('the token bucket', () => {
  test('gives its burst at once, then its rate', () => {
    const bucket = new TokenBucket({ perSecond: 10, burst: 2 });
    expect([bucket.take(1000), bucket.take(1000), bucket.take(1000)]).toEqual([true, true, false]);
    expect(bucket.take(1099)).toBe(false);
    expect(bucket.take(1100)).toBe(true);
    expect(bucket.take(1100)).toBe(false);
  });

  test('never gives more than burst and rate allow, even when time runs backwards', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 5000 }), { maxLength: 200 }), (times) => {
        const bucket = new TokenBucket({ perSecond: 10, burst: 5 });
        const given = times.filter((time) => bucket.take(time)).length;
        expect(given).toBeLessThanOrEqual(5 + Math.max(0, ...times) / 100);
      }),
    );
  });
});

describe('shared counters', () => {
  const NOTHING = {
    ...{ rxPackets: 0, rxBytes: 0, txPackets: 0, txBytes: 0 },
    ...{ foreign: 0, tooBig: 0, control: 0 },
    ...{ tagFailures: 0, replays: 0, untagged: 0 },
  };
  const ZERO = {
    ...{ rxPackets: 0n, rxBytes: 0n, txPackets: 0n, txBytes: 0n },
    ...{ heardAt: 0, foreign: 0n, tooBig: 0n, control: 0n },
    ...{ tagFailures: 0n, replays: 0n, untagged: 0n },
  };

  test('what one side adds the other reads, peers and losses apart', () => {
    const owner = new SharedCounters();
    const worker = new SharedCounters(owner.memory);
    expect(owner.slots).toBe(0);
    worker.attach(owner.grow());
    worker.attach(owner.grow());
    expect([owner.slots, worker.slots]).toEqual([2 * CHUNK_SLOTS, 2 * CHUNK_SLOTS]);
    const all = {
      ...{ rxPackets: 2, rxBytes: 168, txPackets: 1, txBytes: 84 },
      ...{ foreign: 3, tooBig: 4, control: 5 },
      ...{ tagFailures: 6, replays: 7, untagged: 8 },
    };
    worker.add(0, all, 99.5);
    worker.add(0, { ...NOTHING, txPackets: 1 }, 200);
    worker.add(CHUNK_SLOTS, { ...NOTHING, rxPackets: 3 }, 300);
    for (const [index, loss] of LOSSES.entries()) worker.lost(loss, index + 1);
    expect(owner.peer(0)).toEqual({
      ...{ rxPackets: 2n, rxBytes: 168n, txPackets: 2n, txBytes: 84n },
      ...{ heardAt: 100, foreign: 3n, tooBig: 4n, control: 5n },
      ...{ tagFailures: 6n, replays: 7n, untagged: 8n },
    });
    expect(owner.peer(1)).toEqual(ZERO);
    expect(owner.peer(CHUNK_SLOTS)).toEqual({ ...ZERO, rxPackets: 3n, heardAt: 300 });
    expect(LOSSES.map((loss) => owner.losses(loss))).toEqual(
      LOSSES.map((_, index) => BigInt(index + 1)),
    );
    owner.reset(0);
    expect(owner.peer(0)).toEqual(ZERO);
  });

  test('a slot without memory counts nothing', () => {
    const counters = new SharedCounters();
    counters.add(5, { ...NOTHING, rxPackets: 3 }, 1);
    expect(counters.peer(5)).toEqual(ZERO);
  });
});

test('what peers moved is counted once', () => {
  const peers = table();
  const counters = new SharedCounters();
  counters.grow();
  peers.admit(ONE, 7, HOME);
  const peer = peers.get(ONE);
  if (!peer) throw new Error('not admitted');
  peers.received(peer, 2, 100);
  peers.sent(peer, 1, 50);
  peers.refusedSource(peer);
  peers.refusedSize(peer, 3);
  peers.refusedControl(peer);
  peers.count(counters, 1);
  peers.count(counters, 2);
  peers.received(peer, 1, 1);
  peers.refusedTag(peer);
  peers.refusedReplay(peer);
  peers.refusedUntagged(peer);
  peers.count(counters, 3);
  expect(counters.peer(7)).toEqual({
    ...{ rxPackets: 3n, rxBytes: 101n, txPackets: 1n, txBytes: 50n },
    ...{ heardAt: 3, foreign: 1n, tooBig: 3n, control: 1n },
    ...{ tagFailures: 1n, replays: 1n, untagged: 1n },
  });
});
