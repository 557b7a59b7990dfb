/**
 * What the programs ask of devices (linux/ethtool.h, linux/if_arp.h, linux/sockios.h of 6.1). All is
 * done in the network namespace of the calling thread.
 */
import { getU16host } from '../../../core/bytes.ts';
import { deviceRequest, IFREQ_DATA_AT } from '../../device-request.ts';
import { ethtool, setFeature } from '../../ethtool.ts';
import type { ProgramName } from './abi.ts';

const SIOCGIFHWADDR = 0x8927;
/** Of a struct sockaddr: the address follows the family, which is the type here. */
const SA_DATA_AT = IFREQ_DATA_AT + 2;

const ETHTOOL_STSO = 0x1f;
const ETHTOOL_SGRO = 0x2c;

/** Devices whose packets have no link header: dev_is_mac_header_xmit() of linux/if_arp.h. */
const ARPHRD_WITHOUT_HEADER = new Set([
  ...[512, 519, 768, 769, 776, 778, 823],
  ...[0xffff, 0xfffe],
]);

/** ARPHRD_* type and first six bytes of a device's hardware address. Throws KernelError (exit `link`). */
export function hardwareAddress(device: string): {
  readonly type: number;
  readonly mac: Uint8Array;
} {
  const answer = deviceRequest(device, 'SIOCGIFHWADDR', SIOCGIFHWADDR);
  return {
    type: getU16host(answer, IFREQ_DATA_AT),
    mac: answer.slice(SA_DATA_AT, SA_DATA_AT + 6),
  };
}

/** The program for an outer device's ingress. */
export function decapProgram(device: string): ProgramName {
  const { type } = hardwareAddress(device);
  return ARPHRD_WITHOUT_HEADER.has(type) ? 'ipipou_decap_raw' : 'ipipou_decap_eth';
}

/**
 * Readies the pair for the programs: packets that the far end sends arrive at the near end by NAPI and
 * are joined there (veth does so only where the sending end cannot send aggregates). Aggregates that the
 * programs let pass to the far end are cut up on their way; those that they take are taken before that.
 */
export function preparePair(near: string, far: string): void {
  ethtool(near, 'ETHTOOL_SGRO', ETHTOOL_SGRO, 1);
  for (const end of [near, far]) ethtool(end, 'ETHTOOL_STSO', ETHTOOL_STSO, 0);
  setFeature(near, 'tx-udp-segmentation', false);
}

/** Lets the kernel fill in checksums of what a device is to send, where it leaves them to devices by default. */
export function withChecksums(device: string): void {
  for (const feature of ['tx-checksum-ip-generic', 'tx-checksum-sctp']) {
    setFeature(device, feature, false);
  }
}
