/* Topology: the drawing at the head of test/rig/full-tunnel-scene.ts. */
import { describeFullTunnelOnce } from '../rig/full-tunnel-cases.ts';
import { fullTunnelScene } from '../rig/full-tunnel-scene.ts';

/** The guest is emulated. */
describeFullTunnelOnce('fou', fullTunnelScene(), 5);
