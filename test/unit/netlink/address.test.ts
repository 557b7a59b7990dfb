import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { innerIpv4FromNumber, type InnerIp } from '../../../src/core/addr.ts';
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
    expect(encodeGetAddresses(ifIndex(3)).payload).toEqual(hex('02000000 03000000'));
    expect(encodeGetAddresses(undefined).payload).toEqual(hex('02000000 00000000'));
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
  ])('reads one with %s', (_, bytes, address) => {
    expect(decodeAddress(hex(bytes))).toEqual(
      succeed({ index: 3, protocol: undefined, ...address }),
    );
  });

  it('gives back what is encoded', () => {
    const ip = fc.integer({ min: 0, max: 0xffffffff }).map(innerIpv4FromNumber);
    const address = fc.record({
      index: fc.integer({ min: 1, max: 1 << 20 }).map(ifIndex),
      ip,
      peer: fc.option(ip, { nil: undefined }),
      prefix: fc.nat(32),
      scope: fc.constantFrom('global', 'site', 'link', 'host', 'nowhere'),
      protocol: fc.option(fc.nat(255), { nil: undefined }),
    });
    fc.assert(
      fc.property(address, (value) => {
        const peer = value.peer === value.ip ? undefined : value.peer;
        expect(decodeAddress(encodeNewAddress(value).payload)).toEqual(
          succeed({ ...value, peer, flags: 0 }),
        );
      }),
    );
  });

  it('refuses another family, and an address that is not there or of another length', () => {
    const good = encodeNewAddress(spec).payload;
    expect(decodeAddress(good.with(0, 10)).ok).toBe(false);
    expect(decodeAddress(good.subarray(0, HEADER))).toEqual({
      ok: false,
      reason: 'address: it has none',
    });
    const long = hex('02200000 03000000 0c00 0200 ac1c0000 00000000');
    expect(decodeAddress(long).ok).toBe(false);
  });

  holdsAgainstBadBytes(decodeAddress, encodeNewAddress({ ...spec, protocol: 1 }).payload, HEADER);
});
