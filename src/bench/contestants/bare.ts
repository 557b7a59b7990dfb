import { NOTHING, type Contestant } from '../contestant.ts';
import { kernelSide } from '../side.ts';

/** No tunnel: what there is to lose. */
export const bare: Contestant = {
  name: 'bare',
  title: 'bare path',
  kind: 'bare',
  protects: NOTHING,
  runsIn: 'kernel',
  overhead: 0,
  mtu: 1500,
  router: 'translates',
  clients: 64,
  remark: 'from the client to the server’s outer address, through the NAT',
  unavailable: async () => undefined,
  open: async (site) => ({
    serverAddress: site.server,
    startServer: async () => kernelSide(site, site.lab.server, 'eth0', []),
    startClient: async (index) => kernelSide(site, site.lab.client(index), 'eth0', []),
  }),
};

/** The same once more: how far its ratio to the first one is from 1.00 is the noise of the table. */
export const bareAgain: Contestant = {
  ...bare,
  name: 'bare-again',
  title: 'bare path again',
  remark: 'the bare path a second time: the noise of this table',
};
