/*
 * Planes of different kinds in one kernel, as in containers: the cable passes what is unfinished
 * (checksums, super-packets) as it is. Topology: the drawings at the heads of plane-pair.ts and two-hosts.ts.
 */
import { beforeEach, describe, test } from 'vitest';
import { INNER_A, INNER_B, onePair, type PlanePair } from './plane-pair.ts';
import { expectTcp, expectUdp } from './transfer.ts';

const MIB = 1024 * 1024;

/** What `bpf` and `tun` at the two ends of a cable carry to each other. */
export function describeBpfAndTun(): void {
  describe.each([
    { what: 'checksums outside', options: { udpChecksum: true } },
    { what: 'no checksums outside', options: { udpChecksum: false } },
  ])('with $what, what one sends is what the other gets', ({ options }) => {
    let pair: PlanePair;
    onePair({ a: 'bpf', b: 'tun' }, (made) => (pair = made));
    beforeEach(() => pair.openBoth(options));

    test('by TCP from bpf to tun', async () => {
      await expectTcp(pair.cable.a, pair.cable.b, INNER_B, 8 * MIB);
    });

    test('by TCP from tun to bpf', async () => {
      await expectTcp(pair.cable.b, pair.cable.a, INNER_A, 8 * MIB);
    });

    test('by UDP from bpf to tun', async () => {
      await expectUdp(pair.cable.a, pair.cable.b, INNER_B, 1444);
    });

    test('by UDP from tun to bpf', async () => {
      await expectUdp(pair.cable.b, pair.cable.a, INNER_A, 1444);
    });
  });
}
