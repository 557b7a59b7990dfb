/* The plane's cases that depend on the kernel, on Debian's; of the combinations of families IPv4 alone and IPv6 alone. */
import '../netns/bpf-plane.test.ts';
import { COMBINATIONS } from '../rig/ends.ts';
import { describeMix } from '../rig/family-cases.ts';

describeMix('bpf', 'bpf', COMBINATIONS.slice(-1));
