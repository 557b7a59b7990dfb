import {
  decodeConntrack,
  encodeDelConntrack,
  encodeGetConntrack,
  IPPROTO_UDP,
  type ConntrackEntry,
} from '../../core/netlink/conntrack.ts';
import { NETLINK_NETFILTER } from '../../core/netlink/message.ts';
import { readAnswer, unless } from './answers.ts';
import { openNetlink, type NetlinkSocket } from './socket.ts';

export type { ConntrackEntry, Tuple } from '../../core/netlink/conntrack.ts';

/** What a kernel without conntrack's netlink interface answers. */
const NO_CONNTRACK = ['EINVAL', 'EOPNOTSUPP', 'EPROTONOSUPPORT'];

/**
 * Forgets the UDP connections of the calling thread's namespace that `predicate` picks, of both families;
 * returns how many there were. Quiet where the kernel has no conntrack.
 */
export async function deleteConntrack(
  predicate: (entry: ConntrackEntry) => boolean,
): Promise<number> {
  using socket = openNetlink({ family: NETLINK_NETFILTER, subject: 'conntrack' });
  const entries = await unless(NO_CONNTRACK, [], list(socket));
  let deleted = 0;
  for (const entry of entries.filter(predicate)) {
    // ENOENT: it expired meanwhile.
    const request = socket.request(encodeDelConntrack(entry)).then(() => 1);
    deleted += await unless(['ENOENT'], 0, request);
  }
  return deleted;
}

async function list(socket: NetlinkSocket): Promise<readonly ConntrackEntry[]> {
  const messages = [
    ...(await socket.dump(encodeGetConntrack('ipv4'))),
    ...(await socket.dump(encodeGetConntrack('ipv6'))),
  ];
  return messages
    .map((message) => readAnswer(decodeConntrack, message, 'IPCTNL_MSG_CT_GET', 'generic'))
    .filter((entry) => entry.original.protocol === IPPROTO_UDP);
}
