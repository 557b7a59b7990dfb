/* Topology: the drawing at the head of src/adapters/lab/topology.ts. */
import { labScene } from '../rig/lab-scene.ts';
import { describeSecure } from '../rig/secure-cases.ts';

const scene = labScene();

describeSecure('bpf', ['none', 'header', 'full'], scene);

describeSecure('tun', ['none', 'header', 'full'], scene);
