import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { outerIpv4FromNumber, type OuterIp } from '../../../src/core/addr.ts';
import { HOST_IS_LITTLE_ENDIAN } from '../../../src/core/bytes.ts';
import {
  decodeLink,
  encodeChangeIpip,
  encodeDelLink,
  encodeGetLink,
  encodeNewIpip,
  encodeNewLink,
  encodeSetLink,
  linkFamily,
  type IpipSpec,
} from '../../../src/core/netlink/link.ts';
import { succeed } from '../../../src/core/result.ts';
import { ifIndex } from '../../../src/core/units.ts';
import { holdsAgainstBadBytes } from './decoder-checks.ts';
import { hex } from './hex.ts';
import { treeOf, type Tree } from './tree.ts';

const HEADER = 16;
/** IFLA_LINKINFO / IFLA_INFO_DATA */
const nests = { 18: { 2: {} } };

function dataOf(tree: Tree): Tree {
  const info = tree[18];
  const data = typeof info === 'object' ? info[2] : undefined;
  if (typeof data !== 'object') throw new Error('no IFLA_INFO_DATA');
  return data;
}

const spec: IpipSpec = {
  name: 'tun4',
  link: ifIndex(3),
  local: '192.0.2.1' as OuterIp,
  remote: '203.0.113.90' as OuterIp,
  ttl: 64,
  pmtuDiscovery: true,
  encap: { checksum: true, sourcePort: 10000, destinationPort: 4321 },
};

/**
 * Linux 6.1.0-56-amd64: `ip link add tun4 type ipip remote 203.0.113.90 local 192.0.2.1 ttl 64 dev
 * d0 encap fou encap-sport 10000 encap-dport 4321 encap-csum mode ipip` (iproute2 6.1), by strace.
 */
const IP_LINK_ADD = hex(`00000000 00000000 00000000 00000000
  0900 0300 74756e3400 000000
  7000 1200 0800 0100 69706970 6400 0200
    0500 0900 04000000  0800 0200 c0000201  0800 0300 cb00715a  0500 0a00 01000000
    0500 0500 00000000  0500 0400 40000000  0800 0100 03000000  0800 1400 00000000
    0600 0f00 01000000  0600 1000 01000000  0600 1100 27100000  0600 1200 10e10000`);

/**
 * Linux 6.1.0-56-amd64: answer to RTM_GETLINK of such a device, by recv(); what is not read is left
 * out, and of the zeros that end its counters all but eight bytes.
 */
const IPIP_LINK = hex(`00000003 05000000 d1000100 00000000
  0900 0300 74756e3700 000000
  0800 0d00 e8030000
  0800 0400 c0050000
  2c00 1700 0000000000000000 0100000000000000 0000000000000000 5400000000000000 0000000000000000
  7400 1200 0900 0100 6970697000 000000 6400 0200
    0800 0100 04000000  0800 0200 c0000201  0800 0300 cb007109  0500 0400 00000000
    0500 0500 00000000  0500 0900 04000000  0500 0a00 01000000  0800 1400 00000000
    0600 0f00 01000000  0600 1100 27100000  0600 1200 10e10000  0600 1000 00000000
  0800 0500 04000000`);

describe.runIf(HOST_IS_LITTLE_ENDIAN)('encoding', () => {
  it('makes an ipip device, literally', () => {
    const call = encodeNewIpip(spec);
    expect(call).toMatchObject({ operation: 'RTM_NEWLINK', type: 16, flags: 0x600 });
    expect(call.payload).toEqual(
      hex(`00000000 00000000 00000000 00000000
        0900 0300 74756e3400 000000
        6400 1280 0900 0100 6970697000 000000 5400 0280
          0800 0100 03000000  0800 0200 c0000201  0800 0300 cb00715a  0500 0400 40000000
          0500 0a00 01000000  0500 0900 04000000  0600 0f00 01000000  0600 1000 01000000
          0600 1100 27100000  0600 1200 10e10000`),
    );
  });

  it('says of an ipip device what ip says, less its TOS and firewall mark of zero', () => {
    const own = treeOf(encodeNewIpip(spec).payload.subarray(HEADER), nests);
    const theirs = treeOf(IP_LINK_ADD.subarray(HEADER), nests);
    expect(dataOf(theirs)).toEqual({ ...dataOf(own), 5: '00', 20: '00000000' });
    expect(theirs[3]).toBe(own[3]);
  });

  it.each([
    ['made', encodeNewIpip(spec)],
    ['re-pointed', encodeChangeIpip(ifIndex(5), spec)],
  ])('gives a device that is %s the type and both ports, in network order', (_, call) => {
    expect(dataOf(treeOf(call.payload.subarray(HEADER), nests))).toMatchObject({
      15: '0100',
      17: '2710',
      18: '10e1',
    });
  });

  it('re-points a device by its index and leaves its name alone', () => {
    const call = encodeChangeIpip(ifIndex(5), { ...spec, encap: undefined, link: undefined });
    expect(call).toMatchObject({ type: 16, flags: 0 });
    expect(treeOf(call.payload.subarray(HEADER), nests)).toEqual({
      18: {
        1: '6970697000',
        2: {
          1: '00000000',
          2: 'c0000201',
          3: 'cb00715a',
          4: '40',
          9: '04',
          10: '01',
          15: '0000',
          16: '0000',
          17: '0000',
          18: '0000',
        },
      },
    });
    expect(call.payload.subarray(0, HEADER)).toEqual(hex('00000000 05000000 00000000 00000000'));
  });

  it('changes a link as `ip link set d0 mtu 1400 up` of 6.18 does', () => {
    const call = encodeSetLink(ifIndex(3), { up: true, mtu: 1400 });
    expect(call).toMatchObject({ operation: 'RTM_NEWLINK', type: 16, flags: 0 });
    expect(call.payload).toEqual(hex('00000000 03000000 01000000 01000000 0800 0400 78050000'));
  });

  it.each([
    ['renames', { name: 'a' }, '00000000 03000000 00000000 00000000 0600 0300 61000000'],
    ['takes down', { up: false }, '00000000 03000000 00000000 01000000'],
  ])('%s a link', (_, change, bytes) => {
    expect(encodeSetLink(ifIndex(3), change).payload).toEqual(hex(bytes));
  });

  it('removes a link as `ip link del d0` of 6.18 does', () => {
    expect(encodeDelLink(ifIndex(3))).toEqual({
      operation: 'RTM_DELLINK',
      type: 17,
      flags: 0,
      payload: hex('00000000 03000000 00000000 00000000'),
    });
  });

  it('asks for all links, one by name, one by index', () => {
    expect(encodeGetLink('all').payload).toEqual(hex('00'.repeat(16)));
    expect(encodeGetLink({ index: ifIndex(3) }).payload).toEqual(
      hex('00000000 03000000 00000000 00000000'),
    );
    expect(encodeGetLink({ name: 'd0' }).payload).toEqual(
      hex(`${'00'.repeat(16)} 0700 0300 643000 00`),
    );
  });

  it('makes a link of any kind', () => {
    const link = { name: 'v', kind: 'vlan', parent: ifIndex(2), mtu: 1400, up: true };
    const { payload } = encodeNewLink({ ...link, data: [hex('0600 0100 0700 0000')] });
    expect(payload.subarray(0, HEADER)).toEqual(hex('00000000 00000000 01000000 01000000'));
    expect(treeOf(payload.subarray(HEADER), nests)).toEqual({
      3: '7600',
      4: '78050000',
      5: '02000000',
      18: { 1: '766c616e00', 2: { 1: '0700' } },
    });
  });
});

describe('decodeLink', () => {
  it.runIf(HOST_IS_LITTLE_ENDIAN)('reads an ipip device', () => {
    expect(linkFamily(IPIP_LINK)).toBe(0);
    expect(decodeLink(IPIP_LINK)).toEqual(
      succeed({
        index: 5,
        name: 'tun7',
        kind: 'ipip',
        mtu: 1472,
        up: true,
        flags: 0x100d1,
        hardware: 768, // ARPHRD_TUNNEL
        address: undefined,
        parent: 4,
        stats: { rxPackets: 0n, txPackets: 1n, rxBytes: 0n, txBytes: 84n },
        ipip: {
          link: 4,
          local: '192.0.2.1',
          remote: '203.0.113.9',
          ttl: 0,
          pmtuDiscovery: true,
          encap: { type: 'fou', checksum: false, sourcePort: 10000, destinationPort: 4321 },
        },
      }),
    );
  });

  it('gives back what is encoded of a tunnel', () => {
    const ip = fc.integer({ min: 1, max: 0xffffffff }).map(outerIpv4FromNumber);
    const port = fc.nat(65535);
    const encap = fc.record({ checksum: fc.boolean(), sourcePort: port, destinationPort: port });
    const tunnel = fc.record({
      name: fc.stringMatching(/^[a-z0-9]{1,15}$/),
      link: fc.option(fc.integer({ min: 1, max: 1 << 20 }).map(ifIndex), { nil: undefined }),
      local: fc.option(ip, { nil: undefined }),
      remote: fc.option(ip, { nil: undefined }),
      ttl: fc.nat(255),
      pmtuDiscovery: fc.boolean(),
      encap: fc.option(encap, { nil: undefined }),
    });
    fc.assert(
      fc.property(tunnel, ({ name, ...rest }) => {
        const decoded = decodeLink(encodeNewIpip({ name, ...rest }).payload);
        const type = rest.encap && { encap: { type: 'fou', ...rest.encap } };
        expect(decoded).toMatchObject(succeed({ name, kind: 'ipip', ipip: { ...rest, ...type } }));
      }),
    );
  });

  it('takes 0.0.0.0 for no address, and other encapsulations for what they are', () => {
    const none = { ...spec, local: '0.0.0.0' as OuterIp, remote: '0.0.0.0' as OuterIp };
    expect(decodeLink(encodeNewIpip(none).payload)).toMatchObject(
      succeed({ ipip: { local: undefined, remote: undefined } }),
    );
    // The last attributes are the encapsulation's type, flags and ports, eight bytes each.
    const { payload } = encodeNewIpip(spec);
    const typeAt = payload.length - 32 + (HOST_IS_LITTLE_ENDIAN ? 4 : 5);
    for (const [value, type] of [
      [2, 'gue'],
      [3, 'other'],
    ] as const) {
      expect(decodeLink(payload.with(typeAt, value))).toMatchObject(
        succeed({ ipip: { encap: { type } } }),
      );
    }
  });

  it('refuses counters that end early', () => {
    const stats = encodeSetLink(ifIndex(1), {}).payload;
    const short = Uint8Array.from([...stats, ...hex('0c00 1700 0000000000000000')]);
    expect(decodeLink(short).ok).toBe(!HOST_IS_LITTLE_ENDIAN);
  });

  holdsAgainstBadBytes(decodeLink, encodeNewIpip(spec).payload, HEADER);
});
