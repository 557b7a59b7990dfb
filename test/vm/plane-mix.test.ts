/* The cases of this kernel, on Debian's; of the combinations of families IPv4 alone and IPv6 alone. */
import { COMBINATIONS } from '../rig/ends.ts';
import { describeMix } from '../rig/family-cases.ts';
import { describeBpfAndTun } from '../rig/mix-cases.ts';

describeMix('bpf', 'tun', COMBINATIONS.slice(-1));
describeBpfAndTun();
