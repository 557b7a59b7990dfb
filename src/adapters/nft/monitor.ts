import { NETLINK_NETFILTER } from '../../core/netlink/message.ts';
import {
  collectNftEvents,
  NFNLGRP_NFTABLES,
  type NftEvent,
} from '../../core/netlink/nftables-events.ts';
import { openNetlink } from '../netlink/socket.ts';

export type { NftEvent } from '../../core/netlink/nftables-events.ts';

/**
 * Calls back for every change of nftables rules in this network namespace, whoever made it, once the
 * transaction that made it is complete. `unknown` after events were lost. Throws KernelError (exit
 * `nftables`) when the kernel has no such group.
 */
export function watchNft(callback: (event: NftEvent) => void): { close(): void } {
  const collect = collectNftEvents(callback);
  return openNetlink({
    family: NETLINK_NETFILTER,
    groups: [NFNLGRP_NFTABLES],
    subject: 'nftables events',
    exit: 'nftables',
    onEvent: (event) => collect(event.kind === 'message' ? event.message : undefined),
  });
}
