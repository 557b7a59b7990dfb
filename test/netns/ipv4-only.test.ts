import { describe } from 'vitest';
import { describeIpv4Only } from '../rig/ipv4-only-cases.ts';

describe.each(['bpf', 'tun'] as const)('on %s', (plane) => {
  describeIpv4Only(plane);
});
