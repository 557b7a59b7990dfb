import type { Path } from '../../../core/addr.ts';
import type { TunnelConfig } from '../../../core/config/tunnel-config.ts';
import type { Link } from '../../netlink/route.ts';
import { removeDevices, removeLeftovers } from './leftovers.ts';
import { outerDevice, requireLocalAddress } from './outer-side.ts';
import type { PlaneParts } from './parts.ts';
import { parseRecord, type FouRecord, type PeerRecord } from './record.ts';
import { isTunnelOfPort } from './kinds.ts';
import { takenName } from './tunnel-device.ts';

type Kept = PeerRecord & { readonly path: Path };

/** What of an earlier run goes on. */
export type Adoption = {
  /** Peers whose devices stand as that run made them, with their paths. */
  readonly kept: readonly Kept[];
  /** What it had remembered of peers, kept or not. */
  readonly remembered: readonly PeerRecord[];
};

/**
 * Looks at what an earlier run left. Peers that this config knows and whose devices still stand can go
 * on without a break; the devices of others, and everything where no peer goes on, are removed.
 * `takeOver` is called before the first change: what fails before leaves all as it was.
 */
export async function adopt(parts: PlaneParts, takeOver: () => void): Promise<Adoption> {
  const { context, alts, outer, record, route } = parts;
  const { config, journal, log } = context;
  await outerDevice(route, config);
  await requireLocalAddress(route, config);
  const links = new Map((await route.links()).map((link) => [link.name, link]));
  const left = parseRecord(journal.load());
  const own = links.get(config.inner.device);
  // The earlier run may have had another port.
  const ports = [config.outer.localPort, ...(left ? [left.port] : [])];
  if (own && !ports.some((port) => isTunnelOfPort(own, port))) throw takenName(own);
  const remembered = left && isOfTunnel(left, config) ? left.peers : [];
  const known = new Set(config.peers.map(({ id }) => id));
  const standing = remembered.filter((peer): peer is Kept => stands(peer, links));
  const kept = standing.filter(({ id, path }) => known.has(id) && outer.allows(path.remote.ip));
  takeOver();
  if (left && kept.length === 0) {
    log('info', 'removing what an earlier run left', { device: left.device, port: left.port });
    await removeLeftovers(left, { port: config.outer.localPort });
  }
  // Without a record, a device of ours still points at a peer that nobody answers for.
  const tunnel = { device: config.inner.device, port: config.outer.localPort };
  await removeDevices(route, tunnel, new Set(kept.map(({ device }) => device)));
  if (left && kept.length > 0) {
    record.adopt(left, kept);
    alts.adopt(left.madeAlts);
  }
  return { kept, remembered };
}

function isOfTunnel(left: FouRecord, config: TunnelConfig): boolean {
  return (
    left.port === config.outer.localPort &&
    left.table === config.nft.table &&
    left.device === config.inner.device
  );
}

function stands({ path, alt, device }: PeerRecord, links: ReadonlyMap<string, Link>): boolean {
  const tunnel = links.get(device)?.tunnel;
  return (
    path !== undefined &&
    tunnel?.remote === path.remote.ip &&
    tunnel.local === (alt ?? path.local.ip) &&
    tunnel.encap?.sourcePort === path.local.port
  );
}
