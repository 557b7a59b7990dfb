import { describe, expect, test } from 'vitest';
import { choosePlane } from '../../../src/app/choose-plane.ts';
import { requireIntegrity } from '../../../src/app/peer-integrity.ts';
import type { Integrity } from '../../../src/core/tag/types.ts';
import type { PeerId, PlaneFactory, PlaneName } from '../../../src/ports/data-plane.ts';

function factory(name: PlaneName, integrity: readonly Integrity[]): PlaneFactory {
  return {
    name,
    capabilities: { maxPeers: undefined, integrity, counting: 'exact' },
    probe: () => Promise.resolve([]),
    open: () => Promise.reject(new Error('not here')),
    clean: () => Promise.resolve(),
  };
}

const FOU = factory('fou', ['none']);
const TUN = factory('tun', ['none', 'header', 'full']);
const id = 'home' as PeerId;
const peers = [{ id: 'plain' as PeerId }, { id, integrity: 'full' }] as const;

describe('what a plane must prove', () => {
  test('auto passes over one that cannot, and says so', async () => {
    expect(await choosePlane('auto', [FOU, TUN], { peers })).toMatchObject({
      factory: TUN,
      reason: 'fou lacks integrity full; this one has all it needs',
    });
    expect((await choosePlane('auto', [FOU, TUN], { peers: [{ id }] })).factory).toBe(FOU);
    expect(
      (await choosePlane('auto', [FOU, TUN], { peers: [{ id, integrity: 'none' }] })).factory,
    ).toBe(FOU);
  });

  test('so is one that sends no fragments', async () => {
    const tun = { ...TUN, capabilities: { ...TUN.capabilities, fragments: true } };
    const bpf = factory('bpf', ['none']);
    const asked = { peers: [], outer: { fragments: true } };
    expect(await choosePlane('auto', [bpf, tun], asked)).toMatchObject({
      factory: tun,
      reason: 'bpf lacks outer-fragments; this one has all it needs',
    });
    await expect(choosePlane('bpf', [bpf, tun], asked)).rejects.toMatchObject({
      exit: 'arguments',
      hint: expect.stringContaining('dataplane fou, tun or auto') as unknown,
    });
  });

  test('one that is asked for and cannot is refused, with a word on what can', async () => {
    await expect(choosePlane('fou', [FOU, TUN], { peers })).rejects.toMatchObject({
      exit: 'arguments',
      message:
        'data plane fou does not work here: fou lacks integrity full: it cannot prove packets, as peer home asks for',
      hint: expect.stringContaining('dataplane bpf, tun or auto') as unknown,
    });
  });

  test('a peer that comes later is refused as well', () => {
    requireIntegrity(TUN, peers);
    expect(() => requireIntegrity(FOU, peers)).toThrow(
      'integrity full: the fou plane runs, and it cannot prove packets, as peer home asks for',
    );
  });
});
