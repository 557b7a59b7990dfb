import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import {
  freeDeviceName,
  isDeviceNameOf,
  peerDeviceName,
} from '../../../src/adapters/planes/fou/device-names.ts';

describe('peerDeviceName', () => {
  it.each([
    ['ipipou0', 1, 'ipipou0-1'],
    ['ipipou0', 1023, 'ipipou0-1023'],
    ['abcdefghijklmno', 7, 'abcdefghijklm-7'],
    ['abcdefghijklmno', 1023, 'abcdefghij-1023'],
  ])('of %s number %i is %s', (tunnel, number, name) => {
    expect(peerDeviceName(tunnel, number)).toBe(name);
  });

  it('is always a name that the kernel takes and that is known again', () => {
    const letters = fc.string({
      unit: fc.constantFrom('a', 'z', '0', '9', '-', '_'),
      minLength: 1,
      maxLength: 15,
    });
    fc.assert(
      fc.property(letters, fc.integer({ min: 1, max: 1024 }), (tunnel, number) => {
        const name = peerDeviceName(tunnel, number);
        expect(name.length).toBeLessThanOrEqual(15);
        expect(name).not.toMatch(/[./:\s]/);
        expect(isDeviceNameOf(tunnel, name)).toBe(true);
      }),
    );
  });
});

describe('isDeviceNameOf', () => {
  it.each(['ipipou1', 'ipipou01', 'ipipou0-', 'ipipou0-01', 'ipipou0-x', 'ipipou-1', 'xipipou0-1'])(
    'knows %s for another',
    (name) => {
      expect(isDeviceNameOf('ipipou0', name)).toBe(false);
    },
  );

  it("knows the tunnel's own", () => {
    expect(isDeviceNameOf('ipipou0', 'ipipou0')).toBe(true);
  });
});

describe('freeDeviceName', () => {
  it('takes the lowest number that is free', () => {
    const taken = new Set(['ipipou0-1', 'ipipou0-3']);
    expect(freeDeviceName('ipipou0', (name) => taken.has(name))).toBe('ipipou0-2');
  });
});
