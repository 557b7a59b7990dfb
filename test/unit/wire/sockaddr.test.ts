import { endianness } from 'node:os';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseOuterIp, outerIpv4FromNumber } from '../../../src/core/addr.ts';
import {
  addressFamily,
  decodeSockaddr,
  decodeSockaddrIn,
  encodeSockaddr,
  encodeSockaddrIn,
} from '../../../src/core/wire/sockaddr.ts';
import { address, globalIps } from './ipv6-packets.ts';

describe('sockaddr_in', () => {
  it('has these bytes', () => {
    const ip = parseOuterIp('203.0.113.1');
    if (ip === undefined) throw new Error('not an address');
    const family = endianness() === 'LE' ? '0200' : '0002';
    const bytes = encodeSockaddrIn({ ip, port: 10000 });
    expect(Buffer.from(bytes).toString('hex')).toBe(`${family}2710cb0071010000000000000000`);
  });

  it('is read back', () => {
    fc.assert(
      fc.property(fc.nat(0xffff_ffff), fc.nat(0xffff), (number, port) => {
        const address = { ip: outerIpv4FromNumber(number), port };
        expect(decodeSockaddrIn(encodeSockaddrIn(address))).toEqual({ ok: true, value: address });
      }),
    );
  });

  it('refuses other lengths and families', () => {
    const good = encodeSockaddrIn({ ip: outerIpv4FromNumber(1), port: 1 });
    for (let length = 0; length < good.length; length++) {
      expect(decodeSockaddrIn(good.subarray(0, length)).ok).toBe(false);
    }
    expect(decodeSockaddrIn(new Uint8Array(16))).toEqual({ ok: false, reason: 'address family 0' });
  });
});

describe('sockaddr_in6', () => {
  const family = endianness() === 'LE' ? '0a00' : '000a';

  it('has these bytes', () => {
    const bytes = encodeSockaddr({ ip: address('2001:db8::1'), port: 10_000 });
    expect(Buffer.from(bytes).toString('hex')).toBe(
      `${family}27100000000020010db800000000000000000000000100000000`,
    );
  });

  it('is read back, as is that of IPv4', () => {
    const ips = fc.oneof(globalIps, fc.nat(0xffff_ffff).map(outerIpv4FromNumber));
    fc.assert(
      fc.property(ips, fc.nat(0xffff), (ip, port) => {
        expect(decodeSockaddr(encodeSockaddr({ ip, port }))).toEqual({
          ok: true,
          value: { ip, port },
        });
      }),
    );
  });

  it('is that of an IPv4 address where the address is mapped', () => {
    const bytes = Buffer.from(
      `${family}27100000000000000000000000000000ffff0a00000100000000`,
      'hex',
    );
    expect(decodeSockaddr(bytes)).toEqual({ ok: true, value: { ip: '10.0.0.1', port: 10_000 } });
  });

  it('refuses other lengths and families', () => {
    const good = encodeSockaddr({ ip: address('::1'), port: 1 });
    for (let length = 0; length < good.length; length += 1) {
      expect(decodeSockaddr(good.subarray(0, length)).ok).toBe(false);
    }
    const other = good.slice();
    other.set([1, 1]);
    expect(decodeSockaddr(other).ok).toBe(false);
  });

  it('has the number of its family', () => {
    expect([addressFamily('ipv4'), addressFamily('ipv6')]).toEqual([2, 10]);
  });
});
