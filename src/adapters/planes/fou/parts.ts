import type { PlaneContext } from '../../../ports/data-plane.ts';
import { openFouNetlink, type FouNetlink } from '../../netlink/fou.ts';
import { openRouteNetlink, type RouteNetlink } from '../../netlink/route.ts';
import { openNft } from '../../nft/nft.ts';
import { defaultTtl } from '../../system/default-ttl.ts';
import { PeerRoutes } from '../peer-routes.ts';
import { AltAddresses } from './alt-addresses.ts';
import { Guard } from './guard.ts';
import { insideOf } from './kinds.ts';
import { firstQueueOf, strangerQueueOf } from './limits.ts';
import { OuterFamilies } from './outer-families.ts';
import { PeerTable } from './peer-table.ts';
import { RunRecord } from './run-record.ts';
import type { DeviceEnvironment } from './tunnel-device.ts';
import { UnreachableRoutes } from '../unreachable-routes.ts';

/** What the plane is made of; whoever is given the parts changes the kernel through them alone. */
export type PlaneParts = {
  readonly context: PlaneContext;
  readonly environment: DeviceEnvironment;
  readonly route: RouteNetlink;
  readonly fou: FouNetlink;
  readonly guard: Guard;
  readonly outer: OuterFamilies;
  readonly alts: AltAddresses;
  readonly routes: PeerRoutes;
  readonly unreachable: UnreachableRoutes;
  readonly peers: PeerTable;
  readonly record: RunRecord;
};

/** Opens what the plane speaks to the kernel by; changes nothing. */
export function openParts(context: PlaneContext): PlaneParts {
  const { config, journal, listener } = context;
  const route = openRouteNetlink();
  const ttl = { ipv4: defaultTtl('ipv4'), ipv6: defaultTtl('ipv6') };
  const spec = {
    table: config.nft.table,
    port: config.outer.localPort,
    outside: [],
    inside: insideOf(config),
    device: config.outer.device,
    queue: config.queue.number,
    strangerQueue: strangerQueueOf(config.queue.number),
    firstQueue: context.initKeys && firstQueueOf(config.queue.number),
    strangers: config.role === 'server',
    authLengths: context.authLengths,
    fragments: config.outer.fragments ? { ttl: ttl.ipv4 } : undefined,
    counters: config.nft.counters,
  };
  const fou = openFouNetlink();
  const record = new RunRecord(config, journal);
  const guard = new Guard(openNft(), spec, (repaired) => {
    listener.disturbed(`nftables table ${config.nft.table}`, repaired);
  });
  return {
    context,
    environment: {
      route,
      config,
      defaultTtl: ttl,
    },
    route,
    fou,
    guard,
    outer: new OuterFamilies({ context, route, fou, guard, record }),
    alts: new AltAddresses(route),
    routes: new PeerRoutes(route),
    unreachable: new UnreachableRoutes(route, config.outer.localPort),
    peers: new PeerTable(),
    record,
  };
}

/** Lets go of the kernel without changing anything. */
export function closeParts({ guard, fou, route }: PlaneParts): void {
  guard.close();
  fou.close();
  route.close();
}
