import { describe, expect, test } from 'vitest';
import { choosePlane, openPlane } from '../../../src/app/choose-plane.ts';
import type { PlaneContext, PlaneFactory, Requirement } from '../../../src/ports/data-plane.ts';

const LACKING: Requirement = {
  what: 'a kernel that takes it (Linux 9 or newer)',
  met: false,
  detail: 'refused',
  fix: 'boot it',
};
const CONTEXT = {} as PlaneContext;

/** A plane of whose requirements one is told in a trial only; it opens where that is met. */
function plane(name: 'bpf' | 'tun', lacking: readonly Requirement[]) {
  const trials: boolean[] = [];
  const factory: PlaneFactory = {
    name,
    capabilities: { maxPeers: undefined, integrity: ['none'], counting: 'exact' },
    probe: ({ trial }) => {
      trials.push(trial);
      return Promise.resolve(trial ? lacking : []);
    },
    open: () => Promise.reject(new Error('port in use')),
    clean: () => Promise.resolve(),
  };
  return { factory, trials };
}

describe('what opening a plane finds out as well', () => {
  test('is not tried before where there is no other plane to take', async () => {
    const { factory, trials } = plane('bpf', [LACKING]);
    expect((await choosePlane('bpf', [factory], { peers: [] })).factory).toBe(factory);
    expect(trials).toEqual([false]);
  });

  test('is tried where there is', async () => {
    const { factory, trials } = plane('bpf', [LACKING]);
    const other = plane('tun', []);
    expect(await choosePlane('auto', [factory, other.factory], { peers: [] })).toEqual({
      factory: other.factory,
      reason: 'bpf lacks a kernel that takes it; this one has all it needs',
    });
    expect(trials).toEqual([true]);
  });

  test('says why a plane did not open, and what to do', async () => {
    await expect(openPlane(plane('bpf', [LACKING]).factory, CONTEXT)).rejects.toMatchObject({
      message: expect.stringContaining('bpf lacks a kernel that takes it') as unknown,
      hint: 'boot it; ipipou doctor',
    });
    await expect(openPlane(plane('bpf', []).factory, CONTEXT)).rejects.toThrow('port in use');
  });
});
