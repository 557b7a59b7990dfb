import { IpipouError, KernelError, withExit } from '../../../core/errors.ts';
import type { FouIdentity, FouListener, FouNetlink, FouSpec } from '../../netlink/fou.ts';

/**
 * Makes a FOU listener that hands packets to the tunnel devices. One that is there already with that
 * meaning is used, one of another is made anew where it is `ours`. `announce` is called before one is made.
 * Returns whether one was made; rejects with exit 'fou' when the port cannot be had.
 */
export async function ensureListener(
  fou: FouNetlink,
  spec: FouSpec,
  { ours, announce }: { readonly ours: boolean; readonly announce: () => void },
): Promise<boolean> {
  const { port } = spec;
  const there = findListener(await fou.list(), spec);
  if (there !== undefined) {
    if (there.ipproto === spec.ipproto && there.type === (spec.type ?? 'direct')) return false;
    if (!ours) throw usedOtherwise(there);
    await fou.remove(there);
  }
  announce();
  try {
    await fou.add(spec);
  } catch (error) {
    const taken = error instanceof KernelError && error.errno === 'EADDRINUSE';
    throw withExit(
      error,
      'fou',
      taken ? `another program has UDP port ${port}; see: ss -ulpn sport = :${port}` : undefined,
    );
  }
  return true;
}

/** The listener of a family on a port for every address and device; others of that port stand in the way of ours. */
export function findListener(
  listeners: readonly FouListener[],
  { family, port }: Pick<FouIdentity, 'family' | 'port'>,
): FouListener | undefined {
  return listeners.find(
    (listener) =>
      listener.family === family &&
      listener.port === port &&
      listener.local === undefined &&
      listener.device === undefined &&
      listener.peer === undefined,
  );
}

function usedOtherwise({ family, port, ipproto, type }: FouListener): IpipouError {
  const flag = family === 'ipv6' ? '-6 ' : '';
  return new IpipouError(
    'fou',
    `FOU port ${port}: it is in use for protocol ${ipproto} (${type})`,
    { hint: `choose another fou-local-port, or remove it: ip ${flag}fou del port ${port}` },
  );
}
