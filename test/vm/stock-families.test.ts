/*
 * Tunnels that `ip` alone has made, of every kind, against the planes that have no kernel device of such a
 * kind. Topology: the drawings at the heads of test/rig/plane-pair.ts and test/rig/two-hosts.ts; a is the
 * stock one.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Family } from '../../src/core/addr.ts';
import { DEFAULT_PEER } from '../../src/core/config/tunnel-config.ts';
import { endsOf } from '../rig/ends.ts';
import { PlaneHost } from '../rig/plane-host.ts';
import { expectTcp, expectUdp } from '../rig/transfer.ts';
import { TwoHosts } from '../rig/two-hosts.ts';
import {
  addStockPeer,
  removeStockPeer,
  STOCK_KINDS,
  type StockKind,
  type StockPeer,
} from './stock-peer.ts';

/** What the stock device takes by itself, bytes. */
async function stockMtu(cable: TwoHosts): Promise<number> {
  const shown = await cable.sure(cable.a, 'ip', '-o', 'link', 'show', 'stock');
  return Number(/ mtu (\d+)/.exec(shown)?.[1]);
}

describe.each(['bpf', 'tun'] as const)('on %s', (plane) => {
  let cable: TwoHosts;
  let b: PlaneHost;
  let stock: StockPeer | undefined;

  beforeAll(async () => {
    cable = await TwoHosts.make({ ipv6: true });
    b = await PlaneHost.in(cable.b, plane);
  });

  afterEach(async () => {
    await b.reset();
    if (stock) await removeStockPeer(stock);
    stock = undefined;
  });

  afterAll(async () => {
    await b[Symbol.asyncDispose]();
    await cable[Symbol.asyncDispose]();
  });

  /** Both ends; of the pairs of addresses inside, those of the kind's families. */
  async function openBoth(kind: StockKind, encap: 'fou' | 'gue' = 'fou') {
    const pairs = kind.inside.map((inside: Family) => endsOf({ outside: kind.outside, inside }));
    const [first, second] = pairs;
    if (first === undefined) throw new Error('a kind without a family inside');
    const inside = { innerIp: first.innerA, innerPeerIp: first.innerB };
    const beside = second && { innerIp: second.innerA, innerPeerIp: second.innerB };
    stock = {
      ...{ kind, encap, namespace: cable.a, device: 'stock', outerDevice: 'v0', ...inside },
      ...{ local: first.a.ip, remote: first.b.ip, localPort: first.a.port },
      ...{ remotePort: first.b.port, ...(beside === undefined ? {} : { beside }) },
    };
    await addStockPeer(stock);
    const innerIps = pairs.map(({ innerA }) => innerA);
    const peer = { id: DEFAULT_PEER, innerIps, allowedIps: 'any' } as const;
    await b.open({ ips: pairs.map(({ innerB }) => innerB), peers: [peer], udpChecksum: true });
    await b.admit(first.bToA);
    return pairs;
  }

  test.each(Object.entries(STOCK_KINDS))(
    'a tunnel of kind %s carries all it can, both ways',
    async (_, kind) => {
      for (const { innerA, innerB, mtu, header } of await openBoth(kind)) {
        expect(await cable.pings(cable.a, innerB)).toBe(true);
        const most = String(Math.min(mtu, await stockMtu(cable)) - header - 8);
        expect(await cable.pings(cable.b, innerA, '-Mdo', `-s${most}`)).toBe(true);
        await expectTcp(cable.a, cable.b, innerB, 1_000_000);
        await expectTcp(cable.b, cable.a, innerA, 1_000_000);
        // One kind for each pair of families.
        if (kind.listen !== 'gue') continue;
        await expectUdp(cable.a, cable.b, innerB, 1000, { bursts: false });
        await expectUdp(cable.b, cable.a, innerA, 1000);
      }
      const refused = Object.entries((await b.describePeer()).refused);
      expect(refused.filter(([, count]) => count > 0n)).toEqual([]);
    },
  );

  test('what has a header of GUE before it is no data', async () => {
    const [ends] = await openBoth(STOCK_KINDS['ipip, GUE'], 'gue');
    if (ends === undefined) throw new Error('no ends');
    const before = await b.counters();
    expect(await cable.pings(cable.a, ends.innerB)).toBe(false);
    expect((await b.counters()).rxPackets).toBe(before.rxPackets);
  });
});
