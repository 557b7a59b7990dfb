import { beforeEach, describe, expect, it } from 'vitest';
import type { Nft } from '../../../src/adapters/nft/nft.ts';
import type { IpTunnelSpec, Link, RouteNetlink } from '../../../src/adapters/netlink/route.ts';
import { Admissions } from '../../../src/adapters/planes/fou/admissions.ts';
import { AltAddresses } from '../../../src/adapters/planes/fou/alt-addresses.ts';
import { Guard } from '../../../src/adapters/planes/fou/guard.ts';
import type { PlaneParts } from '../../../src/adapters/planes/fou/parts.ts';
import { PeerTable } from '../../../src/adapters/planes/fou/peer-table.ts';
import { Peer } from '../../../src/adapters/planes/fou/peer.ts';
import { RunRecord } from '../../../src/adapters/planes/fou/run-record.ts';
import { UnreachableRoutes } from '../../../src/adapters/planes/unreachable-routes.ts';
import { PeerRoutes } from '../../../src/adapters/planes/peer-routes.ts';
import type { Path } from '../../../src/core/addr.ts';
import { DEFAULT_PEER, type TunnelConfig } from '../../../src/core/config/tunnel-config.ts';
import { port, type IfIndex } from '../../../src/core/units.ts';
import type { PlaneContext } from '../../../src/ports/data-plane.ts';
import { inner, ip } from '../../rig/addresses.ts';
import { FakeNft, refusal } from './fou-nft.ts';

/*
 * Admitting and evicting with a kernel that is told to refuse: sets of nftables, links and addresses
 * as they would be, in memory.
 */
const path: Path = {
  local: { ip: ip('203.0.113.1'), port: port(10_000) },
  remote: { ip: ip('203.0.113.2'), port: port(40_001) },
};
const moved: Path = { ...path, remote: { ip: ip('203.0.113.3'), port: port(40_002) } };

/** One namespace's links; refuses to remove them while told so. */
class FakeRoute {
  link: Link | undefined;
  #next = 7;
  keepsLinks = false;

  async links(): Promise<readonly Link[]> {
    return this.link ? [this.link] : [];
  }
  async linkByName(name: string): Promise<Link | undefined> {
    return this.link?.name === name ? this.link : undefined;
  }
  async addIpTunnel(spec: IpTunnelSpec): Promise<IfIndex> {
    const index = (this.link?.index ?? this.#next++) as IfIndex;
    this.link = {
      ...{ index, name: spec.name, mtu: 1472, up: true, kind: spec.kind },
      tunnel: { ...spec, link: undefined },
    } as unknown as Link;
    return index;
  }
  async changeIpTunnel(_index: IfIndex, spec: IpTunnelSpec): Promise<void> {
    await this.addIpTunnel(spec);
  }
  async removeLink(): Promise<void> {
    if (this.keepsLinks) throw refusal;
    this.link = undefined;
  }
  async setLink(): Promise<void> {}
  async addresses(): Promise<readonly never[]> {
    return [];
  }
  async addAddress(): Promise<void> {}
  async ownMtu(): Promise<number> {
    return 1500;
  }
  async routeTo(): Promise<undefined> {
    return undefined;
  }
  async routes(): Promise<readonly never[]> {
    return [];
  }
  async changeRoutes(): Promise<readonly never[]> {
    return [];
  }
}

let nft: FakeNft;
let route: FakeRoute;
let saved: unknown;
let peer: Peer;
let admissions: Admissions;
let table: PeerTable;

beforeEach(() => {
  nft = new FakeNft();
  route = new FakeRoute();
  const config = {
    role: 'server',
    outer: {
      ...{ localPort: port(10_000), localIpAlt: ip('172.29.0.0'), forceLocalIpAlt: false },
      udpChecksum: false,
    },
    inner: { device: 'ipipou0', ips: [inner('172.28.0.0')] },
    peers: [],
    nft: { table: 'ipipou', counters: true },
  } as unknown as TunnelConfig;
  const journal = { load: () => saved, save: (record: unknown) => (saved = record) };
  const context = { config, journal, log: () => {} } as unknown as PlaneContext;
  const kernel = route as unknown as RouteNetlink;
  const environment = { route: kernel, config, defaultTtl: { ipv4: 64, ipv6: 64 } };
  const spec = {
    ...{ table: 'ipipou', port: port(10_000), device: undefined, queue: 0, strangerQueue: 9 },
    ...{ strangers: true, authLengths: [73], fragments: undefined, counters: true },
    ...{ outside: ['ipv4', 'ipv6'] as const, inside: ['ipv4'] as const },
  };
  const guard = new Guard(nft as unknown as Nft, spec, () => {});
  table = new PeerTable();
  const parts = {
    ...{ context, environment, route: kernel, guard, peers: table },
    outer: { ensure: async () => {} },
    alts: new AltAddresses(kernel),
    routes: new PeerRoutes(kernel),
    unreachable: new UnreachableRoutes(kernel, port(10_000)),
    record: new RunRecord(config, journal),
  } as unknown as PlaneParts;
  peer = new Peer(
    { id: DEFAULT_PEER, innerIps: [inner('172.28.0.1')], allowedIps: 'any', hint: undefined },
    'ipipou0',
    environment,
  );
  table.add(peer);
  admissions = new Admissions(parts);
});

const admitted = () => [...nft.of('admitted')];
const bareRefused = () => [...nft.of('pairs')].toSorted();
const deletesAdmitted = (script: string) =>
  script.includes('delete element ip ipipou p10000_admitted');

describe('an eviction that fails', () => {
  beforeEach(() => admissions.admit(peer, path));

  it('in the guard is carried out by the next call', async () => {
    nft.refuses = (script) => deletesAdmitted(script) || script.includes('add table');
    await expect(admissions.evict(peer)).rejects.toBe(refusal);
    expect(admitted()).toHaveLength(1);
    expect(table.carries(path)).toBe(false);
    nft.refuses = () => false;
    await admissions.evict(peer);
    expect(admitted()).toEqual([]);
    expect(bareRefused()).toEqual([]);
    expect(route.link).toBeUndefined();
  });

  it('to remove the device keeps bare IPIP out, whatever else is said of the peer meanwhile', async () => {
    route.keepsLinks = true;
    await expect(admissions.evict(peer)).rejects.toBe(refusal);
    expect(admitted()).toEqual([]);
    expect(bareRefused()).toEqual(['203.0.113.2 . 203.0.113.1']);
    expect(peer.guarded().besides).toHaveLength(1);
    route.keepsLinks = false;
    await admissions.evict(peer);
    expect(route.link).toBeUndefined();
    expect(bareRefused()).toEqual([]);
  });

  it('is forgotten when the peer is admitted elsewhere', async () => {
    route.keepsLinks = true;
    await expect(admissions.evict(peer)).rejects.toBe(refusal);
    await admissions.admit(peer, moved);
    expect(admitted()).toEqual(['203.0.113.3 . 40002 . 203.0.113.1']);
    expect(bareRefused()).toEqual(['203.0.113.3 . 203.0.113.1']);
  });

  it('leaves a record by which the next run does not take the peer over', async () => {
    route.keepsLinks = true;
    await expect(admissions.evict(peer)).rejects.toBe(refusal);
    expect(saved).toMatchObject({ peers: [{ id: DEFAULT_PEER, path: undefined }] });
  });
});

it('refuses bare IPIP until the device of an evicted peer is gone', async () => {
  await admissions.admit(peer, path);
  const removed: (readonly string[])[] = [];
  const remove = route.removeLink.bind(route);
  route.removeLink = async () => {
    removed.push(bareRefused());
    await remove();
  };
  await admissions.evict(peer);
  expect(removed).toEqual([['203.0.113.2 . 203.0.113.1']]);
});

it('stays at the old path when it cannot be re-pointed', async () => {
  await admissions.admit(peer, path);
  nft.refuses = (script) => script.includes('40002');
  await expect(admissions.admit(peer, moved)).rejects.toBe(refusal);
  expect(admitted()).toEqual(['203.0.113.2 . 40001 . 203.0.113.1']);
  expect(bareRefused()).toEqual(['203.0.113.2 . 203.0.113.1']);
  expect(route.link?.tunnel?.remote).toBe(path.remote.ip);
  expect(table.carries(path)).toBe(true);
});

describe('a peer that moves to the other family', () => {
  const six: Path = {
    local: { ip: ip('2001:db8::1'), port: port(10_000) },
    remote: { ip: ip('2001:db8::2'), port: port(40_001) },
  };

  it('gets the other kind of device, is refused what has no UDP in both meanwhile, and comes back', async () => {
    await admissions.admit(peer, path);
    const removed: unknown[] = [];
    const remove = route.removeLink.bind(route);
    route.removeLink = async () => {
      removed.push([route.link?.kind, bareRefused(), [...nft.of('pairs', 'ip6')]]);
      await remove();
    };
    await admissions.admit(peer, six);
    expect(route.link).toMatchObject({ kind: 'ip6tnl', name: 'ipipou0', index: 8 });
    expect(admitted()).toEqual([]);
    expect([...nft.of('admitted', 'ip6')]).toEqual(['2001:db8::2 . 40001 . 2001:db8::1']);
    expect(table.carries(six)).toBe(true);
    await admissions.admit(peer, path);
    expect(route.link).toMatchObject({ kind: 'ipip', index: 9 });
    expect(admitted()).toHaveLength(1);
    expect([...nft.of('admitted', 'ip6')]).toEqual([]);
    const [four, other] = ['203.0.113.2 . 203.0.113.1', '2001:db8::2 . 2001:db8::1'];
    expect(removed).toEqual([
      ['ipip', [four], [other]],
      ['ip6tnl', [four], [other]],
    ]);
    expect(bareRefused()).toEqual([four]);
    expect([...nft.of('pairs', 'ip6')]).toEqual([]);
  });

  it('is where it was when the other kind is not to be had', async () => {
    await admissions.admit(peer, path);
    const make = route.addIpTunnel.bind(route);
    route.addIpTunnel = async (spec) => {
      if (spec.kind === 'ip6tnl') throw refusal;
      return make(spec);
    };
    await expect(admissions.admit(peer, six)).rejects.toMatchObject({ errno: 'ENOMEM' });
    expect(route.link).toMatchObject({ kind: 'ipip' });
    expect(admitted()).toEqual(['203.0.113.2 . 40001 . 203.0.113.1']);
    expect([...nft.of('pairs', 'ip6')]).toEqual([]);
    expect(table.carries(path)).toBe(true);
  });
});
