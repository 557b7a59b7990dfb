import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { attributeReader } from '../../../src/core/netlink/attribute-reader.ts';
import * as attributes from '../../../src/core/netlink/attributes.ts';
import { concatBytes, HOST_IS_LITTLE_ENDIAN } from '../../../src/core/bytes.ts';
import { succeed } from '../../../src/core/result.ts';
import { hex, truncations } from './hex.ts';

// The literal bytes below are those of a little-endian machine.
it.runIf(HOST_IS_LITTLE_ENDIAN).each([
  ['u8', attributes.attrU8(5, 0xfe), '05000500 fe000000'],
  ['u16 of the host', attributes.attrU16host(15, 1), '06000f00 01000000'],
  ['u16 of the network', attributes.attrU16be(17, 10000), '06001100 27100000'],
  ['u32 of the host', attributes.attrU32host(4, 1472), '08000400 c0050000'],
  ['u32 of the network', attributes.attrU32be(3, 1), '08000300 00000001'],
  ['u64 of the host', attributes.attrU64host(2, 0x0102030405060708n), '0c000200 0807060504030201'],
  ['u64 of the network', attributes.attrU64be(2, 0x0102030405060708n), '0c000200 0102030405060708'],
  ['text', attributes.attrString(1, 'ipip'), '09000100 6970697000 000000'],
  ['flag', attributes.attrFlag(9), '04000900'],
  ['nest', attributes.attrNested(18, [attributes.attrU8(5, 1)]), '0c001280 05000500 01000000'],
  [
    'unmarked nest',
    attributes.attrNestedUnmarked(18, [attributes.attrU8(5, 1)]),
    '0c001200 05000500 01000000',
  ],
])('encodes %s', (_, bytes, expected) => {
  expect(bytes).toEqual(hex(expected));
});

it('refuses to encode what does not fit an attribute', () => {
  expect(() => attributes.attrBytes(1, new Uint8Array(0xffff - 3))).toThrow(RangeError);
  expect(attributes.attrBytes(1, new Uint8Array(0xffff - 4))).toHaveLength(0x10000);
});

describe('decodeAttributes', () => {
  it('strips the flags of the type and the padding of the payload', () => {
    const decoded = attributes.decodeAttributes(
      concatBytes([attributes.attrU8(5, 7), attributes.attrNested(18, [attributes.attrFlag(1)])]),
    );
    expect(decoded).toEqual(
      succeed(
        new Map([
          [5, Uint8Array.of(7)],
          [18, attributes.attrFlag(1)],
        ]),
      ),
    );
  });

  it('takes the last of a repeated type, where the list keeps all', () => {
    const bytes = concatBytes([attributes.attrU8(1, 1), attributes.attrU8(1, 2)]);
    expect(attributes.decodeAttributes(bytes)).toEqual(succeed(new Map([[1, Uint8Array.of(2)]])));
    expect(attributes.decodeAttributeList(bytes)).toEqual(
      succeed([
        { type: 1, payload: Uint8Array.of(1) },
        { type: 1, payload: Uint8Array.of(2) },
      ]),
    );
  });

  it('refuses every truncation that cuts an attribute', () => {
    const first = attributes.attrU32host(1, 1);
    const all = concatBytes([first, attributes.attrU32host(2, 2)]);
    for (const part of truncations(all)) {
      const whole = part.length === 0 || part.length === first.length;
      expect(attributes.decodeAttributes(part).ok, `${part.length} bytes`).toBe(whole);
    }
  });

  it('refuses a length below the header', () => {
    const bytes = attributes.attrU32host(1, 1);
    bytes.set([3, 0], HOST_IS_LITTLE_ENDIAN ? 0 : 1);
    expect(attributes.decodeAttributes(bytes).ok).toBe(false);
  });

  it('gives back what was encoded', () => {
    const entry = fc.tuple(fc.nat(attributes.NLA_TYPE_MASK), fc.uint8Array({ maxLength: 70 }));
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 8 }), (entries) => {
        const bytes = concatBytes(entries.map(([type, data]) => attributes.attrBytes(type, data)));
        expect(attributes.decodeAttributeList(bytes)).toEqual(
          succeed(entries.map(([type, payload]) => ({ type, payload }))),
        );
      }),
    );
  });

  it('never throws', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        expect(typeof attributes.decodeAttributes(bytes).ok).toBe('boolean');
      }),
    );
  });
});

describe('typed decoders', () => {
  it.each([
    ['decodeU8', 1],
    ['decodeU16host', 2],
    ['decodeU16be', 2],
    ['decodeU32host', 4],
    ['decodeS32host', 4],
    ['decodeU32be', 4],
    ['decodeU64host', 8],
    ['decodeU64be', 8],
  ] as const)('%s takes %i bytes, no more and no fewer', (name, length) => {
    for (let given = 0; given <= 9; given++) {
      expect(attributes[name](new Uint8Array(given)).ok, `${given} bytes`).toBe(given === length);
    }
  });

  it('reads text with and without its zero, and refuses one inside', () => {
    expect(attributes.decodeString(hex('6162 00'))).toEqual(succeed('ab'));
    expect(attributes.decodeString(hex('6162'))).toEqual(succeed('ab'));
    expect(attributes.decodeString(hex('')).ok).toBe(true);
    expect(attributes.decodeString(hex('61 00 62')).ok).toBe(false);
  });
});

describe('attributeReader', () => {
  const block = concatBytes([
    attributes.attrU16be(1, 4321),
    attributes.attrNested(2, [attributes.attrString(1, 'ipip')]),
  ]);

  it('reads present fields and gives undefined for absent ones', () => {
    const reader = attributeReader(block, 'block');
    const value = {
      port: reader.u16be(1),
      kind: reader.nested(2).string(1),
      absent: reader.u32host(3),
      inAbsentNest: reader.nested(3).u8(1),
    };
    expect(reader.done(value)).toEqual(
      succeed({ port: 4321, kind: 'ipip', absent: undefined, inAbsentNest: undefined }),
    );
  });

  it('reports the first malformed field, nests included', () => {
    const reader = attributeReader(block, 'block');
    expect(reader.nested(2).u8(1)).toBeUndefined();
    expect(reader.u8(1)).toBeUndefined();
    expect(reader.done(0)).toEqual({
      ok: false,
      reason: 'block: attribute 2: attribute 1: 5 bytes where 1 are due',
    });
  });
});
