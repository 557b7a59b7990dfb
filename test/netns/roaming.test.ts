/* Topology: the drawing at the head of test/rig/roaming-cases.ts. */
import { describeRoaming } from '../rig/roaming-cases.ts';

describeRoaming('bpf');

describeRoaming('tun');
