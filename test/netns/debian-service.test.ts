import { expect, it } from 'vitest';
import { SERVICE_SAYS, SERVICE_VERSIONS, serviceProbe } from '../rig/debian-service-probe.ts';
import { inDebianSystem } from '../rig/debian-system.ts';

it('is installed, started, upgraded without a lost packet, removed and purged', async () => {
  const { lines, ended } = await inDebianSystem(serviceProbe('bpf'), SERVICE_VERSIONS);
  expect(lines, ended).toEqual(SERVICE_SAYS);
});
