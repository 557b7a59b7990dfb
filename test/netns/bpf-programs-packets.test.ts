import { describePrograms } from '../rig/bpf-cases.ts';

describePrograms({ fuzz: 5000 });
