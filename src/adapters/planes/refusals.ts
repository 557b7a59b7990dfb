/** Why a plane does not do with a peer what its owner asks. */
import { familyOf, formatEndpoint, type Family, type Path } from '../../core/addr.ts';
import { IpipouError, KernelError } from '../../core/errors.ts';
import type { Port } from '../../core/units.ts';
import type { PeerId } from '../../ports/data-plane.ts';

/** A known peer; throws IpipouError for one that nobody configured. */
export function requirePeer<P>(peers: { get(id: PeerId): P | undefined }, id: PeerId): P {
  const peer = peers.get(id);
  if (peer !== undefined) return peer;
  throw new IpipouError('createTunnel', `peer ${id} is not known to the tunnel`);
}

/** Throws IpipouError for a path that does not begin at the one port of the tunnel. */
export function requireTunnelPort({ local }: Path, port: Port): void {
  if (local.port === port) return;
  throw new IpipouError('createTunnel', `the tunnel's port is ${port}, not ${local.port}`);
}

/** Throws IpipouError for a path of a family that the tunnel has no port in. */
export function requireFamily({ remote }: Path, families: readonly Family[]): void {
  if (families.includes(familyOf(remote.ip))) return;
  const there = formatEndpoint(remote);
  throw new IpipouError('createTunnel', `${there} is of a family that the tunnel does not use`);
}

/** A peer cannot be where `holder` of the same tunnel is admitted. */
export function heldByAnother(
  peer: { readonly id: PeerId; readonly path: Path | undefined },
  path: Path,
  { errno, holder }: { readonly errno: string; readonly holder: string },
): KernelError {
  return new KernelError(
    peer.path ? 'updateTunnel' : 'createTunnel',
    {
      operation: 'admit',
      errno,
      subject: `peer ${peer.id} at ${formatEndpoint(path.remote)}`,
    },
    { hint: `${holder} of this tunnel is admitted at that address and port` },
  );
}
