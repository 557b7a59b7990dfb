import {
  NFT_TABLE,
  NUMBER_FROM_QUEUE_MAX,
  QUEUE_LENGTH,
  QUEUE_LENGTH_MAX,
  QUEUE_NUMBER_MAX,
} from './limits.ts';
import { flag, valued, type Option } from './option.ts';
import { nftName, oneOf, wholeNumber } from './syntax.ts';

/** What carries the packets. */
export const PLANE_OPTIONS: readonly Option[] = [
  valued(
    {
      name: 'dataplane',
      group: 'planes',
      fallback: 'auto',
      fixed: ({ config }) => config.dataplane,
      help:
        "What carries the packets: fou is the kernel's Foo-over-UDP, bpf programs of this program " +
        'in the kernel, tun is user space; auto takes the best that works here and says which.',
    },
    oneOf('PLANE', ['auto', 'fou', 'bpf', 'tun'] as const),
    'dataplane',
  ),
  valued(
    {
      name: 'queue-number',
      short: 'q',
      group: 'planes',
      fallback: 'N',
      fixed: ({ config }) => config.queue.number,
      help: `NFQUEUE number; a server has the one that differs by 49152 as well, for strangers, and for session 2 that which differs by 32768. With N 0 and 1 to ${NUMBER_FROM_QUEUE_MAX} here, N becomes this.`,
    },
    wholeNumber('N', 0, QUEUE_NUMBER_MAX),
    'queueNumber',
  ),
  valued(
    {
      name: 'nfq-max-len',
      group: 'planes',
      plane: 'fou',
      fallback: `${QUEUE_LENGTH}`,
      fixed: ({ config }) => config.queue.maxLength,
      help: 'How many packets may wait in the queue; more are dropped.',
    },
    wholeNumber('N', 1, QUEUE_LENGTH_MAX),
    'queueLength',
  ),
  valued(
    {
      name: 'nft-table',
      group: 'planes',
      plane: 'fou',
      fallback: NFT_TABLE,
      fixed: ({ config }) => config.nft.table,
      help: 'nftables table (family ip) to keep rules in; tunnels may share one.',
    },
    nftName,
    'nftTable',
  ),
  flag(
    {
      name: 'no-nft-counter',
      group: 'planes',
      plane: 'fou',
      fixed: ({ config }) => config.nft.counters,
      help: 'Leave counters out of the nftables rules.',
    },
    { nftCounters: false },
  ),
];
