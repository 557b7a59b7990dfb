/* Topology: the drawing at the head of test/rig/full-tunnel-scene.ts. */
import { describeFullTunnel } from '../rig/full-tunnel-cases.ts';
import { fullTunnelScene } from '../rig/full-tunnel-scene.ts';

const scene = fullTunnelScene();

describeFullTunnel('tun', scene);
describeFullTunnel('bpf', scene);
