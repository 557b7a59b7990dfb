import { expect, it } from 'vitest';
import { HOST_IS_LITTLE_ENDIAN } from '../../../src/core/bytes.ts';
import { encodeNewLink, encodeSetLink } from '../../../src/core/netlink/link.ts';
import { encodeVethData } from '../../../src/core/netlink/veth.ts';
import { ifIndex } from '../../../src/core/units.ts';
import { hex } from './hex.ts';

it.runIf(HOST_IS_LITTLE_ENDIAN)(
  'makes a pair as `ip link add v0 type veth peer name v1` does',
  () => {
    const { payload } = encodeNewLink({ name: 'v0', kind: 'veth', data: encodeVethData('v1') });
    // iproute2 6.1 marks no nest (80) and ends the kind without a zero: the only differences.
    expect(payload).toEqual(
      hex(`00000000 00000000 00000000 00000000 0700 0300 763000 00 3000 1280 0900 0100 7665746800 000000
      2000 0280 1c00 0100 00000000 00000000 00000000 00000000 0700 0300 763100 00`),
    );
  },
);

it.runIf(HOST_IS_LITTLE_ENDIAN)(
  'dresses an end as `ip link set v0 arp off addrgenmode none` does',
  () => {
    const { payload } = encodeSetLink(ifIndex(3), { arp: false, ipv6Addresses: 'none' });
    expect(payload).toEqual(
      hex(`00000000 03000000 80000000 80000000 1000 1a80 0c00 0a80 0500 0800 01000000`),
    );
  },
);

it.runIf(HOST_IS_LITTLE_ENDIAN)('changes flags as `ip link set v0 up multicast off` does', () => {
  const { payload } = encodeSetLink(ifIndex(3), { up: true, multicast: false });
  expect(payload).toEqual(hex('00000000 03000000 01000000 01100000'));
});
