import { describeInitFlood } from '../rig/init-flood-cases.ts';

describeInitFlood(['bpf', 'tun']);
