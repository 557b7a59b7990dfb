import fc from 'fast-check';
import { test } from 'vitest';
import { ip } from '../addresses.ts';
import {
  AUTH_LENGTH,
  ETHERNET,
  filler,
  INNER_LOCAL,
  INNER_REMOTE,
  innerPacket,
  LOCAL,
  LOCAL_PORT,
  outerFrame,
  REMOTE,
  REMOTE_PORT,
} from '../bpf-packets.ts';
import { SHORTEST, expectFate } from './shared.ts';

export function describeFuzz(runs: number): void {
  const inner = fc.oneof(
    fc.constant(innerPacket()),
    fc.uint8Array({ maxLength: 120 }),
    fc.uint8Array({ minLength: AUTH_LENGTH, maxLength: AUTH_LENGTH }),
    fc
      .record(
        {
          version: fc.integer({ min: 0, max: 15 }),
          ihl: fc.integer({ min: 0, max: 15 }),
          tos: fc.integer({ min: 0, max: 255 }),
          totalLength: fc.integer({ min: 0, max: 200 }),
          source: fc.constantFrom(INNER_LOCAL, INNER_REMOTE),
          protocol: fc.constantFrom(1, 6, 17),
        },
        { requiredKeys: [] },
      )
      .map((fields) => innerPacket(fields, filler(60))),
  );
  const outer = fc.record(
    {
      version: fc.constantFrom(4, 6),
      tos: fc.integer({ min: 0, max: 3 }),
      totalLength: fc.integer({ min: 0, max: 200 }),
      fragment: fc.constantFrom(0x4000, 0x2000, 1, 0),
      protocol: fc.constantFrom(17, 17, 17, 6, 4),
      source: fc.constantFrom(REMOTE, LOCAL, ip('203.0.113.9')),
      destination: fc.constantFrom(LOCAL, REMOTE),
      options: fc.constantFrom(new Uint8Array(0), new Uint8Array(8)),
      sourcePort: fc.constantFrom(REMOTE_PORT, REMOTE_PORT ^ 1, 0),
      destinationPort: fc.constantFrom(LOCAL_PORT, LOCAL_PORT ^ 1),
      udpLength: fc.integer({ min: 0, max: 200 }),
    },
    { requiredKeys: [] },
  );
  const edits = fc.array(fc.tuple(fc.nat(120), fc.integer({ min: 0, max: 255 })), { maxLength: 2 });

  test('nothing but packets of the admitted peer comes out, and counters say why', () => {
    const property = fc.property(
      inner,
      outer,
      edits,
      fc.nat(20),
      (payload, fields, changes, cut) => {
        const bytes = outerFrame(payload, fields);
        for (const [at, value] of changes) {
          // Neither the type nor the addresses of the frame: those are the kernel's affair.
          if (ETHERNET + at < bytes.length) bytes[ETHERNET + at] = value;
        }
        expectFate(bytes.subarray(0, Math.max(bytes.length - Math.max(cut - 15, 0), SHORTEST)));
      },
    );
    fc.assert(property, { numRuns: runs });
  });
}
