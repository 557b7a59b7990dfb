import { describeOuterErrors } from '../rig/outer-error-cases.ts';

/** The guest is emulated: everything in it takes several times as long. */
describeOuterErrors('fou', 4);
