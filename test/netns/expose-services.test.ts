import { createHash, randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { inside } from '../../src/adapters/lab/namespaces.ts';
import { runChecked } from '../../src/adapters/lab/process.ts';
import { clientConfig, roams, serverConfig } from '../rig/expose-cases.ts';
import { patience, succeeds } from '../rig/patience.ts';
import { SERVER, themselves, VISITORS, visitorScene } from '../rig/visitor-scene.ts';

/*
 * Programs that people have at home, as Debian has them: nginx, which writes down who asked, and an SSH server. What
 * visitors get is what is there, by its hash, and the programs know them by their own addresses.
 */
const scene = visitorScene();
const PAGE = randomBytes(300_000);
const HASH = createHash('sha256').update(PAGE).digest('hex');
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'ipipou-services-'));
  const { lab } = scene.base;
  await mkdir(`${folder}/www`);
  await writeFile(`${folder}/www/page`, PAGE);
  const nginx = [
    'daemon off; master_process off; user root; error_log stderr;',
    `pid ${folder}/nginx.pid; events { worker_connections 512; }`,
    `http { log_format who '$remote_addr'; access_log ${folder}/access.log who;`,
    ...['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
      (name) => `${name}_temp_path ${folder}/${name};`,
    ),
    `server { listen 80; listen [::]:80; root ${folder}/www; } }`,
  ];
  await writeFile(`${folder}/nginx.conf`, nginx.join('\n'));
  await runChecked(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', `${folder}/key`]);
  await mkdir('/run/sshd', { recursive: true, mode: 0o755 });
  const sshd = [
    ...['Port 22', `HostKey ${folder}/key`, `AuthorizedKeysFile ${folder}/key.pub`],
    ...['StrictModes no', 'UsePAM no', 'PermitRootLogin yes', 'MaxStartups 100', 'PidFile none'],
  ];
  await writeFile(`${folder}/sshd.conf`, sshd.join('\n'));
  lab.spawn(lab.client(), ['nginx', '-c', `${folder}/nginx.conf`]);
  lab.spawn(lab.client(), ['/usr/sbin/sshd', '-D', '-e', '-f', `${folder}/sshd.conf`]);
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

/** Hashes of what each of the visitors got. */
async function pages(from: readonly string[]): Promise<Readonly<Record<string, string>>> {
  const seconds = String(Math.ceil(patience(15_000) / 1000));
  const fetch = `curl -s -m ${seconds} --interface "$ip" http://${SERVER}/page | sha256sum`;
  const script = `for ip; do (echo "$ip $(${fetch} | cut -d' ' -f1)") & done; wait`;
  const { stdout } = await runChecked(inside(scene.visitor, ['sh', '-c', script, 'sh', ...from]), {
    timeout: patience(60_000),
  });
  const lines = stdout.trim().split('\n');
  return Object.fromEntries(lines.map((line) => line.split(' ') as [string, string]));
}

/** Who nginx says came since it was asked last. */
async function whoCame(): Promise<readonly string[]> {
  const file = `${folder}/access.log`;
  const found = (await readFile(file, 'utf8')).trim().split('\n');
  await writeFile(file, '');
  return found.toSorted();
}

/** What an SSH server tells a session of where it comes from. */
async function ssh(from: string): Promise<string> {
  const options = [
    '-oStrictHostKeyChecking=no',
    '-oUserKnownHostsFile=/dev/null',
    '-oBatchMode=yes',
  ];
  const argv = ['ssh', '-q', ...options, '-i', `${folder}/key`, '-b', from, '-p', '2222'];
  const asked = inside(scene.visitor, [...argv, `root@${SERVER}`, 'echo $SSH_CONNECTION']);
  const { stdout } = await runChecked(asked, { timeout: patience(30_000) });
  return stdout.split(' ')[0] ?? '';
}

const hashes = Object.fromEntries(VISITORS.map((ip) => [ip, HASH]));

describe.each(['tun', 'bpf'])('on %s', (plane) => {
  test('a web server, an SSH server and UDP know fifty visitors, also after what befalls the tunnel', async () => {
    const { lab } = scene.base;
    const server = serverConfig(plane, 'expose tcp/80, tcp/2222:22, udp/27015');
    const client = clientConfig(plane);
    const daemons = await scene.both(server, client);
    const everybody = async (): Promise<void> => {
      expect(await pages(VISITORS)).toEqual(hashes);
      expect(await whoCame()).toEqual(VISITORS.toSorted());
    };
    await everybody();
    expect(await scene.visit('udp/27015', { from: VISITORS })).toEqual(themselves(VISITORS));
    for (const ip of VISITORS.slice(0, 2)) expect(await ssh(ip)).toBe(ip);

    await roams(lab, async () => {
      expect((await pages(VISITORS.slice(0, 1)))[VISITORS[0] ?? '']).toBe(HASH);
      await whoCame();
      await everybody();
    });

    await scene.sure(lab.server, ['nft', 'flush', 'ruleset']);
    await scene.sure(lab.client(), ['nft', 'delete', 'table', 'inet', 'ipipou-return-ipipou0']);
    await succeeds(async () => expect(await ssh(VISITORS[2] ?? '')).toBe(VISITORS[2]));
    await everybody();

    await Promise.all([daemons.server.kill(), daemons.client.kill()]);
    await scene.both(server, client);
    await everybody();
    expect(await ssh(VISITORS[3] ?? '')).toBe(VISITORS[3]);
  });
});
