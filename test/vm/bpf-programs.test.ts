import { describePrograms } from '../rig/bpf-cases.ts';

/* The same cases as test/netns/bpf-programs-packets.test.ts, on Debian's kernel. */
describePrograms({ fuzz: 300 });
