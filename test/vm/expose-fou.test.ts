import { describeExposed } from '../rig/expose-cases.ts';
import { visitorScene, VISITORS } from '../rig/visitor-scene.ts';

/** An emulated machine starts few programs in the time that a visitor waits. */
const FEW = VISITORS.slice(0, 5);

describeExposed('fou', visitorScene(), FEW);
