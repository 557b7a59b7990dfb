import { describeFragments } from '../rig/fragment-cases.ts';

describeFragments('fou', { alt: true, slowness: 4 });
