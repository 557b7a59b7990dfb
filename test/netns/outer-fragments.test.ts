import { describeFragments } from '../rig/fragment-cases.ts';

describeFragments('tun', { tags: true });
