/** Which of the kernel's ways to move many packets at once are in use; each has a fallback. */
export type Offloads = {
  /** IFF_VNET_HDR with TUNSETOFFLOAD on the device; else every packet is a read or a write. */
  readonly vnetHeader: boolean;
  /** UDP_SEGMENT on sending; else sendmmsg of single datagrams. */
  readonly segmentation: boolean;
  /** UDP_GRO on receiving; else recvmmsg of single datagrams. */
  readonly aggregation: boolean;
};

export const ALL_OFFLOADS: Offloads = {
  vnetHeader: true,
  segmentation: true,
  aggregation: true,
};
