/* Topology: the drawing at the head of test/rig/full-tunnel-scene.ts. */
import { describeKillSwitch } from '../rig/full-tunnel-cases.ts';
import { fullTunnelScene } from '../rig/full-tunnel-scene.ts';

const scene = fullTunnelScene();

describeKillSwitch('tun', scene);
describeKillSwitch('bpf', scene);
