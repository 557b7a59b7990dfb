import { writeFile } from 'node:fs/promises';
import type { Program } from '../src/adapters/lab/process.ts';
import { SERVER_ADDRESS, type Topology } from '../src/adapters/lab/topology.ts';

/** Ways to the ports 80 and 5201 of a host behind NAT. */
export type Way = {
  /** Where the services are: at home, unless it is what a way home is measured by. */
  readonly home?: 'server';
  /** Makes the way; its programs. */
  readonly open: (scene: Scene) => Promise<readonly Program[]>;
};

export type Scene = {
  readonly lab: Topology;
  readonly folder: string;
  readonly sure: (namespace: string, ...argv: readonly string[]) => Promise<string>;
  /** A tunnel of ipipou's from the client, 172.28.0.1, to the server; its daemons. */
  readonly tunnel: (plane: string, ...server: readonly string[]) => Promise<readonly Program[]>;
};

const PORTS = [80, 5201];
const EXPOSE = 'expose tcp/80 rate none, tcp/5201 rate none';

export const WAYS: Readonly<Record<string, Way>> = {
  'on the server itself': { home: 'server', open: async () => [] },
  'ipipou expose, bpf': { open: async ({ tunnel }) => tunnel('bpf', EXPOSE) },
  'ipipou expose, tun': { open: async ({ tunnel }) => tunnel('tun', EXPOSE) },
  'haproxy, through ipipou bpf': {
    async open({ lab, folder, tunnel }) {
      const daemons = await tunnel('bpf');
      const config = [
        'defaults',
        ...['  mode tcp', '  timeout connect 5s', '  timeout client 60s', '  timeout server 60s'],
        ...PORTS.flatMap((port) => [
          ...[`listen port${port}`, `  bind :${port}`, `  server home 172.28.0.1:${port}`],
        ]),
      ];
      await writeFile(`${folder}/haproxy.cfg`, `${config.join('\n')}\n`);
      return [...daemons, lab.spawn(lab.server, ['haproxy', '-db', '-f', `${folder}/haproxy.cfg`])];
    },
  },
  'socat, through ipipou bpf': {
    async open({ lab, tunnel }) {
      const daemons = await tunnel('bpf');
      const proxies = PORTS.map((port) =>
        lab.spawn(lab.server, [
          ...['socat', `TCP-LISTEN:${port},fork,reuseaddr,backlog=512`, `TCP:172.28.0.1:${port}`],
        ]),
      );
      return [...daemons, ...proxies];
    },
  },
  'ssh -R': { open: openSsh },
  'wireguard-go, rules by hand': { open: openWireguard },
};

async function openSsh({ lab, folder, sure }: Scene): Promise<readonly Program[]> {
  await sure(lab.server, 'sh', '-c', 'mkdir -p /run/sshd');
  await sure(lab.server, 'ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', `${folder}/key`);
  const config = [
    ...['Port 22', `HostKey ${folder}/key`, `AuthorizedKeysFile ${folder}/key.pub`],
    ...['StrictModes no', 'UsePAM no', 'PermitRootLogin yes', 'PidFile none', 'GatewayPorts yes'],
  ];
  await writeFile(`${folder}/sshd.conf`, config.join('\n'));
  const server = lab.spawn(lab.server, [
    ...['/usr/sbin/sshd', '-D', '-e', '-f', `${folder}/sshd.conf`],
  ]);
  await server.waitFor(/listening/);
  const client = lab.spawn(lab.client(), [
    ...['ssh', '-N', '-q', '-i', `${folder}/key`, '-oStrictHostKeyChecking=no', '-oBatchMode=yes'],
    ...['-oUserKnownHostsFile=/dev/null', '-oExitOnForwardFailure=yes'],
    ...PORTS.flatMap((port) => ['-R', `0.0.0.0:${port}:127.0.0.1:${port}`]),
    `root@${SERVER_ADDRESS}`,
  ]);
  return [server, client];
}

/** As the recipes have it: the destination changed on the server; marks, a rule and a table at home. */
async function openWireguard({ lab, folder, sure }: Scene): Promise<readonly Program[]> {
  // wireguard-go keeps its sockets in one folder for all namespaces, and takes them away when it has ended: names must differ.
  const turn = folder.slice(-6);
  const ends = [
    { namespace: lab.server, device: `wgs${turn}`, ip: '10.77.0.1' },
    { namespace: lab.client(), device: `wgc${turn}`, ip: '10.77.0.2' },
  ] as const;
  const programs: Program[] = [];
  const publicKeys: string[] = [];
  for (const { namespace, device } of ends) {
    const key = `${folder}/${device}.key`;
    await sure(namespace, 'sh', '-c', `umask 077; wg genkey > ${key}`);
    publicKeys.push((await sure(namespace, 'sh', '-c', `wg pubkey < ${key}`)).trim());
    programs.push(lab.spawn(namespace, ['wireguard-go', '-f', device]));
    await sure(
      namespace,
      'sh',
      '-c',
      `until wg show ${device} >/dev/null 2>&1; do sleep 0.1; done`,
    );
  }
  for (const [index, { namespace, device, ip }] of ends.entries()) {
    const own = ['wg', 'set', device, 'private-key', `${folder}/${device}.key`];
    const peer = ['peer', publicKeys[1 - index] ?? ''];
    const port = ['listen-port', '51820'];
    await sure(
      namespace,
      ...own,
      ...(index === 0 ? [...port, ...peer, 'allowed-ips', '10.77.0.2/32'] : peer),
      ...(index === 0 ? [] : ['endpoint', `${SERVER_ADDRESS}:51820`, 'allowed-ips', '0.0.0.0/0']),
      ...(index === 0 ? [] : ['persistent-keepalive', '5']),
    );
    await sure(namespace, 'ip', 'addr', 'add', `${ip}/24`, 'dev', device);
    await sure(namespace, 'ip', 'link', 'set', device, 'mtu', '1420', 'up');
  }
  const [{ device: there }, { device }] = ends;
  await sure(lab.server, 'sysctl', '-qw', 'net.ipv4.ip_forward=1');
  await sure(
    lab.server,
    'nft',
    [
      'table ip wg {',
      `chain pre { type nat hook prerouting priority dstnat; ip daddr ${SERVER_ADDRESS} tcp dport { ${PORTS.join(', ')} } dnat to 10.77.0.2; }`,
      `chain passing { type filter hook forward priority 0; oifname "${there}" tcp flags syn tcp option maxseg size set rt mtu; }`,
      '}',
    ].join('\n'),
  );
  await sure(
    lab.client(),
    'nft',
    [
      'table ip wg {',
      `chain pre { type filter hook prerouting priority mangle; iifname "${device}" ct mark set 7; }`,
      'chain out { type route hook output priority mangle; ct mark 7 meta mark set 7; }',
      '}',
    ].join('\n'),
  );
  await sure(lab.client(), 'sysctl', '-qw', 'net.ipv4.conf.all.rp_filter=2');
  await sure(lab.client(), 'ip', 'route', 'add', 'default', 'dev', device, 'table', '77');
  await sure(lab.client(), 'ip', 'rule', 'add', 'fwmark', '7', 'table', '77');
  return programs;
}
