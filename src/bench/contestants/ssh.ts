import { mkdir, rmdir } from 'node:fs/promises';
import { EVERYTHING, type Contestant } from '../contestant.ts';
import type { Side } from '../side.ts';
import { programSide } from '../side.ts';
import { INNER_SERVER, type Site } from '../site.ts';
import { lacksProgram, lacksTun } from './requirements.ts';

/* SSH's own tunnel: inner packets in one encrypted TCP connection. */

const PORT = 2222;
/** Numbers of the tun devices that `-w` asks for. */
const TUN = 7;
const DEVICE = `tun${TUN}`;
const SSHD = '/usr/sbin/sshd';
/** Where Debian's sshd wants an empty folder. */
const PRIVILEGE_SEPARATION = '/run/sshd';

export const ssh: Contestant = {
  name: 'ssh',
  title: 'ssh -w',
  kind: 'encrypted',
  protects: EVERYTHING,
  runsIn: 'user space',
  // A stream: what a packet grows by depends on how they fall together.
  overhead: undefined,
  mtu: 1500,
  router: 'translates',
  clients: 1,
  remark: 'TCP inside TCP; the default cipher',
  unavailable: async (probe) => (await lacksProgram('ssh', SSHD)) ?? lacksTun(probe),
  async open(site) {
    const { lab } = site;
    for (const name of ['host', 'user']) {
      const make = ['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', site.path(name)];
      await site.exec(lab.server, make);
    }
    const config = await site.write('sshd_config', [
      ...[`Port ${PORT}`, `ListenAddress ${site.server}`, `HostKey ${site.path('host')}`],
      ...['PermitTunnel point-to-point', 'PermitRootLogin prohibit-password', 'UsePAM no'],
      ...[`AuthorizedKeysFile ${site.path('user.pub')}`, 'StrictModes no', 'PidFile none'],
      ...['UseDNS no', 'PrintMotd no', 'LogLevel VERBOSE'],
    ]);
    return {
      serverAddress: INNER_SERVER,
      startServer: async () => startServer(site, config),
      startClient: async () => startClient(site),
    };
  },
};

async function startServer(site: Site, config: string): Promise<Side> {
  const namespace = site.lab.server;
  const made = await mkdir(PRIVILEGE_SEPARATION, { mode: 0o755 }).then(
    () => true,
    () => false,
  );
  if (made) site.onLeave(async () => rmdir(PRIVILEGE_SEPARATION));
  const program = site.spawn(namespace, [SSHD, '-D', '-e', '-f', config]);
  await program.waitFor(/Server listening/);
  // The client asks for this device by number; made beforehand, it can have its address already.
  await makeDevice(site, namespace);
  const side = programSide(namespace, DEVICE, program);
  return {
    ...side,
    async stop() {
      await side.stop();
      await site.ip(namespace, [`link del ${DEVICE}`]);
    },
  };
}

async function startClient(site: Site): Promise<Side> {
  const namespace = site.lab.client();
  await makeDevice(site, namespace);
  const program = site.spawn(namespace, [
    ...['ssh', '-N', '-T', '-F', 'none', '-w', `${TUN}:${TUN}`, '-i', site.path('user')],
    ...['-o', 'StrictHostKeyChecking=no', '-o', 'UserKnownHostsFile=/dev/null'],
    ...['-o', 'ExitOnForwardFailure=yes', '-o', 'BatchMode=yes', '-o', 'ServerAliveInterval=1'],
    ...['-p', String(PORT), `root@${site.server}`],
  ]);
  const side = programSide(namespace, DEVICE, program);
  return {
    ...side,
    async stop() {
      await side.stop();
      await site.ip(namespace, [`link del ${DEVICE}`]);
    },
  };
}

async function makeDevice(site: Site, namespace: string): Promise<void> {
  await site.ip(namespace, [`tuntap add dev ${DEVICE} mode tun`]);
  await site.setUp(namespace, DEVICE, 0, ssh.mtu);
}
