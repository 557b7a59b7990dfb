import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { outerIpv4FromNumber, type OuterIp } from '../../../src/core/addr.ts';
import { HOST_IS_LITTLE_ENDIAN } from '../../../src/core/bytes.ts';
import {
  decodeLink,
  encodeChangeIpTunnel,
  encodeDelLink,
  encodeGetLink,
  encodeNewIpTunnel,
  encodeNewLink,
  encodeSetLink,
  linkFamily,
  type IpTunnelSpec,
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

const spec: IpTunnelSpec = {
  name: 'tun4',
  kind: 'ipip',
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

/**
 * Linux 6.1.0-57-amd64, iproute2 6.1, by strace: IFLA_INFO_DATA as `ip link add` sends it and as the kernel
 * answers RTM_GETLINK.
 *
 *     type sit mode any remote 203.0.113.90 local 192.0.2.1 ttl 64 dev d0 encap fou encap-sport 10000
 *       encap-dport 4321 encap-csum
 *     type ip6tnl mode any remote 2001:db8::90 local 2001:db8::1 hoplimit 64 encaplimit none dev d0 encap fou
 *       encap-sport 10000 encap-dport 4321
 */
const OTHER_KINDS = [
  {
    kind: 'sit',
    tunnel: { ...spec, kind: 'sit', link: ifIndex(5) },
    sent: hex(`05000900 00000000 08000200 c0000201 08000300 cb00715a 05000a00 01000000
      05000500 00000000 05000400 40000000 08000100 05000000 08001400 00000000
      06000f00 01000000 06001000 01000000 06001100 27100000 06001200 10e10000
      06000800 00000000`),
    answered: hex(`08000100 05000000 08000200 c0000201 08000300 cb00715a 05000400 40000000
      05000500 00000000 05000a00 01000000 05000900 00000000 06000800 00000000
      08001400 00000000 14000b00 20020000 00000000 00000000 00000000 08000c00 00000000
      06000d00 10000000 06000e00 00000000 06000f00 01000000 06001100 27100000
      06001200 10e10000 06001000 01000000`),
    /** No TOS, no firewall mark, no ISATAP. */
    besides: { 5: '00', 20: '00000000', 8: '0000' },
  },
  {
    kind: 'ip6tnl',
    tunnel: {
      ...spec,
      kind: 'ip6tnl',
      link: ifIndex(5),
      local: '2001:db8::1' as OuterIp,
      remote: '2001:db8::90' as OuterIp,
    },
    sent: hex(`05000900 00000000 14000200 20010db8 00000000 00000000 00000001
      14000300 20010db8 00000000 00000000 00000090 05000400 40000000 05000600 04000000
      08000700 00000000 08000800 01000000 08000100 05000000 08001400 00000000
      06000f00 01000000 06001000 02000000 06001100 27100000 06001200 10e10000`),
    answered: hex(`08000100 05000000 14000200 20010db8 00000000 00000000 00000001
      14000300 20010db8 00000000 00000000 00000090 05000400 40000000 05000600 04000000
      08000700 00000000 08000800 01000000 08001400 03000000 05000900 00000000
      08001400 00000000 06000f00 01000000 06001100 27100000 06001200 10e10000
      06001000 02000000`),
    /** An encapsulation limit that the flag beside it switches off, no traffic class, no firewall mark. */
    besides: { 6: '04', 7: '00000000', 20: '00000000' },
  },
] as const satisfies readonly {
  readonly kind: string;
  readonly tunnel: IpTunnelSpec;
  readonly sent: Uint8Array;
  readonly answered: Uint8Array;
  readonly besides: Tree;
}[];

describe.runIf(HOST_IS_LITTLE_ENDIAN).each(OTHER_KINDS)(
  'a device of kind $kind',
  ({ kind, tunnel, sent, answered, besides }) => {
    it('is made as ip makes it', () => {
      const { payload } = encodeNewIpTunnel(tunnel);
      const own = dataOf(treeOf(payload.subarray(HEADER), nests));
      expect(treeOf(sent)).toEqual({ ...own, ...besides });
    });

    it('is re-pointed as it is made', () => {
      const of = (call: { payload: Uint8Array }) =>
        dataOf(treeOf(call.payload.subarray(HEADER), nests));
      expect(of(encodeChangeIpTunnel(ifIndex(7), tunnel))).toEqual(of(encodeNewIpTunnel(tunnel)));
    });

    it('is read from what the kernel answers', () => {
      const payload = encodeNewLink({ name: tunnel.name, kind, data: [answered] }).payload;
      const { name, encap, ...rest } = tunnel;
      expect(decodeLink(payload)).toMatchObject(
        succeed({ name, kind, tunnel: { ...rest, encap: { type: 'fou', ...encap } } }),
      );
    });
  },
);

it('refuses an address outside that is not of the kind', () => {
  const wrong = { ...spec, local: '2001:db8::1' as OuterIp };
  expect(() => encodeNewIpTunnel(wrong)).toThrow(RangeError);
});

describe.runIf(HOST_IS_LITTLE_ENDIAN)('encoding', () => {
  it('makes an ipip device, literally', () => {
    const call = encodeNewIpTunnel(spec);
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
    const own = treeOf(encodeNewIpTunnel(spec).payload.subarray(HEADER), nests);
    const theirs = treeOf(IP_LINK_ADD.subarray(HEADER), nests);
    expect(dataOf(theirs)).toEqual({ ...dataOf(own), 5: '00', 20: '00000000' });
    expect(theirs[3]).toBe(own[3]);
  });

  it.each([
    ['made', encodeNewIpTunnel(spec)],
    ['re-pointed', encodeChangeIpTunnel(ifIndex(5), spec)],
  ])('gives a device that is %s the type and both ports, in network order', (_, call) => {
    expect(dataOf(treeOf(call.payload.subarray(HEADER), nests))).toMatchObject({
      15: '0100',
      17: '2710',
      18: '10e1',
    });
  });

  it('re-points a device by its index and leaves its name alone', () => {
    const call = encodeChangeIpTunnel(ifIndex(5), { ...spec, encap: undefined, link: undefined });
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
        tunnel: {
          kind: 'ipip',
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
      kind: fc.constantFrom('ipip' as const, 'sit' as const),
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
        const decoded = decodeLink(encodeNewIpTunnel({ name, ...rest }).payload);
        const type = rest.encap && { encap: { type: 'fou', ...rest.encap } };
        expect(decoded).toMatchObject(
          succeed({ name, kind: rest.kind, tunnel: { ...rest, ...type } }),
        );
      }),
    );
  });

  it('takes 0.0.0.0 for no address, and other encapsulations for what they are', () => {
    const none = { ...spec, local: '0.0.0.0' as OuterIp, remote: '0.0.0.0' as OuterIp };
    expect(decodeLink(encodeNewIpTunnel(none).payload)).toMatchObject(
      succeed({ tunnel: { local: undefined, remote: undefined } }),
    );
    // The last attributes are the encapsulation's type, flags and ports, eight bytes each.
    const { payload } = encodeNewIpTunnel(spec);
    const typeAt = payload.length - 32 + (HOST_IS_LITTLE_ENDIAN ? 4 : 5);
    for (const [value, type] of [
      [2, 'gue'],
      [3, 'other'],
    ] as const) {
      expect(decodeLink(payload.with(typeAt, value))).toMatchObject(
        succeed({ tunnel: { encap: { type } } }),
      );
    }
  });

  it('refuses counters that end early', () => {
    const stats = encodeSetLink(ifIndex(1), {}).payload;
    const short = Uint8Array.from([...stats, ...hex('0c00 1700 0000000000000000')]);
    expect(decodeLink(short).ok).toBe(!HOST_IS_LITTLE_ENDIAN);
  });

  holdsAgainstBadBytes(decodeLink, encodeNewIpTunnel(spec).payload, HEADER);
});
