import { familyOf } from '../../core/addr.ts';
import { NOTHING, type Contestant } from '../contestant.ts';
import type { Side } from '../side.ts';
import { programSide } from '../side.ts';
import { INNER_SERVER, type Site } from '../site.ts';
import { lacksProgram, lacksTun, refuses } from './requirements.ts';

/*
 * fastd without encryption: packets handled by its process, and by the kernel's L2TP after the
 * handshake ("offload").
 */

const PORT = 10_000;
const DEVICE = 'fastd0';

function contestant(
  given: Pick<Contestant, 'name' | 'title' | 'runsIn' | 'remark' | 'unavailable'> & {
    readonly overhead: number;
  },
  lines: readonly string[],
): Contestant {
  const mtu = 1500 - given.overhead;
  return {
    ...given,
    mtu,
    kind: 'plain',
    protects: NOTHING,
    router: 'translates',
    clients: 1,
    async open(site) {
      const { lab } = site;
      const remote = `${familyOf(site.server)} "${site.server}"`;
      const [server, client] = [await keys(site), await keys(site)];
      const common = [
        `interface "${DEVICE}";`,
        `mtu ${site.mtu(mtu)};`,
        'log level info;',
        ...lines,
      ];
      const serverFile = await site.write('server.conf', [
        ...[...common, `bind any:${PORT};`, `secret "${server.secret}";`],
        `peer "client" { key "${client.publicKey}"; float yes; }`,
      ]);
      const clientFile = await site.write('client.conf', [
        ...[...common, `secret "${client.secret}";`],
        `peer "server" { key "${server.publicKey}"; remote ${remote} port ${PORT}; }`,
      ]);
      const persistent = !lines.includes('persist interface no;');
      return {
        serverAddress: INNER_SERVER,
        startServer: async () => start(site, lab.server, serverFile, persistent),
        startClient: async () => start(site, lab.client(), clientFile, true),
      };
    },
  };
}

/** Without a persistent interface the server has none before a client comes. */
async function start(site: Site, namespace: string, file: string, wait: boolean): Promise<Side> {
  const program = site.spawn(namespace, ['fastd', '--config', file]);
  const own = namespace === site.lab.server ? INNER_SERVER : site.innerClient(0);
  const address = async (): Promise<void> => {
    await site.untilDevice(namespace, DEVICE, program);
    await site.ip(namespace, [`addr add ${own}/24 dev ${DEVICE}`, `link set ${DEVICE} up`]);
  };
  if (wait) await address();
  else {
    await program.waitFor(/starting|bound|listening|fastd/i);
    // It goes on beside the client; a failure shows as a tunnel that does not answer.
    void address().catch(() => undefined);
  }
  return programSide(namespace, DEVICE, program);
}

async function keys(site: Site) {
  const made = await site.exec(site.lab.server, ['fastd', '--generate-key', '--machine-readable']);
  const secret = made.stdout.trim().split('\n')[0] ?? '';
  const file = await site.write('fastd-key.conf', [`secret "${secret}";`]);
  const show = ['fastd', '--show-key', '--machine-readable', '--config', file];
  return { secret, publicKey: (await site.exec(site.lab.server, show)).stdout.trim() };
}

export const fastdNull = contestant(
  {
    name: 'fastd-null',
    title: 'fastd null, user space',
    runsIn: 'user space',
    // IPv4 20, UDP 8, packet type 1.
    overhead: 29,
    remark: 'method null, mode tun; packets carry no proof',
    unavailable: async (probe) => (await lacksProgram('fastd')) ?? lacksTun(probe),
  },
  ['mode tun;', 'method "null";'],
);

export const fastdL2tp = contestant(
  {
    name: 'fastd-l2tp',
    title: 'fastd null@l2tp, kernel',
    runsIn: 'kernel',
    // IPv4 20, UDP 8, L2TPv3 8, Ethernet 14.
    overhead: 50,
    remark: 'method null@l2tp with offload: the kernel’s L2TP carries the packets',
    unavailable: async (probe) =>
      (await lacksProgram('fastd')) ??
      refuses(probe, 'L2TP', [
        'l2tp add tunnel tunnel_id 9 peer_tunnel_id 9 encap udp local 127.0.0.1 remote 127.0.0.1 ' +
          'udp_sport 5009 udp_dport 5009',
        'l2tp del tunnel tunnel_id 9',
      ]),
  },
  ['mode multitap;', 'method "null@l2tp";', 'offload l2tp yes;', 'persist interface no;'],
);
