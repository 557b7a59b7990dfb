import { expect, it } from 'vitest';
import { SERVICE_SAYS, SERVICE_VERSIONS, serviceProbe } from '../rig/debian-service-probe.ts';
import { inDebianSystem } from '../rig/debian-system.ts';

/* The package on Debian's kernel, under a real systemd, with the plane that it is chosen for there. */
it('is installed, started, upgraded without a lost packet, removed and purged', async () => {
  const { lines, ended } = await inDebianSystem(serviceProbe('fou'), SERVICE_VERSIONS);
  expect(lines, ended).toEqual(SERVICE_SAYS);
});
