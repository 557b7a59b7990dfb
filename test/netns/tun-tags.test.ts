/* Topology: the drawings at the heads of test/rig/plane-pair.ts and test/rig/two-hosts.ts. */
import { describe } from 'vitest';
import { endsOf } from '../rig/ends.ts';
import { onePair, type PlanePair } from '../rig/plane-pair.ts';
import { describeTags } from '../rig/tag-cases.ts';
import { describeTagFamilies } from '../rig/tag-families.ts';

describeTagFamilies('tun');
describeTagFamilies('tun', 'bpf');
describeTagFamilies('bpf', 'tun');

describe.each([
  ['tun', 'tun'],
  ['bpf', 'tun'],
] as const)('from %s to %s', (a, b) => {
  let pair: PlanePair;
  onePair({ a, b, ends: endsOf({ outside: 'ipv4', inside: 'ipv4' }) }, (made) => {
    pair = made;
  });
  describeTags(() => pair);
});
