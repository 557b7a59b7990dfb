import { describeMix } from '../rig/family-cases.ts';
import { describeBpfAndTun } from '../rig/mix-cases.ts';

describeMix('bpf', 'tun');
describeBpfAndTun();
