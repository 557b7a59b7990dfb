import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  parseOuterIp,
  decodeOuterIpv4,
  outerIpv4FromNumber,
  type OuterIp,
  type Path,
} from '../../../src/core/addr.ts';
import { port } from '../../../src/core/units.ts';
import { internetChecksum } from '../../../src/core/wire/checksum.ts';
import { IPV4_ALONE, looksLikeData } from '../../../src/core/wire/inner-packet.ts';
import { decodeIpv4Header } from '../../../src/core/wire/ipv4.ts';
import { decodeUdp, encodeUdpPacket, maxUdpPayload } from '../../../src/core/wire/udp.ts';

type Fixture = { readonly case: string; readonly udp_payload: string; readonly ipv4: string };

const fixtures = (
  JSON.parse(readFileSync(new URL('../../fixtures/auth-v1.json', import.meta.url), 'utf8')) as {
    readonly packets: readonly Fixture[];
  }
).packets;

function bytes(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex, 'hex'));
}

function hex(data: Uint8Array): string {
  return Buffer.from(data).toString('hex');
}

function ip(text: string): OuterIp {
  const address = parseOuterIp(text);
  if (address === undefined) throw new Error(text);
  return address;
}

const path: Path = {
  local: { ip: ip('10.0.0.1'), port: port(10000) },
  remote: { ip: ip('10.0.0.2'), port: port(10001) },
};

describe('decodeUdp', () => {
  it.each(fixtures.map((fixture, index) => [`${index} ${fixture.case}`, fixture] as const))(
    'reads the recorded packet %s',
    (_name, fixture) => {
      const packet = bytes(fixture.ipv4);
      const decoded = decodeUdp(packet);
      if (!decoded.ok) throw new Error(decoded.reason);
      expect(hex(decoded.value.payload)).toBe(fixture.udp_payload);
      expect(looksLikeData(decoded.value.payload, IPV4_ALONE)).toBe(
        fixture.case === 'fou-ipip-ping',
      );

      const header = decodeIpv4Header(packet, decodeOuterIpv4);
      if (!header.ok) throw new Error(header.reason);
      const { source, destination } = decoded.value;
      const again = encodeUdpPacket({
        path: { local: source, remote: destination },
        payload: decoded.value.payload,
        ttl: header.value.ttl,
        dontFragment: header.value.dontFragment,
        identification: header.value.identification,
        checksum: false,
      });
      expect(hex(again)).toBe(fixture.ipv4);
    },
  );

  it('refuses every truncation of a recorded packet', () => {
    const packet = bytes(fixtures[0]?.ipv4 ?? '');
    expect(packet.length).toBe(101);
    for (let length = 0; length < packet.length; length++) {
      expect(decodeUdp(packet.subarray(0, length)).ok).toBe(false);
    }
  });

  /** An IPv4 and a UDP header without payload, changed and then given a right IPv4 checksum. */
  function changed(change: (packet: Uint8Array) => void): Uint8Array {
    const packet = encodeUdpPacket({
      path,
      payload: Uint8Array.of(1, 2, 3),
      ttl: 9,
      dontFragment: false,
      checksum: false,
    });
    change(packet);
    packet[10] = packet[11] = 0;
    const sum = internetChecksum(packet.subarray(0, 20));
    packet[10] = sum >> 8;
    packet[11] = sum & 255;
    return packet;
  }

  it.each<[string, (packet: Uint8Array) => void]>([
    ['IP protocol 6', (p) => (p[9] = 6)],
    ['a fragment', (p) => (p[6] = 0x20)],
    ['7 bytes are no UDP header', (p) => (p[3] = 27)],
    ['UDP length 7 where 11 bytes are there', (p) => (p[25] = 7)],
    ['UDP length 12 where 11 bytes are there', (p) => (p[25] = 12)],
    ['wrong UDP checksum', (p) => (p[26] = 1)],
    [
      'UDP port 0',
      (p) => {
        p[20] = p[21] = 0;
      },
    ],
    [
      'UDP port 0',
      (p) => {
        p[22] = p[23] = 0;
      },
    ],
  ])('refuses: %s', (reason, spoil) => {
    expect(decodeUdp(changed(spoil))).toEqual({ ok: false, reason });
  });

  it('ends the payload where the UDP length says', () => {
    const decoded = decodeUdp(changed((p) => (p[25] = 9)));
    expect(decoded).toMatchObject({ ok: true, value: { payload: Uint8Array.of(1), ttl: 9 } });
  });

  it('never throws', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (data) => {
        decodeUdp(data);
      }),
    );
  });
});

describe('encodeUdpPacket', () => {
  it('writes these bytes', () => {
    const packet = encodeUdpPacket({
      path,
      payload: new TextEncoder().encode('hi!'),
      ttl: 64,
      dontFragment: true,
      identification: 0xbeef,
      checksum: true,
    });
    // Both checksums were worked out apart, by summing these bytes as 16-bit words.
    expect(hex(packet)).toBe('4500001fbeef4000401167dc0a0000010a00000227102711000b144b686921');
  });

  it('sends a computed zero as all ones', () => {
    // With two zero bytes of payload the checksum is 0x9db6: with these it is zero.
    const packet = encodeUdpPacket({
      path,
      payload: Uint8Array.of(0x9d, 0xb6),
      ttl: 64,
      dontFragment: false,
      checksum: true,
    });
    expect(hex(packet.subarray(26, 28))).toBe('ffff');
    expect(decodeUdp(packet).ok).toBe(true);
  });

  it('is read back, with and without a checksum', () => {
    const endpoint = fc.record({
      ip: fc.nat(0xffff_ffff).map(outerIpv4FromNumber),
      port: fc.integer({ min: 1, max: 65535 }).map(port),
    });
    fc.assert(
      fc.property(
        endpoint,
        endpoint,
        fc.uint8Array({ maxLength: 200 }),
        fc.integer({ min: 1, max: 255 }),
        fc.boolean(),
        (local, remote, payload, ttl, checksum) => {
          const packet = encodeUdpPacket({
            path: { local, remote },
            payload,
            ttl,
            dontFragment: false,
            checksum,
          });
          expect(decodeUdp(packet)).toEqual({
            ok: true,
            value: { source: local, destination: remote, payload, ttl },
          });
        },
      ),
    );
  });

  it('notices any single flipped bit', () => {
    const packet = encodeUdpPacket({
      path,
      payload: new TextEncoder().encode('payload'),
      ttl: 64,
      dontFragment: false,
      checksum: true,
    });
    fc.assert(
      fc.property(fc.nat(packet.length * 8 - 1), (bit) => {
        const spoiled = packet.slice();
        spoiled[bit >> 3] = (spoiled[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        expect(decodeUdp(spoiled).ok).toBe(false);
      }),
    );
  });

  it('takes the longest payload and no longer one', () => {
    const options = { path, ttl: 1, dontFragment: false, checksum: true };
    const longest = encodeUdpPacket({ ...options, payload: new Uint8Array(maxUdpPayload('ipv4')) });
    expect(longest.length).toBe(65535);
    expect(decodeUdp(longest).ok).toBe(true);
    expect(() =>
      encodeUdpPacket({ ...options, payload: new Uint8Array(maxUdpPayload('ipv4') + 1) }),
    ).toThrow(RangeError);
  });
});
