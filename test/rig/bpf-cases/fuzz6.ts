import fc from 'fast-check';
import { beforeEach, describe, test } from 'vitest';
import type { Family } from '../../../src/core/addr.ts';
import { concatBytes } from '../../../src/core/bytes.ts';
import { inner, ip } from '../addresses.ts';
import {
  AUTH_LENGTH,
  ETHERNET,
  filler,
  innerPacket,
  LOCAL_PORT,
  outerFrame,
  REMOTE_PORT,
} from '../bpf-packets.ts';
import {
  INNER_LOCAL6,
  INNER_REMOTE6,
  innerPacket6,
  LOCAL6,
  outerFrame6,
  REMOTE6,
} from '../bpf-packets6.ts';
import { SHORTEST6, BOTH, admitOver, mapped, expectFateOver } from './shared6.ts';

export function describeFuzz6(runs: number): void {
  describe.each(BOTH)('made-up packets, the peer over %s', (outside) => {
    beforeEach(() => {
      admitOver(outside);
    });

    const addresses = fc.constantFrom<Uint8Array | ReturnType<typeof ip>>(
      ...[REMOTE6, REMOTE6, LOCAL6, ip('2001:db8:9::9'), ip('fe80::7'), ip('ff02::1')],
      ...[ip('::1'), ip('::'), mapped(7)],
    );
    const inside6 = fc
      .record(
        {
          version: fc.constantFrom(6, 6, 4, 0),
          trafficClass: fc.integer({ min: 0, max: 255 }),
          payloadLength: fc.integer({ min: 0, max: 200 }),
          nextHeader: fc.constantFrom(6, 17, 58, 44, 0),
          source: fc.constantFrom(
            ...[INNER_REMOTE6, INNER_REMOTE6, INNER_LOCAL6, inner('fe80::1'), inner('ff02::1')],
          ),
          destination: fc.constantFrom<Uint8Array | ReturnType<typeof inner>>(
            ...[INNER_LOCAL6, INNER_LOCAL6, mapped(1)],
          ),
        },
        { requiredKeys: [] },
      )
      .map((fields) => innerPacket6(fields, filler(60)));
    const payloads = fc.oneof(
      fc.constant(innerPacket6()),
      fc.constant(innerPacket()),
      fc.constant(innerPacket6({}, filler(AUTH_LENGTH - 40))),
      fc.uint8Array({ maxLength: 120 }),
      fc.uint8Array({ minLength: AUTH_LENGTH, maxLength: AUTH_LENGTH }),
      inside6,
    );
    const extension = fc.tuple(
      fc.constantFrom(0, 43, 44, 60, 51, 135, 50, 59),
      fc.constantFrom(0, 0, 0, 1, 2, 255),
      fc.constantFrom(0, 0, 1, 8, 0xffff),
    );
    /** A chain of extension headers before UDP, with the number of the first. */
    const chains = fc.array(extension, { maxLength: 9 }).map((chain) => {
      const parts = chain.map(([, length, middle], index) => {
        const next = chain[index + 1]?.[0] ?? 17;
        const body = new Uint8Array(8 * (Math.min(length, 2) + 1));
        body.set([next, length, middle >> 8, middle & 255]);
        return body;
      });
      return { nextHeader: chain[0]?.[0] ?? 17, extensions: concatBytes(parts) };
    });
    const outer = fc.record(
      {
        version: fc.constantFrom(6, 6, 6, 4, 0),
        trafficClass: fc.integer({ min: 0, max: 3 }),
        flowLabel: fc.integer({ min: 0, max: 0xfffff }),
        payloadLength: fc.integer({ min: 0, max: 250 }),
        source: addresses,
        destination: fc.oneof(fc.constant(LOCAL6), addresses),
        sourcePort: fc.constantFrom(REMOTE_PORT, REMOTE_PORT ^ 1, 0),
        destinationPort: fc.constantFrom(LOCAL_PORT, LOCAL_PORT, LOCAL_PORT ^ 1),
        udpLength: fc.integer({ min: 0, max: 250 }),
      },
      { requiredKeys: [] },
    );
    const edits = fc.array(fc.tuple(fc.nat(140), fc.integer({ min: 0, max: 255 })), {
      maxLength: 2,
    });

    test('nothing but packets of the admitted peer comes out, and counters say why', () => {
      const property = fc.property(
        ...[payloads, outer, fc.option(chains, { freq: 2, nil: {} }), edits, fc.nat(20)],
        fc.constantFrom<Family>('ipv4', 'ipv6', 'ipv6'),
        (payload, fields, chain, changes, cut, family) => {
          const bytes =
            family === 'ipv4' ? outerFrame(payload) : outerFrame6(payload, { ...fields, ...chain });
          for (const [at, value] of changes) {
            // Neither the type nor the addresses of the frame: those are the kernel's affair.
            if (ETHERNET + at < bytes.length) bytes[ETHERNET + at] = value;
          }
          expectFateOver(
            outside,
            bytes.subarray(0, Math.max(bytes.length - Math.max(cut - 15, 0), SHORTEST6)),
          );
        },
      );
      fc.assert(property, { numRuns: runs });
    });
  });
}
