import { describeMtu, describeMtuOfIpv6 } from '../rig/mtu-cases.ts';

describeMtu('bpf');
describeMtuOfIpv6('bpf');
