import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeOuterIpv4, outerIpv4FromNumber } from '../../../src/core/addr.ts';
import { internetChecksum } from '../../../src/core/wire/checksum.ts';
import { decodeIpv4Header, encodeIpv4Header, IPPROTO_UDP } from '../../../src/core/wire/ipv4.ts';

function bytes(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex, 'hex'));
}

/** A header with the fields that a test spoils, and the checksum made right again. */
function header(change: (header: Uint8Array) => void, length = 28): Uint8Array {
  const packet = new Uint8Array(length);
  packet.set(bytes('4500001c1234400040110000c0a80002cb007101'));
  change(packet);
  const headerLength = Math.min(((packet[0] ?? 0) & 15) * 4, packet.length);
  const sum = internetChecksum(packet.subarray(0, headerLength));
  packet[10] = sum >> 8;
  packet[11] = sum & 255;
  return packet;
}

describe('decodeIpv4Header', () => {
  it('reads every field', () => {
    expect(
      decodeIpv4Header(
        header(() => undefined),
        decodeOuterIpv4,
      ),
    ).toEqual({
      ok: true,
      value: {
        headerLength: 20,
        totalLength: 28,
        identification: 0x1234,
        dontFragment: true,
        fragment: false,
        ttl: 64,
        protocol: 17,
        source: '192.168.0.2',
        destination: '203.0.113.1',
      },
    });
  });

  it('reads a header with options and ignores link-layer padding', () => {
    const packet = header((p) => {
      p[0] = 0x46;
      p[3] = 30;
    }, 46);
    expect(decodeIpv4Header(packet, decodeOuterIpv4)).toMatchObject({
      ok: true,
      value: { headerLength: 24, totalLength: 30 },
    });
  });

  it.each([
    ['first fragment', 0x2000, true],
    ['last fragment', 0x0001, true],
    ['whole packet that may be fragmented', 0x0000, false],
  ])('tells a %s', (_name, flags, fragment) => {
    const packet = header((p) => {
      p[6] = flags >> 8;
      p[7] = flags & 255;
    });
    expect(decodeIpv4Header(packet, decodeOuterIpv4)).toMatchObject({
      ok: true,
      value: { fragment },
    });
  });

  it.each<[string, (packet: Uint8Array) => void]>([
    ['IP version 6', (p) => (p[0] = 0x65)],
    ['an IPv4 header of 16 bytes', (p) => (p[0] = 0x44)],
    ['total length 19 with a header of 20 bytes', (p) => (p[3] = 19)],
    ['total length 29 where 28 bytes are there', (p) => (p[3] = 29)],
    ['the reserved IPv4 flag is set', (p) => (p[6] = 0xc0)],
    [
      'a fragment of 28 bytes at 65528',
      (p) => {
        p[6] = 0x1f;
        p[7] = 0xff;
      },
    ],
  ])('refuses: %s', (reason, spoil) => {
    expect(decodeIpv4Header(header(spoil), decodeOuterIpv4)).toEqual({ ok: false, reason });
  });

  it('refuses a wrong header checksum', () => {
    const packet = header(() => undefined);
    packet[8] = 63;
    expect(decodeIpv4Header(packet, decodeOuterIpv4)).toEqual({
      ok: false,
      reason: 'wrong IPv4 header checksum',
    });
  });

  it('refuses every truncation', () => {
    const packet = header(() => undefined);
    for (let length = 0; length < packet.length; length++) {
      expect(decodeIpv4Header(packet.subarray(0, length), decodeOuterIpv4).ok).toBe(false);
    }
  });

  it('never throws', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (data) => {
        decodeIpv4Header(data, decodeOuterIpv4);
      }),
    );
  });

  it('reads back what encodeIpv4Header writes', () => {
    const address = fc.nat(0xffff_ffff).map(outerIpv4FromNumber);
    fc.assert(
      fc.property(
        fc.nat(100),
        fc.nat(0xffff),
        fc.boolean(),
        fc.integer({ min: 1, max: 255 }),
        address,
        address,
        (payloadLength, identification, dontFragment, ttl, source, destination) => {
          const packet = new Uint8Array(20 + payloadLength);
          const fields = { identification, dontFragment, ttl, protocol: IPPROTO_UDP };
          packet.set(encodeIpv4Header({ ...fields, payloadLength, source, destination }));
          expect(decodeIpv4Header(packet, decodeOuterIpv4)).toEqual({
            ok: true,
            value: {
              ...fields,
              headerLength: 20,
              totalLength: packet.length,
              fragment: false,
              source,
              destination,
            },
          });
        },
      ),
    );
  });

  it('refuses to write a packet that no total length can say', () => {
    const [source, destination] = [outerIpv4FromNumber(1), outerIpv4FromNumber(2)];
    const fields = { identification: 0, dontFragment: false, ttl: 1, protocol: 17 };
    expect(() =>
      encodeIpv4Header({ ...fields, payloadLength: 65516, source, destination }),
    ).toThrow(RangeError);
  });
});
