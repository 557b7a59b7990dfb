/*
 * The plane where IPv6 is outside, inside or both; what of it IPv4 alone shows is in bpf-plane*.test.ts. Topology:
 * the drawings at the heads of test/rig/plane-pair.ts and test/rig/two-hosts.ts.
 */
import { describe } from 'vitest';
import { COMBINATIONS, endsOf } from '../rig/ends.ts';
import { describeAdmission, describeForwarding } from '../rig/plane-cases.ts';
import { onePair, type PlanePair } from '../rig/plane-pair.ts';

describe.each(COMBINATIONS.slice(1))('$outside outside, $inside inside', (combination) => {
  let pair: PlanePair;

  onePair({ a: 'bpf', ends: endsOf(combination) }, (made) => {
    pair = made;
  });

  // The kernel's coarse clock is at most a tick (10 ms) behind.
  describeForwarding(() => pair, { behind: 10, before: 0 });
  describeAdmission(() => pair);
});
