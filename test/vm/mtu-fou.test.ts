import { describeMtu } from '../rig/mtu-cases.ts';

/** The guest is emulated: everything in it takes several times as long. */
describeMtu('fou', { slowness: 4, directions: ['down'], controls: false });
