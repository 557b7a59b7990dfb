import { testVerify } from '../rig/verify-cases.ts';

testVerify([
  { plane: 'tun', session: 'v1', integrity: 'none' },
  { plane: 'bpf', session: 'v2', integrity: 'full' },
]);
