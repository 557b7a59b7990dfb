import { expect, test } from 'vitest';
import {
  decodeProxy,
  encodeDelProxy,
  encodeGetProxies,
  encodeNewProxy,
} from '../../../src/core/netlink/proxy.ts';
import { ifIndex } from '../../../src/core/units.ts';
import { ip } from '../../rig/addresses.ts';

/* As linux/neighbour.h has it, on a little-endian machine; the kernel's own view is taken by test/rig/expose-cases.ts. */
test('a proxy entry is written as the kernel reads it', () => {
  const { payload } = encodeNewProxy({ index: ifIndex(7), ip: ip('198.51.100.7') });
  expect(Buffer.from(payload).toString('hex')).toBe(
    '02000000' + '07000000' + '00000800' + '08000100' + 'c6336407',
  );
  expect(Buffer.from(encodeGetProxies('ipv6').payload).toString('hex')).toBe(
    '0a0000000000000000000800',
  );
});

test.each(['198.51.100.7', '2001:db8::7'])('%s comes back', (text) => {
  const entry = { index: ifIndex(300), ip: ip(text) };
  expect(decodeProxy(encodeNewProxy(entry).payload)).toEqual({ ok: true, value: entry });
  expect(encodeDelProxy(entry).payload).toEqual(encodeNewProxy(entry).payload);
});

test('what is cut off, of another family or without an address is refused', () => {
  const { payload } = encodeNewProxy({ index: ifIndex(7), ip: ip('198.51.100.7') });
  for (let length = 0; length < payload.length; length += 1)
    expect(decodeProxy(payload.subarray(0, length)).ok, String(length)).toBe(false);
  expect(decodeProxy(Uint8Array.from([7, ...payload.subarray(1)])).ok).toBe(false);
});
