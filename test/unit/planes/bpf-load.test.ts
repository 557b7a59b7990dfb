import { describe, expect, test, vi } from 'vitest';
import { LOAD_TRIES, whileInterrupted } from '../../../src/adapters/planes/bpf/loaded-object.ts';
import { kernel } from '../../../src/adapters/planes/bpf/requirements.ts';
import { EAGAIN } from '../../../src/adapters/ffi/errno.ts';
import { KernelError } from '../../../src/core/errors.ts';

describe('a load that signals cut short', () => {
  test('is tried again until it is through', () => {
    const load = vi.fn<() => number>().mockReturnValue(0);
    for (let time = 1; time < LOAD_TRIES; time++) load.mockReturnValueOnce(-EAGAIN);
    expect(whileInterrupted(load)).toBe(0);
    expect(load).toHaveBeenCalledTimes(LOAD_TRIES);
  });

  test('is tried a bounded number of times', () => {
    const load = vi.fn<() => number>().mockReturnValue(-EAGAIN);
    expect(whileInterrupted(load)).toBe(-EAGAIN);
    expect(load).toHaveBeenCalledTimes(LOAD_TRIES);
  });

  test('is not tried again for another reason', () => {
    const load = vi.fn<() => number>().mockReturnValue(-22);
    expect(whileInterrupted(load)).toBe(-22);
    expect(load).toHaveBeenCalledTimes(1);
  });
});

describe('what a kernel that does not take the programs lacks', () => {
  const lacking = (errno: string) =>
    kernel(() => {
      throw new KernelError('createTunnel', {
        ...{ operation: 'bpf_object__load', errno, words: 'long\nlog' },
        subject: 'eBPF programs',
      });
    });

  test('nothing, where signals are what was in the way', () => {
    const { what, met, detail, fix } = lacking('EAGAIN');
    expect(met).toBe(false);
    expect(what).not.toMatch(/kernel that takes/);
    expect(detail).toBe('eBPF programs: bpf_object__load: EAGAIN: long');
    expect(fix).toMatch(/signals/);
    expect(fix).not.toMatch(/newer kernel/);
  });

  test('capabilities, or a newer one', () => {
    expect(lacking('EPERM').fix).toMatch(/CAP_BPF/);
    expect(lacking('EINVAL').fix).toMatch(/newer kernel/);
    expect(lacking('EINVAL').what).toMatch(/kernel that takes/);
  });
});
