import { describeMtu, describeMtuOfIpv6 } from '../rig/mtu-cases.ts';

describeMtu('tun');
describeMtuOfIpv6('tun');
