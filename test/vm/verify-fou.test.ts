import { testVerify } from '../rig/verify-cases.ts';

testVerify([{ plane: 'fou', session: 'auto', integrity: 'none' }]);
