import { expect, it } from 'vitest';
import { capturesOuter } from '../../src/core/captures-outer.ts';
import { inner, ip } from '../rig/addresses.ts';

const SERVER = ip('203.0.113.9');
const SERVER6 = ip('2001:db8::9');

it.each([
  ['0.0.0.0', 0, undefined, true],
  ['0.0.0.0', 1, undefined, true],
  ['128.0.0.0', 1, SERVER, true],
  ['203.0.113.9', 32, SERVER, true],
  ['203.0.0.0', 16, SERVER, true],
  ['203.0.0.0', 16, undefined, false],
  ['203.0.114.0', 24, SERVER, false],
  ['10.0.0.0', 8, SERVER, false],
  ['::', 0, SERVER, true],
  ['::', 0, SERVER6, true],
  ['::', 1, undefined, true],
  ['8000::', 1, SERVER6, true],
  ['2000::', 3, SERVER6, true],
  ['2000::', 3, SERVER, false],
  ['2000::', 3, undefined, false],
  ['2001:db8::9', 128, SERVER6, true],
  ['2001:db8::8', 128, SERVER6, false],
  ['fd28::', 64, SERVER6, false],
  ['0.0.0.0', 2, SERVER6, false],
] as const)('%s/%i with the other side at %s: %s', (address, length, outer, captures) => {
  expect(capturesOuter({ ip: inner(address), length }, outer)).toBe(captures);
});
