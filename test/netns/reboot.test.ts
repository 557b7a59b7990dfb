import { describeReboots } from '../rig/reboot-cases.ts';

/* The world: the drawing at the head of test/rig/reboot-cases.ts. */
for (const plane of ['bpf', 'tun'] as const) {
  describeReboots(plane, 'server', ['a power failure', 'a reboot']);
  describeReboots(plane, 'home', ['a power failure', 'a reboot']);
}
