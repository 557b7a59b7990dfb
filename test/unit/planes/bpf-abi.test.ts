import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import * as abi from '../../../src/adapters/planes/bpf/abi.ts';
import {
  encodeStruct,
  readBigint,
  readBytes,
  readNumber,
  structLayout,
} from '../../../src/adapters/planes/bpf/struct-layout.ts';
import { MAX_TAGGED_LENGTH, TAG_LENGTH, TAG_TYPE } from '../../../src/core/tag/layout.ts';
import { WINDOW_COUNTERS } from '../../../src/core/tag/window.ts';

/* bpf/abi.h and src/adapters/planes/bpf/abi.ts say the same. */

const header = readFileSync(new URL('../../../bpf/abi.h', import.meta.url), 'utf8').replaceAll(
  /\/\*[\s\S]*?\*\//g,
  '',
);
const maps = readFileSync(new URL('../../../bpf/maps.h', import.meta.url), 'utf8');

const defines = new Map(
  [...header.matchAll(/^#define (\w+) (0x[0-9a-f]+|[0-9]+)\s*$/gm)].map(([, name = '', value]) => [
    name,
    Number(value),
  ]),
);

type CField = { readonly name: string; readonly size: number; readonly align: number };
type CStruct = { readonly size: number; readonly align: number; readonly fields: object };

const SCALARS: Readonly<Record<string, number>> = {
  __u8: 1,
  __u16: 2,
  __u32: 4,
  __u64: 8,
  __be16: 2,
  __be32: 4,
};
const structs = new Map<string, CStruct>();

/** The structs of the header by the rules of C: every field at a multiple of its alignment. */
for (const [, name = '', body = ''] of header.matchAll(/struct (\w+) \{([^}]*)\};/g)) {
  structs.set(name, layOut([...body.matchAll(/^\s*(?:struct )?(\w+) (\w+)(?:\[(\w+)\])?;/gm)]));
}

function layOut(lines: readonly RegExpMatchArray[]): CStruct {
  let offset = 0;
  let widest = 1;
  const fields: Record<string, { offset: number; size: number }> = {};
  for (const [, type = '', name = '', count] of lines) {
    const { size, align } = measure(type, name, count);
    offset = Math.ceil(offset / align) * align;
    fields[name] = { offset, size };
    offset += size;
    widest = Math.max(widest, align);
  }
  return { size: Math.ceil(offset / widest) * widest, align: widest, fields };
}

function measure(type: string, name: string, count: string | undefined): CField {
  const { size, align } = structs.get(type) ?? { size: SCALARS[type], align: SCALARS[type] };
  if (size === undefined || align === undefined) throw new Error(`type ${type}`);
  const times = count === undefined ? 1 : (defines.get(count) ?? Number(count));
  return { name, size: size * times, align };
}

describe('the ABI header', () => {
  test('has the structs that user space has, field by field', () => {
    expect(structs.size).toBeGreaterThan(5);
    const known = Object.entries(abi.STRUCTS).map(([name, { size, fields }]) => {
      const places = Object.entries(fields).map(([field, { offset, size }]) => [
        field,
        { offset, size },
      ]);
      return [name, { size, fields: Object.fromEntries(places) }];
    });
    const said = [...structs].map(([name, { size, fields }]) => [name, { size, fields }]);
    expect(Object.fromEntries(known)).toEqual(Object.fromEntries(said));
  });

  test('has the types that user space has', () => {
    for (const [name, { fields }] of Object.entries(abi.STRUCTS)) {
      for (const [field, { type }] of Object.entries(fields)) {
        if (typeof type === 'number') continue;
        const line = new RegExp(`struct ${name} \\{[^}]*__${type} ${field};`);
        expect(line.test(header), `${name}.${field}: ${type}`).toBe(true);
      }
    }
  });

  test('has the constants that user space has', () => {
    const reasons = abi.REASONS.map((reason, index) => [
      `IPIPOU_REASON_${reason.toUpperCase().replaceAll('-', '_')}`,
      index,
    ]);
    expect(Object.fromEntries(defines)).toEqual({
      ...Object.fromEntries(reasons),
      ...abi.CONFIG_FLAGS,
      ...abi.PEER_FLAGS,
      IPIPOU_ABI_VERSION: abi.ABI_VERSION,
      IPIPOU_IPV6_MIN_MTU: abi.IPV6_MIN_MTU,
      IPIPOU_NO_PEER: abi.NO_PEER,
      IPIPOU_AUTH_BYTES: abi.AUTH_BYTES,
      IPIPOU_MAX_SOURCES: abi.MAX_SOURCES,
      IPIPOU_MAX_FORMERS: abi.MAX_FORMERS,
      IPIPOU_HINT_AT: abi.HINT_AT,
      IPIPOU_HINT_TYPE: abi.HINT_TYPE,
      IPIPOU_PASSED: abi.PASSED,
      IPIPOU_TAG_LENGTH: TAG_LENGTH,
      IPIPOU_TAG_HEADER: TAG_TYPE.header,
      IPIPOU_TAG_FULL: TAG_TYPE.full,
      IPIPOU_TAG_MAX: MAX_TAGGED_LENGTH,
      IPIPOU_TAG_WORDS: abi.TAG_WORDS,
      IPIPOU_WINDOW_COUNTERS: WINDOW_COUNTERS,
      IPIPOU_WINDOW_WORDS: abi.WINDOW_WORDS,
      IPIPOU_INIT_LENGTH: abi.INIT_LENGTH,
      IPIPOU_MAC1_AT: abi.MAC1_AT,
      IPIPOU_CONTROL_LENGTH: abi.CONTROL_LENGTH,
      IPIPOU_ABOUT_ASKED: abi.ABOUT_ASKED,
      IPIPOU_ABOUT_PROVED: abi.ABOUT_PROVED,
      IPIPOU_COOKIE_PLACES: abi.COOKIE_PLACES,
      IPIPOU_REASONS: abi.REASONS.length,
    });
  });

  test('has the maps that user space has', () => {
    const said = [
      ...maps.matchAll(/__type\(key, ([^)]+)\);\s+__type\(value, ([^)]+)\);\s+\} (\w+)/g),
    ];
    const sizeOf = (type: string): number | undefined =>
      SCALARS[type] ?? structs.get(type.replace('struct ', ''))?.size;
    const shapes = said.map(([, key = '', value = '', name]) => [
      name,
      { key: sizeOf(key), value: sizeOf(value) },
    ]);
    const known = Object.entries(abi.MAPS)
      .filter(([name]) => name !== 'ipipou_roamed')
      .map(([name, { key, value }]) => [name, { key, value }]);
    expect(Object.fromEntries(shapes)).toEqual(Object.fromEntries(known));
  });

  test('has what is taken over from programs of version 1 where they have it', () => {
    expect(abi.ADOPTED_VERSIONS).toEqual([1, 2, 3, abi.ABI_VERSION]);
    const offsets = (name: 'ipipou_peer' | 'ipipou_path' | 'ipipou_counters'): object => {
      const { size, fields } = abi.STRUCTS[name];
      const places = Object.entries(fields).map(([field, { offset }]) => [field, offset]);
      return { size, ...(Object.fromEntries(places) as Record<string, number>) };
    };
    expect(abi.STRUCTS.ipipou_config.fields.abi_version.offset).toBe(0);
    expect(offsets('ipipou_peer')).toEqual({
      ...{ size: 32, remote_ip: 0, remote_port: 4, inner_mtu: 6, local_ip: 8, outer_ifindex: 12 },
      ...{ flags: 16, tags_out: 20, inner_ip: 24, tag: 28 },
    });
    expect(offsets('ipipou_path')).toEqual({
      ...{ size: 12, local_ip: 0, remote_ip: 4, remote_port: 8, reserved: 10 },
    });
    expect(offsets('ipipou_counters')).toMatchObject({
      ...{ size: 128, tx_packets: 0, tx_bytes: 8, tx_refused: 16 },
      ...{ rx_packets: 64, rx_bytes: 72, rx_refused: 80, last_heard: 88, peer_bucket: 104 },
    });
    expect(abi.PEER_FLAGS).toEqual({ IPIPOU_PEER_ADMITTED: 1, IPIPOU_PEER_ANY_SOURCE: 2 });
  });

  test('names maps and programs as briefly as the kernel keeps them', () => {
    for (const name of abi.MAP_NAMES) expect(name.length).toBeLessThan(16);
  });
});

describe('structs', () => {
  const layout = structLayout({ a: 'u8', b: 'u8', c: 'be16', d: 'u32', e: 'u64', f: 3 });

  test('values come back', () => {
    const bytes = encodeStruct(layout, { a: 1, c: 0x1234, d: 5, e: 6n, f: Uint8Array.of(7, 8, 9) });
    expect(bytes.length).toBe(19);
    expect(bytes.slice(2, 4)).toEqual(Uint8Array.of(0x12, 0x34));
    const numbers = (['a', 'b', 'c', 'd'] as const).map((name) => readNumber(layout, bytes, name));
    expect(numbers).toEqual([1, 0, 0x1234, 5]);
    expect(readBigint(layout, bytes, 'e')).toBe(6n);
    expect(readBytes(layout, bytes, 'f')).toEqual(Uint8Array.of(7, 8, 9));
  });

  test('holes, and bytes of another length, are refused', () => {
    expect(() => structLayout({ a: 'u8', b: 'u16' })).toThrow('hole at b');
    expect(() => encodeStruct(layout, { f: Uint8Array.of(1) })).toThrow('f: 1 bytes');
  });
});
