import { describeMtu } from '../rig/mtu-cases.ts';

describeMtu('tun');
