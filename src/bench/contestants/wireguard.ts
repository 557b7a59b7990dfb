import { readFile, rm } from 'node:fs/promises';
import { formatEndpoint } from '../../core/addr.ts';
import { port } from '../../core/units.ts';
import { EVERYTHING, type Contestant } from '../contestant.ts';
import { DEBIAN_13_WIREGUARD } from '../debian-13.ts';
import type { Side } from '../side.ts';
import { kernelSide, programSide } from '../side.ts';
import { INNER_SERVER, type Site } from '../site.ts';
import { lacksLink, lacksProgram, lacksTun } from './requirements.ts';

/*
 * WireGuard: the kernel's where there is one, else wireguard-go of this Debian and of Debian 13. The server has one device and one
 * port for all clients.
 */

const PORT = port(51_820);
/** IPv4 20, UDP 8, message header 16, tag 16. */
const OVERHEAD = 60;
const MTU = 1500 - OVERHEAD;

type Making = (site: Site, namespace: string, device: string) => Promise<Side>;

function contestant(
  given: Pick<Contestant, 'name' | 'title' | 'runsIn' | 'unavailable' | 'remark'>,
  make: Making,
): Contestant {
  return {
    ...given,
    kind: 'encrypted',
    protects: EVERYTHING,
    overhead: OVERHEAD,
    mtu: MTU,
    router: 'translates',
    clients: 64,
    open: async (site) => openTunnel(site, make),
  };
}

async function openTunnel(site: Site, make: Making) {
  const { lab } = site;
  const serverKeys = await keys(site, 'server');
  const clientKeys = await Promise.all(lab.clients.map(async (_, i) => keys(site, `client${i}`)));
  // wireguard-go keeps its sockets in one folder for all namespaces: names must differ.
  const name = (end: string): string => `wg${end}${String(process.pid % 100_000)}`;
  return {
    serverAddress: INNER_SERVER,
    async startServer() {
      const device = name('s');
      const side = await make(site, lab.server, device);
      const peers = clientKeys.flatMap(({ publicKey }, index) => [
        ...['peer', publicKey, 'allowed-ips', `${site.innerClient(index)}/32`],
      ]);
      const own = ['private-key', serverKeys.file, 'listen-port', String(PORT)];
      await site.exec(lab.server, ['wg', 'set', device, ...own, ...peers]);
      await site.ip(lab.server, [
        `addr add ${INNER_SERVER}/24 dev ${device}`,
        `link set ${device} mtu ${site.mtu(MTU)} up`,
      ]);
      return side;
    },
    async startClient(index: number) {
      const namespace = lab.client(index);
      const device = name(`${index}c`);
      const side = await make(site, namespace, device);
      const peer = [
        'peer',
        serverKeys.publicKey,
        'endpoint',
        formatEndpoint({ ip: site.server, port: PORT }),
      ];
      const more = [
        'allowed-ips',
        `${INNER_SERVER}/32`,
        'persistent-keepalive',
        String(site.keepalive),
      ];
      const own = ['private-key', clientKeys[index]?.file ?? ''];
      await site.exec(namespace, ['wg', 'set', device, ...own, ...peer, ...more]);
      await site.ip(namespace, [
        `addr add ${site.innerClient(index)}/24 dev ${device}`,
        `link set ${device} mtu ${site.mtu(MTU)} up`,
      ]);
      return side;
    },
  };
}

async function keys(site: Site, who: string) {
  const { stdout } = await site.exec(site.lab.server, ['wg', 'genkey']);
  const file = await site.write(`${who}.key`, [stdout.trim()]);
  const text = await readFile(file, 'utf8');
  const publicKey = (await site.exec(site.lab.server, ['wg', 'pubkey'], text)).stdout.trim();
  return { file, publicKey };
}

export const wireguardKernel = contestant(
  {
    name: 'wireguard',
    title: 'WireGuard, kernel',
    runsIn: 'kernel',
    remark: 'persistent-keepalive 1 (of many clients 25)',
    unavailable: async (probe) => (await lacksProgram('wg')) ?? lacksLink(probe, 'wireguard'),
  },
  async (site, namespace, device) => {
    await site.ip(namespace, [`link add name ${device} type wireguard`]);
    return kernelSide(site, namespace, device, [`link del ${device}`]);
  },
);

function inUserSpace(name: string, title: string, command: string): Contestant {
  const remark = 'persistent-keepalive 1 (of many clients 25)';
  return contestant(
    {
      ...{ name, title, runsIn: 'user space', remark },
      unavailable: async (probe) =>
        (await lacksProgram('wg', command)) ??
        (await lacksTun(probe)) ??
        ((await lacksLink(probe, 'wireguard')) === undefined
          ? 'the kernel has WireGuard, which takes its place'
          : undefined),
    },
    async (site, namespace, device) => {
      const env = { WG_PROCESS_FOREGROUND: '1', LOG_LEVEL: 'error' };
      const program = site.spawn(namespace, [command, '-f', device], env);
      // One that was killed leaves its socket.
      site.onLeave(async () => rm(`/var/run/wireguard/${device}.sock`, { force: true }));
      const ask = ['wg', 'show', device];
      const answers = async () => (await site.lab.exec(namespace, ask)).code === 0;
      await site.until(`wireguard-go ${device}`, answers, [program]);
      return programSide(namespace, device, program);
    },
  );
}

export const wireguardGo = inUserSpace('wireguard-go', 'WireGuard, wireguard-go', 'wireguard-go');

/** That of Debian 12 is older and knows no aggregates. */
export const wireguardGo13 = inUserSpace(
  'wireguard-go-13',
  'WireGuard, wireguard-go of Debian 13',
  DEBIAN_13_WIREGUARD,
);
