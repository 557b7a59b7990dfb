import type { Trains } from '../../udp/tunnel-socket.ts';

/** Which of the kernel's ways to move many packets at once are in use; each has a fallback. */
export type Offloads = Trains & {
  /** IFF_VNET_HDR with TUNSETOFFLOAD on the device; else every packet is a read or a write. */
  readonly vnetHeader: boolean;
};

export const ALL_OFFLOADS: Offloads = {
  vnetHeader: true,
  segmentation: true,
  aggregation: true,
};
