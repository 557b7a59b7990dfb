/* Topology: the drawing at the head of src/adapters/lab/topology.ts. */
import { describeAttacks } from '../rig/attack-cases.ts';
import { labScene } from '../rig/lab-scene.ts';

const scene = labScene();

describeAttacks('bpf', scene);

describeAttacks('tun', scene);
