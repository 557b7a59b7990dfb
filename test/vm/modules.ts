import { runChecked } from '../../src/adapters/lab/process.ts';

/** Loaded before the first test, so that devices which come with a module are no leak of a test. */
const MODULES = [
  ...['veth', 'bridge', 'tun', 'fou', 'fou6', 'ipip', 'sit', 'ip6_tunnel'],
  ...['nf_tables', 'nft_chain_nat', 'nft_nat', 'nft_ct', 'nft_queue'],
  ...['nfnetlink_queue', 'nf_conntrack_netlink'],
];

/** Global setup of the tests that need these; fails where the kernel has them not. */
export async function setup(): Promise<void> {
  await runChecked(['modprobe', '-a', ...MODULES]);
}
