import { describeRoaming } from '../rig/roaming-cases.ts';

/** The guest is emulated: everything in it takes several times as long. */
describeRoaming('fou', 4);
