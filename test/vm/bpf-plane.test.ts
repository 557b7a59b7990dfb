/* The plane's cases of this kernel, on Debian's; of IPv6 what carries it. */
import '../netns/bpf-plane.test.ts';
import '../netns/bpf-plane-many.test.ts';
import { COMBINATIONS } from '../rig/ends.ts';
import { describeMix } from '../rig/family-cases.ts';

describeMix('bpf', 'bpf', COMBINATIONS.slice(1));
