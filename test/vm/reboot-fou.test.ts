import { describeReboots } from '../rig/reboot-cases.ts';

/* The world: the drawing at the head of test/rig/reboot-cases.ts. */
describeReboots('fou', 'server', ['a power failure']);
describeReboots('fou', 'home', ['a reboot']);
