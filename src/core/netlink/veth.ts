/** A pair of virtual Ethernet devices (linux/veth.h of 6.1): what leaves by one arrives by the other. */
import { attrBytes, attrString } from './attributes.ts';

const VETH_INFO_PEER = 1;
/** linux/rtnetlink.h, struct ifinfomsg; all zeros here. */
const IFINFOMSG_LENGTH = 16;
const IFLA_IFNAME = 3;

/** The IFLA_INFO_DATA of a new device of kind `veth`; `other` names the other end. */
export function encodeVethData(other: string): readonly Uint8Array[] {
  const name = attrString(IFLA_IFNAME, other);
  const peer = new Uint8Array(IFINFOMSG_LENGTH + name.length);
  peer.set(name, IFINFOMSG_LENGTH);
  return [attrBytes(VETH_INFO_PEER, peer)];
}
