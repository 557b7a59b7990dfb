import { describe, expect, test } from 'vitest';
import type { ProgramConfig } from '../../src/adapters/planes/bpf/abi.ts';
import { flagsOf } from '../../src/adapters/planes/bpf/program-codec.ts';
import { loadPrograms } from '../../src/adapters/planes/bpf/programs.ts';
import { ifIndex } from '../../src/core/units.ts';
import { QUIET_CONFIG } from '../rig/bpf-pair.ts';
import { verifiedInstructions } from '../rig/bpf-test-run.ts';

describe('programs that are loaded for some flags alone', () => {
  const FEW: ProgramConfig = {
    ...{ ...QUIET_CONFIG, near: ifIndex(71), far: ifIndex(72), nearMac: new Uint8Array(6) },
    strangers: false,
  };

  test('cost the kernel a fraction', async () => {
    const names = ['ipipou_encap', 'ipipou_decap_eth', 'ipipou_decap_raw'] as const;
    using all = loadPrograms({ maxPeers: 1 });
    using few = loadPrograms({ maxPeers: 1, possible: flagsOf(FEW) });
    await Promise.all([all.ready(names), few.ready(names)]);
    for (const name of names) {
      const most = verifiedInstructions(all.descriptor(name));
      expect(most).toBeLessThan(100_000);
      expect(verifiedInstructions(few.descriptor(name))).toBeLessThan(most / 2);
    }
  });

  test('take no config that asks for others', () => {
    using few = loadPrograms({ maxPeers: 1, possible: flagsOf(FEW) });
    few.configure(FEW);
    expect(() => few.configure({ ...FEW, tags: true })).toThrow('do without');
  });
});
