import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decodeExtensions,
  encodeExtensions,
  EXTENSION,
  EXTENSIONS_MAX,
} from '../../../src/core/auth/extensions.ts';
import { hintOf } from '../../../src/core/auth/trailer.ts';

const hex = (text: string): Uint8Array =>
  Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'));

describe('fields behind the salt', () => {
  it.each([
    ['none', '', []],
    ['one', '01 0002 aabb 00', [{ type: 1, value: hex('aabb') }]],
    [
      'an empty one and one that nobody knows',
      '07 0000 ff 0001 cc 00',
      [
        { type: 7, value: hex('') },
        { type: 255, value: hex('cc') },
      ],
    ],
  ])('%s: the same in bytes and out of them', (_what, bytes, fields) => {
    expect(encodeExtensions(fields)).toEqual(hex(bytes));
    expect(decodeExtensions(hex(bytes))).toEqual(fields);
  });

  it('may have padding anywhere, as much as somebody likes', () => {
    const padded = hex(`0000 01 0002 aabb 00 02 0000 ${'00'.repeat(1300)}`);
    expect(decodeExtensions(padded)).toEqual([
      { type: 1, value: hex('aabb') },
      { type: 2, value: hex('') },
    ]);
  });

  it('count as none when they are not well-formed to the end, or too many', () => {
    const whole = hex('01 0002 aabb 02 0003 010203');
    for (let length = 1; length < whole.length; length++) {
      const cut = decodeExtensions(whole.subarray(0, length));
      expect(cut.length, `${length} bytes`).toBe(length === 5 ? 1 : 0);
    }
    const field = { type: 9, value: new Uint8Array(1) };
    const many = encodeExtensions(Array.from({ length: EXTENSIONS_MAX }, () => field));
    expect(decodeExtensions(many)).toHaveLength(EXTENSIONS_MAX);
    expect(decodeExtensions(Buffer.concat([many, hex('09 0000')]))).toEqual([]);
  });

  it('never make the decoder throw, and come back as they were written', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        for (const { type, value } of decodeExtensions(bytes)) {
          expect(type).not.toBe(EXTENSION.pad);
          expect(value.byteOffset + value.length).toBeLessThanOrEqual(
            bytes.byteOffset + bytes.length,
          );
        }
      }),
    );
    const field = fc.record({
      type: fc.integer({ min: 1, max: 255 }),
      value: fc.uint8Array({ maxLength: 300 }),
    });
    fc.assert(
      fc.property(fc.array(field, { maxLength: EXTENSIONS_MAX }), (fields) => {
        expect(decodeExtensions(encodeExtensions(fields))).toEqual(fields);
      }),
    );
  });
});

describe('hintOf', () => {
  const packet = (trailer: string): Uint8Array => hex('00'.repeat(73) + trailer);

  it('finds a hint of the right length among other fields, and no other', () => {
    expect(hintOf(packet('05 0001 07 01 0008 0102030405060708 00'))).toEqual(
      hex('0102030405060708'),
    );
    expect(hintOf(packet('01 0007 01020304050607 00'))).toBeUndefined();
    expect(hintOf(packet(''))).toBeUndefined();
    expect(hintOf(packet(Buffer.from('trailer').toString('hex')))).toBeUndefined();
    expect(hintOf(new Uint8Array(20))).toBeUndefined();
  });
});
