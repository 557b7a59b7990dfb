/* Topology: the drawings at the heads of test/rig/plane-pair.ts and test/rig/two-hosts.ts. */
import { describeFamilies } from '../rig/family-cases.ts';

// The forwarding thread's clock may have begun a moment before the process's.
describeFamilies('tun', { behind: 0, before: 1 });
