import { IpipouError } from '../../../core/errors.ts';

/**
 * Peers of one tunnel on this plane. Each has a device of its own, which the kernel and everything
 * that lists devices must bear; the planes with one device take more.
 */
export const MAX_PEERS = 1024;

/** Throws where `count` peers are too many. */
export function requireRoom(count: number): void {
  if (count <= MAX_PEERS) return;
  throw new IpipouError('arguments', `${count} peers: the fou plane carries ${MAX_PEERS} at most`, {
    hint: 'choose another plane (dataplane), or spread the peers over several tunnels',
  });
}
