import { describeExposed } from '../rig/expose-cases.ts';
import { visitorScene } from '../rig/visitor-scene.ts';

describeExposed('fou', visitorScene());
