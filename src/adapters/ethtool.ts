/**
 * Settings of a device by SIOCETHTOOL (linux/ethtool.h, linux/sockios.h of 6.1), in the network namespace
 * of the calling thread. The request is a struct ifreq, 16 bytes of name and a pointer to a command:
 *
 *     struct ethtool_value          struct ethtool_sset_info           struct ethtool_gstrings
 *     +-----------------+           +-----------------+                +-----------------+
 *     | cmd  (u32host)  |           | cmd  (u32host)  |                | cmd  (u32host)  |
 *     | data (u32host)  |           | reserved (u32)  |                | string_set (u32)|
 *     +-----------------+           | sset_mask (u64) |                | len  (u32)      |
 *                                   | count (u32)     |                | 32 bytes each … |
 *     struct ethtool_sfeatures      +-----------------+                +-----------------+
 *     +-----------------+
 *     | cmd  (u32host)  |
 *     | size (u32host)  |  then `size` times: valid (u32host), requested (u32host)
 *     +-----------------+
 */
import { concatBytes, encodeU32host, encodeU64host, getU32host } from '../core/bytes.ts';
import { KernelError } from '../core/errors.ts';
import { deviceRequest } from './device-request.ts';
import { address } from './ffi/libc.ts';

const SIOCETHTOOL = 0x8946;

const ETHTOOL_GSTRINGS = 0x1b;
const ETHTOOL_GSSET_INFO = 0x37;
const ETHTOOL_SFEATURES = 0x3b;
const ETH_SS_FEATURES = 4;
const ETH_GSTRING_LEN = 32;
const STRINGS_AT = 12;
const SET_INFO_COUNT_AT = 16;
const BLOCK_BITS = 32;

/** One command of struct ethtool_value; its value after. Throws KernelError (exit `link`). */
export function ethtool(device: string, operation: string, command: number, data: number): number {
  return getU32host(exchange(device, operation, words(command, data)), 4);
}

/**
 * Switches a feature of a device, by the kernel's name for it (`ethtool -k`, net/ethtool/common.c). Throws
 * KernelError (exit `link`) when there is no such device, or no such feature in this kernel.
 */
export function setFeature(device: string, name: string, on: boolean): void {
  const names = featureNames(device);
  const bit = names.indexOf(name);
  if (bit < 0) {
    const subject = `link ${device}`;
    throw new KernelError('link', { operation: 'ETHTOOL_GSTRINGS', errno: 'ENOENT', subject });
  }
  // The kernel takes all blocks that it has, or none.
  const blocks = Array.from({ length: Math.ceil(names.length / BLOCK_BITS) }, (_, block) => {
    const mask = block === Math.floor(bit / BLOCK_BITS) ? (1 << (bit % BLOCK_BITS)) >>> 0 : 0;
    return [mask, on ? mask : 0];
  });
  const request = words(ETHTOOL_SFEATURES, blocks.length, ...blocks.flat());
  exchange(device, 'ETHTOOL_SFEATURES', request);
}

/** Names of features by bit. */
function featureNames(device: string): readonly string[] {
  const sets = encodeU64host(1n << BigInt(ETH_SS_FEATURES));
  const info = concatBytes([words(ETHTOOL_GSSET_INFO, 0), sets, words(0)]);
  exchange(device, 'ETHTOOL_GSSET_INFO', info);
  const count = getU32host(info, SET_INFO_COUNT_AT);
  const strings = new Uint8Array(STRINGS_AT + count * ETH_GSTRING_LEN);
  strings.set(words(ETHTOOL_GSTRINGS, ETH_SS_FEATURES, count));
  exchange(device, 'ETHTOOL_GSTRINGS', strings);
  return Array.from({ length: count }, (_, index) => {
    const at = STRINGS_AT + index * ETH_GSTRING_LEN;
    const [name = ''] = new TextDecoder()
      .decode(strings.subarray(at, at + ETH_GSTRING_LEN))
      .split('\0');
    return name;
  });
}

function words(...values: readonly number[]): Uint8Array {
  return concatBytes(values.map(encodeU32host));
}

/** Carries a command out; returns its bytes with what the kernel answers (and so keeps them until then). */
function exchange(device: string, operation: string, command: Uint8Array): Uint8Array {
  deviceRequest(device, operation, SIOCETHTOOL, encodeU64host(address(command)));
  return command;
}
