/* Topology: the drawings at the heads of test/rig/plane-pair.ts and test/rig/two-hosts.ts. */
import { describeFamilies } from '../rig/family-cases.ts';

// The kernel's coarse clock is at most a tick (10 ms) behind.
describeFamilies('bpf', { behind: 10, before: 0 });
