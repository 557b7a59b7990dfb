import { IpipouError } from '../core/errors.ts';
import type { Integrity } from '../core/tag/types.ts';
import type { DataPlane, PeerId, PlaneFactory, Requirement } from '../ports/data-plane.ts';

/** What of a peer's config is looked at here. */
export type Proved = { readonly id: PeerId; readonly integrity?: Integrity };

/** What these peers ask of a plane that it cannot do; undefined: nothing. */
export function unprovable(
  { capabilities: { integrity } }: Pick<PlaneFactory, 'capabilities'>,
  peers: readonly Proved[],
): Requirement | undefined {
  const peer = peers.find(({ integrity: wanted = 'none' }) => !integrity.includes(wanted));
  if (!peer) return undefined;
  return {
    what: `integrity ${peer.integrity}`,
    met: false,
    detail: `it cannot prove packets, as peer ${peer.id} asks for`,
    fix: 'dataplane bpf, tun or auto',
    exit: 'arguments',
  };
}

/** Throws IpipouError where a plane that runs cannot prove what these peers ask for. */
export function requireIntegrity(
  plane: Pick<DataPlane, 'name' | 'capabilities'>,
  peers: readonly Proved[],
): void {
  const missing = unprovable(plane, peers);
  if (!missing) return;
  const { what, detail, fix } = missing;
  throw new IpipouError('arguments', `${what}: the ${plane.name} plane runs, and ${detail}`, {
    hint: `${fix}, and a restart`,
  });
}
