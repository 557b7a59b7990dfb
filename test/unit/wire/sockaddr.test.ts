import { endianness } from 'node:os';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseOuterIp, outerIpv4FromNumber } from '../../../src/core/addr.ts';
import { decodeSockaddrIn, encodeSockaddrIn } from '../../../src/core/wire/sockaddr.ts';

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
