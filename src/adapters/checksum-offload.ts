/**
 * Transmit checksum offload of a device (ETHTOOL_GTXCSUM and ETHTOOL_STXCSUM of linux/ethtool.h 6.1):
 * whether the kernel leaves checksums of packets sent by it to whatever comes after.
 */
import { ethtool } from './ethtool.ts';

const ETHTOOL_GTXCSUM = 0x16;
const ETHTOOL_STXCSUM = 0x17;

/** Throws KernelError (exit `link`) when there is no such device in this namespace. */
export function transmitChecksumOffload(device: string): boolean {
  return ethtool(device, 'ETHTOOL_GTXCSUM', ETHTOOL_GTXCSUM, 0) !== 0;
}

/**
 * Needs CAP_NET_ADMIN. Without the offload the kernel also cuts aggregated packets up before this
 * device, which costs some throughput. Throws KernelError (exit `link`).
 */
export function setTransmitChecksumOffload(device: string, on: boolean): void {
  ethtool(device, 'ETHTOOL_STXCSUM', ETHTOOL_STXCSUM, on ? 1 : 0);
}
