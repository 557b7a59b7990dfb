import { familyOf, ofFamily, type Family } from '../../core/addr.ts';
import { outerFamilies } from '../../core/config/families.ts';
import type { OuterConfig, TunnelConfig } from '../../core/config/tunnel-config.ts';
import { KernelError } from '../../core/errors.ts';
import type { Log } from '../../ports/log.ts';
import { hasFamily } from '../udp/tunnel-socket.ts';
import { configuredRemote } from './inner-mtu.ts';

/**
 * The outer families that a tunnel has a port in, on whatever plane: of those that its config leaves open the ones
 * that this kernel has. One that is wanted by name is among them in any case, so that opening it says what is missing.
 *
 * A client whose server is an IPv6 address needs no other. One whose server is an IPv4 address may be on a network
 * of IPv6 alone, whose NAT64 leads there.
 */
export function listenFamilies(
  config: Pick<TunnelConfig, 'role' | 'outer' | 'peers'>,
  has: (family: Family) => boolean = hasFamily,
): readonly Family[] {
  const open = outerFamilies(config.outer);
  const remote = config.role === 'client' ? configuredRemote(config) : undefined;
  if (remote !== undefined && familyOf(remote) === 'ipv6') return ['ipv6'];
  return open.length === 1 ? open : open.filter(has);
}

/**
 * Opens the port in each of these families. Where another program has it in IPv6, which nobody has asked for by name,
 * that is said, and IPv4 goes on alone.
 */
export function openInFamilies<Socket>(
  families: readonly Family[],
  { outer, log }: { readonly outer: Pick<OuterConfig, 'localIps'>; readonly log: Log },
  open: (family: Family) => Socket,
): ReadonlyMap<Family, Socket> {
  const opened = new Map<Family, Socket>();
  for (const family of families) {
    try {
      opened.set(family, open(family));
    } catch (error) {
      const taken = error instanceof KernelError && error.errno === 'EADDRINUSE';
      const asked = ofFamily(outer.localIps, 'ipv6') !== undefined;
      if (!taken || asked || family === 'ipv4' || opened.size === 0) throw error;
      log('warn', 'the port is not open for IPv6', { error: error.message });
    }
  }
  return opened;
}
