/* Topology: the drawing at the head of test/rig/visitor-scene.ts. */
import { describeFloodOfUdp } from '../rig/expose-flood-cases.ts';
import { visitorScene } from '../rig/visitor-scene.ts';

const scene = visitorScene();

describeFloodOfUdp('tun', scene, 30_000);
describeFloodOfUdp('bpf', scene, 30_000);
