import { EVERYTHING, NOTHING, type Contestant } from '../contestant.ts';
import type { Side } from '../side.ts';
import { programSide } from '../side.ts';
import { INNER_SERVER, type Site } from '../site.ts';
import { lacksProgram, lacksTun } from './requirements.ts';

/* OpenVPN over UDP: in plain text from point to point, and with TLS and AES-256-GCM. */

const PORT = 1194;
const DEVICE = 'ovpn0';

type Keys = {
  readonly serverArguments: readonly string[];
  readonly clientArguments: readonly string[];
};

function contestant(
  given: Pick<Contestant, 'name' | 'title' | 'kind' | 'protects' | 'remark'> & {
    readonly overhead: number;
  },
  keys: (site: Site) => Promise<Keys>,
): Contestant {
  const mtu = 1500 - given.overhead;
  return {
    ...given,
    mtu,
    runsIn: 'user space',
    router: 'translates',
    clients: 1,
    unavailable: async (probe) => (await lacksProgram('openvpn', 'openssl')) ?? lacksTun(probe),
    async open(site) {
      const { serverArguments, clientArguments } = await keys(site);
      const { lab } = site;
      const proto = site.family === 'ipv4' ? 'udp4' : 'udp6';
      const start = async (
        namespace: string,
        more: readonly string[],
        ready: RegExp | undefined,
      ): Promise<Side> => {
        const common = [
          ...[
            '--dev',
            DEVICE,
            '--dev-type',
            'tun',
            '--proto',
            proto,
            '--tun-mtu',
            String(site.mtu(mtu)),
          ],
          ...['--ping', '1', '--mssfix', '0', '--verb', '3'],
        ];
        const program = site.spawn(namespace, ['openvpn', ...common, ...more]);
        if (ready !== undefined) await program.waitFor(ready);
        return programSide(namespace, DEVICE, program);
      };
      return {
        serverAddress: INNER_SERVER,
        startServer: async () =>
          start(
            lab.server,
            ['--port', String(PORT), ...serverArguments],
            /Initialization Sequence Completed|UDPv[46] link remote/,
          ),
        startClient: async () =>
          start(
            lab.client(),
            ['--remote', site.server, String(PORT), '--nobind', ...clientArguments],
            undefined,
          ),
      };
    },
  };
}

async function certificate(site: Site, who: string) {
  const files = [site.path(`${who}.key`), site.path(`${who}.pem`)] as const;
  await site.exec(site.lab.server, [
    ...['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'],
    ...['-noenc', '-days', '2', '-subj', `/CN=${who}`, '-keyout', files[0], '-out', files[1]],
  ]);
  const look = ['openssl', 'x509', '-in', files[1], '-noout', '-fingerprint', '-sha256'];
  const { stdout } = await site.exec(site.lab.server, look);
  return { files, fingerprint: stdout.trim().split('=')[1] ?? '' };
}

export const openvpnPlain = contestant(
  {
    name: 'openvpn-plain',
    title: 'OpenVPN, no encryption',
    kind: 'plain',
    protects: NOTHING,
    // IPv4 20, UDP 8: in this mode no header of its own.
    overhead: 28,
    remark: 'neither keys nor TLS',
  },
  async (site) => {
    const none = ['--cipher', 'none', '--auth', 'none', '--float', '--ifconfig'];
    const ends = [INNER_SERVER, site.innerClient(0)];
    return {
      serverArguments: [...none, ...ends],
      clientArguments: [...none, ...ends.toReversed()],
    };
  },
);

export const openvpn = contestant(
  {
    name: 'openvpn',
    title: 'OpenVPN, AES-256-GCM',
    kind: 'encrypted',
    protects: EVERYTHING,
    // IPv4 20, UDP 8, opcode and peer 4, packet number 4, tag 16.
    overhead: 52,
    remark:
      'server mode, TLS, certificates checked by fingerprint; Debian has no kernel offload (DCO)',
  },
  async (site) => {
    const [server, client] = [await certificate(site, 'server'), await certificate(site, 'client')];
    const use = (own: typeof server, peer: typeof server): readonly string[] => [
      ...['--key', own.files[0], '--cert', own.files[1]],
      ...['--peer-fingerprint', peer.fingerprint, '--data-ciphers', 'AES-256-GCM'],
    ];
    return {
      serverArguments: [
        ...['--server', INNER_SERVER.replace(/[0-9]+$/, '0'), '255.255.255.0'],
        ...['--topology', 'subnet', '--dh', 'none', ...use(server, client)],
      ],
      clientArguments: ['--client', ...use(client, server)],
    };
  },
);
