import { describeIpv4Only } from '../rig/ipv4-only-cases.ts';

/** The guest is emulated: everything in it takes several times as long. */
describeIpv4Only('fou', 4);
