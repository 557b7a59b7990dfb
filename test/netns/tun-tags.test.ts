/* Topology: the drawings at the heads of test/rig/plane-pair.ts and test/rig/two-hosts.ts. */
import { describeTagFamilies } from '../rig/tag-families.ts';

describeTagFamilies('tun');
describeTagFamilies('tun', 'bpf');
describeTagFamilies('bpf', 'tun');
