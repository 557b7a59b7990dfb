import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  bitsOf,
  decodeInnerIpv6,
  familyOf,
  innerIpv4FromNumber,
  type InnerIp,
} from '../../../src/core/addr.ts';
import {
  decodeAddress,
  encodeDelAddress,
  encodeGetAddresses,
  encodeNewAddress,
} from '../../../src/core/netlink/address.ts';
import { HOST_IS_LITTLE_ENDIAN } from '../../../src/core/bytes.ts';
import { succeed } from '../../../src/core/result.ts';
import { ifIndex } from '../../../src/core/units.ts';
import { holdsAgainstBadBytes } from './decoder-checks.ts';
import { hex } from './hex.ts';

const HEADER = 8;
const spec = {
  index: ifIndex(3),
  ip: '172.28.0.0' as InnerIp,
  peer: '172.28.0.1' as InnerIp,
  prefix: 32,
};

const ipv6 = {
  index: ifIndex(3),
  ip: 'fd28::1' as InnerIp,
  peer: 'fd28::2' as InnerIp,
  prefix: 128,
};

/* The literal bytes are those of ip (iproute2 6.1) on Linux 6.18, by strace; d0 is link 3. */
describe.runIf(HOST_IS_LITTLE_ENDIAN)('encoding', () => {
  it('adds as `ip addr add 172.28.0.0 peer 172.28.0.1/32 dev d0 scope link noprefixroute`', () => {
    expect(encodeNewAddress({ ...spec, scope: 'link', noPrefixRoute: true })).toEqual({
      operation: 'RTM_NEWADDR',
      type: 20,
      flags: 0x600,
      payload: hex(`022000fd 03000000
        0800 0200 ac1c0000  0800 0100 ac1c0001  0800 0800 00020000`),
    });
  });

  it('removes as `ip addr del 172.28.0.0 peer 172.28.0.1/32 dev d0`', () => {
    expect(encodeDelAddress(spec)).toEqual({
      operation: 'RTM_DELADDR',
      type: 21,
      flags: 0,
      payload: hex('02200000 03000000 0800 0200 ac1c0000  0800 0100 ac1c0001'),
    });
  });

  it('asks as `ip -4 addr show dev d0`', () => {
    expect(encodeGetAddresses('ipv4', ifIndex(3)).payload).toEqual(hex('02000000 03000000'));
    expect(encodeGetAddresses('ipv4', undefined).payload).toEqual(hex('02000000 00000000'));
  });

  it('adds as `ip -6 addr add fd28::1 peer fd28::2/128 dev d0 nodad noprefixroute`', () => {
    expect(encodeNewAddress({ ...ipv6, noDad: true, noPrefixRoute: true }).payload).toEqual(
      hex(`0a800000 03000000
        1400 0200 fd280000 00000000 00000000 00000001
        1400 0100 fd280000 00000000 00000000 00000002  0800 0800 02020000`),
    );
  });

  it('adds an address that is for those who ask for it, as `ip -6 addr add … preferred_lft 0`', () => {
    const lo = { ...ipv6, peer: undefined, deprecated: true };
    expect(encodeNewAddress(lo).payload).toEqual(
      hex(`0a800000 03000000
        1400 0200 fd280000 00000000 00000000 00000001
        1400 0100 fd280000 00000000 00000000 00000001
        1400 0600 00000000 ffffffff 00000000 00000000`),
    );
  });

  it('removes as `ip -6 addr del fd28::1/128 dev d0`', () => {
    expect(encodeDelAddress({ ...ipv6, peer: undefined }).payload).toEqual(
      hex(`0a800000 03000000
        1400 0200 fd280000 00000000 00000000 00000001
        1400 0100 fd280000 00000000 00000000 00000001`),
    );
  });

  it('asks as `ip -6 addr show dev d0`', () => {
    expect(encodeGetAddresses('ipv6', ifIndex(3)).payload).toEqual(hex('0a000000 03000000'));
  });

  it('marks who made an address', () => {
    const { payload } = encodeNewAddress({ ...spec, peer: undefined, protocol: 77 });
    expect(payload).toEqual(
      hex('02200000 03000000 0800 0200 ac1c0000  0800 0100 ac1c0000  0500 0b00 4d000000'),
    );
  });
});

describe('decodeAddress', () => {
  /* The answers to `ip -4 addr show dev d0` after the above. */
  it.runIf(HOST_IS_LITTLE_ENDIAN).each([
    [
      'a peer',
      `022080fd 03000000 0800 0100 ac1c0001  0800 0200 ac1c0000  0700 0300 643000 00
       0800 0800 80020000  1400 0600 ffffffff ffffffff fa110500 fa110500`,
      { ip: '172.28.0.0', peer: '172.28.0.1', prefix: 32, scope: 'link', flags: 0x280 },
    ],
    [
      'no peer',
      `02188000 03000000 0800 0100 c0000201  0800 0200 c0000201  0700 0300 643000 00
       0800 0800 80000000  1400 0600 ffffffff ffffffff f0110500 f0110500`,
      { ip: '192.0.2.1', peer: undefined, prefix: 24, scope: 'global', flags: 0x80 },
    ],
    [
      'IPv6, and no peer',
      `0a808200 03000000 1400 0100 fd280000 00000000 00000000 00000001
       1400 0600 ffffffff ffffffff 22170000 22170000  0800 0800 82020000  0500 0b00 00000000`,
      { ip: 'fd28::1', peer: undefined, prefix: 128, scope: 'global', flags: 0x282, protocol: 0 },
    ],
  ])('reads one with %s', (_, bytes, address) => {
    expect(decodeAddress(hex(bytes))).toEqual(
      succeed({ index: 3, protocol: undefined, ...address }),
    );
  });

  it('gives back what is encoded', () => {
    const ipv4 = fc.integer({ min: 0, max: 0xffffffff }).map(innerIpv4FromNumber);
    const sixteen = fc.uint8Array({ minLength: 16, maxLength: 16 });
    const long = sixteen.map((bytes) => decodeInnerIpv6(bytes.with(0, 0x20)));
    const ofOne = (ip: fc.Arbitrary<InnerIp>) =>
      fc.tuple(ip, fc.option(ip, { nil: undefined }), fc.nat(128));
    const address = fc.record({
      index: fc.integer({ min: 1, max: 1 << 20 }).map(ifIndex),
      ips: fc.oneof(ofOne(ipv4), ofOne(long)),
      scope: fc.constantFrom('global', 'site', 'link', 'host', 'nowhere'),
      protocol: fc.option(fc.nat(255), { nil: undefined }),
    });
    fc.assert(
      fc.property(address, ({ ips: [ip, other, length], ...rest }) => {
        const peer = other === ip ? undefined : other;
        const value = { ...rest, ip, peer, prefix: Math.min(length, bitsOf(familyOf(ip))) };
        expect(decodeAddress(encodeNewAddress(value).payload)).toEqual(
          succeed({ ...value, flags: 0 }),
        );
      }),
    );
  });

  it('refuses another family, and an address that is not there or of another length', () => {
    const good = encodeNewAddress(spec).payload;
    expect(decodeAddress(good.with(0, 10)).ok).toBe(false);
    expect(decodeAddress(good.with(0, 7)).ok).toBe(false);
    expect(decodeAddress(good.subarray(0, HEADER))).toEqual({
      ok: false,
      reason: 'address: it has none',
    });
    const long = hex('02200000 03000000 0c00 0200 ac1c0000 00000000');
    expect(decodeAddress(long).ok).toBe(false);
  });

  it('keeps an IPv4-mapped address apart from the IPv4 one', () => {
    const mapped = hex(`0a808200 03000000 1400 0100 00000000 00000000 0000ffff c0000201`);
    expect(decodeAddress(mapped)).toMatchObject({ ok: true, value: { ip: '::ffff:c000:201' } });
  });

  holdsAgainstBadBytes(decodeAddress, encodeNewAddress({ ...spec, protocol: 1 }).payload, HEADER);
  holdsAgainstBadBytes(decodeAddress, encodeNewAddress(ipv6).payload, HEADER);
});
