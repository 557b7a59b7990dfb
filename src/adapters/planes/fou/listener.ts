import { IpipouError, KernelError, withExit } from '../../../core/errors.ts';
import type { Port } from '../../../core/units.ts';
import type { FouListener, FouNetlink } from '../../netlink/fou.ts';

/** IPPROTO_IPIP of <linux/in.h>; ip(8)'s word "ipip" is another number. */
const IPPROTO_IPIP = 4;

/**
 * Makes the FOU listener that hands packets on `port` to ipip. One that is there already with that
 * meaning is used. `announce` is called before one is made. Returns whether one was made; rejects
 * with exit 'fou' when the port cannot be had.
 */
export async function ensureListener(
  fou: FouNetlink,
  port: Port,
  announce: () => void,
): Promise<boolean> {
  const there = await findListener(fou, port);
  if (there !== undefined) {
    if (there.ipproto === IPPROTO_IPIP && there.type === 'direct') return false;
    throw new IpipouError(
      'fou',
      `FOU port ${port}: it is in use for protocol ${there.ipproto} (${there.type})`,
      { hint: `choose another fou-local-port, or remove it: ip fou del port ${port}` },
    );
  }
  announce();
  try {
    await fou.add({ family: 'ipv4', port, ipproto: IPPROTO_IPIP });
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

/** Removes the listener; quiet when it is gone. */
export async function removeListener(fou: FouNetlink, port: Port): Promise<void> {
  await fou.remove({ family: 'ipv4', port });
}

/** The listener on `port` for every address and device; others of that port stand in the way of ours. */
export async function findListener(fou: FouNetlink, port: Port): Promise<FouListener | undefined> {
  return (await fou.list()).find(
    (listener) =>
      listener.family === 'ipv4' &&
      listener.port === port &&
      listener.local === undefined &&
      listener.device === undefined &&
      listener.peer === undefined,
  );
}
