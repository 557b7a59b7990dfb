import { parseOuterIp, type OuterIp } from '../../core/addr.ts';
import { FORWARDING } from '../../core/doctor/barriers.ts';
import type { NameFacts, OtherEnd, TunnelFacts, WayFacts } from '../../core/doctor/facts.ts';
import { outerFamilies } from '../../core/config/families.ts';
import type { PeerId, Proof, TunnelConfig } from '../../core/config/tunnel-config.ts';
import { asError } from '../../core/errors.ts';
import { decodePublicKey, type PublicKey } from '../../core/public-key.ts';
import type { SessionCrypto } from '../../core/session/types.ts';
import type { PlaneFactory } from '../../ports/data-plane.ts';
import type { HostNetwork, Resolver } from '../../ports/host-network.ts';
import type { HostInspection } from '../../ports/inspection.ts';
import { createLocator, isOwnAddress } from '../locator.ts';
import { daemonFacts, type DaemonPorts } from './daemon-facts.ts';

export type DoctorPorts = DaemonPorts & {
  readonly planes: readonly PlaneFactory[];
  readonly resolver: Resolver;
  readonly sessionCrypto: (proof: Proof) => SessionCrypto;
  readonly host: Pick<HostNetwork, 'firstAddress' | 'routeTo'>;
  readonly inspection: HostInspection;
};

/** Addresses of other sides that are looked at, and how long a name may take. */
const REMOTES_MAX = 16;
const NAME_PATIENCE = 10_000;

/** All that checks look at. `others`: configs that may be the other end's. */
export async function gatherFacts(
  config: TunnelConfig,
  others: readonly { readonly path: string; readonly config: TunnelConfig }[],
  ports: DoctorPorts,
): Promise<TunnelFacts> {
  const { inspection } = ports;
  const names = await resolveNames(config, ports.resolver);
  const ways = await findWays(config, names, ports);
  const leaving = ways.flatMap(({ way }) => ('device' in way ? [way.device] : []))[0];
  const device = config.outer.device ?? leaving;
  const planes = await Promise.all(
    ports.planes.map(async (plane) => ({
      name: plane.name,
      missing: (await plane.probe({ load: false, trial: true })).filter(({ met }) => !met),
    })),
  );
  return {
    config,
    daemon: await daemonFacts(config, ports),
    names,
    ways,
    device: device === undefined ? undefined : await inspection.device(device),
    holders: inspection.holdersOf(config.outer.localPort),
    firewall: inspection.firewall(),
    settings: settingsOf([...new Set([config.inner.device, device ?? leaving])], inspection),
    clockKept: inspection.clockKept(),
    keys: {
      own: new Map(
        config.peers.flatMap(({ id, proof }): [PeerId, PublicKey][] => {
          const key = publicKeyOf(proof, ports);
          return key === undefined ? [] : [[id, key]];
        }),
      ),
      ends: others.map((other) => endOf(other, ports)),
    },
    planes,
  };
}

type Remote = { readonly host: string; readonly port: number | undefined };

function remotesOf({ peers }: TunnelConfig): readonly Remote[] {
  const found = new Map<string, Remote>();
  for (const { remoteHost, remotePort } of peers) {
    if (remoteHost === undefined || found.size >= REMOTES_MAX) continue;
    found.set(`${remoteHost} ${remotePort}`, { host: remoteHost, port: remotePort });
  }
  return [...found.values()];
}

function resolveNames(config: TunnelConfig, resolver: Resolver): Promise<readonly NameFacts[]> {
  const hosts = new Set(remotesOf(config).map(({ host }) => host));
  const named = [...hosts].filter((host) => parseOuterIp(host) === undefined);
  return Promise.all(
    named.map(async (host) => ({
      host,
      families: await Promise.all(
        outerFamilies(config.outer).map(async (family) => {
          try {
            const signal = AbortSignal.timeout(NAME_PATIENCE);
            const addresses = await resolver.resolve(host, [family], signal);
            return { family, addresses, error: undefined };
          } catch (error) {
            return { family, addresses: [], error: asError(error).message };
          }
        }),
      ),
    })),
  );
}

async function findWays(
  config: TunnelConfig,
  names: readonly NameFacts[],
  ports: DoctorPorts,
): Promise<readonly WayFacts[]> {
  const targets = remotesOf(config).flatMap(({ host, port }) => {
    const literal = parseOuterIp(host);
    if (literal !== undefined) return [{ remote: literal, port }];
    const families = names.find((name) => name.host === host)?.families ?? [];
    return families.flatMap(({ addresses }) => addresses.map((remote) => ({ remote, port })));
  });
  return Promise.all(
    targets.slice(0, REMOTES_MAX).map(({ remote, port }) => findWay(config, remote, port, ports)),
  );
}

async function findWay(
  config: TunnelConfig,
  remote: OuterIp,
  port: number | undefined,
  { host, inspection }: DoctorPorts,
): Promise<WayFacts> {
  const { device } = config.outer;
  const found = await createLocator(config, host)(remote);
  const route = await host.routeTo(remote, device);
  const unbound =
    device === undefined ? undefined : (await host.routeTo(remote, undefined))?.device;
  const common = { remote, port, own: await isOwnAddress(host, remote), unbound };
  if (found.kind !== 'way') return { ...common, way: { why: found } };
  if (route === undefined) return { ...common, way: { why: { kind: 'missing', device } } };
  const learnt = await inspection.learntMtu(remote, device);
  return {
    ...common,
    way: { source: found.local, device: route.device, mtu: route.mtu, learnt },
  };
}

function settingsOf(
  devices: readonly (string | undefined)[],
  inspection: HostInspection,
): ReadonlyMap<string, string> {
  const named = ['all', 'default', ...devices.filter((device) => device !== undefined)];
  const paths = [
    ...Object.values(FORWARDING),
    ...named.flatMap((name) => [
      `net/ipv4/conf/${name}/rp_filter`,
      `net/ipv6/conf/${name}/disable_ipv6`,
    ]),
  ];
  return new Map(
    paths.flatMap((path): [string, string][] => {
      const value = inspection.setting(path);
      return value === undefined ? [] : [[path, value]];
    }),
  );
}

function publicKeyOf(
  proof: Proof,
  { sessionCrypto }: Pick<DoctorPorts, 'sessionCrypto'>,
): PublicKey | undefined {
  const key = sessionCrypto(proof).publicKey?.();
  return key && decodePublicKey(key);
}

function endOf(
  { path, config }: { readonly path: string; readonly config: TunnelConfig },
  ports: Pick<DoctorPorts, 'sessionCrypto'>,
): OtherEnd {
  return {
    path,
    role: config.role,
    innerIps: config.inner.ips,
    peers: config.peers.map(({ id, innerIps, proof }) => ({
      id,
      innerIps,
      own: publicKeyOf(proof, ports),
      other: proof.kind === 'ed25519' ? proof.peerPublicKey : undefined,
      secret: proof.kind === 'ed25519' ? proof.secret : undefined,
    })),
  };
}
