/* Topology: the drawing at the head of src/adapters/lab/topology.ts. Who is told of name servers are scripts that keep it in files. */
import { chmod, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { beforeEach, expect, test } from 'vitest';
import { fullClient } from '../rig/full-tunnel-cases.ts';
import { labScene } from '../rig/lab-scene.ts';
import { succeeds } from '../rig/patience.ts';
import { whatIsThere } from '../rig/traffic.ts';

const scene = labScene({ families: 'both' });

/** As resolvectl(1): what it knows of a device, in a file each. */
const RESOLVECTL = `
[ -e "$STATE/resolved-runs" ] || exit 1
case $1 in
  revert) rm "$STATE"/link-"$2"-* ;;
  *) [ $# -lt 2 ] || { what=$1; link=$2; shift 2; echo "$*" > "$STATE/link-$link-$what"; } ;;
esac`;
/** As resolvconf(8), of Debian's package of that name and of openresolv, which goes by the metric. */
const RESOLVCONF = `
case $1 in
  -a) [ "$3 $4 $5" = '-m 0 -x' ] && cat > "$STATE/conf-$2" ;;
  -d) rm "$STATE/conf-$2" ;;
  *) exit 1 ;;
esac`;

let folder = '';
let serial = 0;

beforeEach(async () => {
  folder = path.join(scene.hosts.folder, `dns-${++serial}`);
  await mkdir(folder);
});

async function program(name: string, script: string): Promise<void> {
  const file = path.join(folder, name);
  await writeFile(file, `#!/bin/sh\nSTATE=${folder}\n${script}\n`);
  await chmod(file, 0o755);
}

/** What the programs were told: by file, its text. */
async function told(): Promise<Readonly<Record<string, string>>> {
  const names = (await readdir(folder)).filter((name) => /^(link|conf)-/.test(name));
  const read = names.map(
    async (name) => [name, (await readFile(path.join(folder, name), 'utf8')).trim()] as const,
  );
  return Object.fromEntries(await Promise.all(read));
}

const client = (dns: string) =>
  fullClient('tun', `dns ${dns}`).filter((line) => !/^(table|allowed-ips) /.test(line));
/** Of the machine's programs those that a daemon needs, and none that it may have of these. */
const env = () => ({ PATH: `${folder}:${path.dirname(process.execPath)}:/usr/sbin:/usr/bin:/bin` });

async function start(dns: string): ReturnType<typeof scene.hosts.start> {
  return scene.hosts.start(scene.lab.client(), client(dns), 'ipipou0', env());
}

test('systemd-resolved is told, once, also of a device that is made again, and told no more', async () => {
  await program('resolvectl', RESOLVECTL);
  await program('resolvconf', RESOLVCONF);
  await writeFile(path.join(folder, 'resolved-runs'), '');
  const daemon = await start('172.28.0.0 fd28::');
  await daemon.ready();
  const all = {
    'link-ipipou0-dns': '172.28.0.0 fd28::',
    'link-ipipou0-domain': '~.',
    'link-ipipou0-default-route': 'yes',
  };
  await succeeds(async () => expect(await told()).toEqual(all));
  expect((await scene.hosts.run(scene.lab.client(), ['show', 'ipipou0'])).stdout).toContain(
    'name servers by systemd-resolved: 172.28.0.0, fd28::',
  );
  await daemon.kill();
  await program('resolvectl', RESOLVECTL);
  const again = await start('172.28.0.0 ~corp.example lab.example');
  await again.ready();
  await succeeds(async () =>
    expect(await told()).toEqual({
      'link-ipipou0-dns': '172.28.0.0',
      'link-ipipou0-domain': '~corp.example lab.example',
      'link-ipipou0-default-route': 'no',
    }),
  );
  await scene.lab.exec(scene.lab.client(), ['rm', path.join(folder, 'link-ipipou0-dns')]);
  await scene.lab.exec(scene.lab.client(), ['ip', 'link', 'del', 'ipipou0']);
  await succeeds(async () => expect(await told()).toHaveProperty('link-ipipou0-dns'));
  expect(await again.stop()).toBe(0);
  expect(await told()).toEqual({});
});

test('else resolvconf, and down takes it back after kill -9', async () => {
  await program('resolvectl', RESOLVECTL);
  await program('resolvconf', RESOLVCONF);
  const all = { 'conf-tun.ipipou0': 'nameserver 172.28.0.0\nsearch lab.example' };
  for (let run = 0; run < 2; run++) {
    const daemon = await start('172.28.0.0 lab.example');
    await daemon.ready();
    expect(await told()).toEqual(all);
    await daemon.kill();
  }
  expect(await told()).toEqual(all);
  const down = await scene.lab.exec(
    scene.lab.client(),
    [process.execPath, path.resolve('dist/cli/main.js'), 'down', 'ipipou0'],
    { env: { ...scene.hosts.env(scene.lab.client()), ...env() } },
  );
  expect(down).toMatchObject({ code: 0 });
  expect(await told()).toEqual({});
});

test('without either nothing is begun', async () => {
  await program('resolvectl', RESOLVECTL);
  const daemon = await start('172.28.0.0');
  expect((await daemon.program.finished).code).toBe(1);
  expect(daemon.program.output()).toContain('neither systemd-resolved runs');
  expect(daemon.program.output()).not.toContain('data plane chosen');
});

test('a start that fails half way leaves nothing, also of a run that was killed', async () => {
  const { hosts, lab } = scene;
  const name = lab.client();
  const before = await whatIsThere(lab, name);
  const daemon = await hosts.start(name, fullClient('tun'));
  await daemon.ready();
  const rules = async (): Promise<string> => (await lab.exec(name, ['ip', 'rule'])).stdout;
  await succeeds(async () => expect(await rules()).toContain('suppress_prefixlength 0'));
  await daemon.kill();
  expect(await rules()).toContain('suppress_prefixlength 0');
  await program('resolvectl', '[ $# -lt 2 ] || { echo no such link; exit 3; }');
  const failed = await hosts.start(name, fullClient('tun', 'dns 172.28.0.0'), 'ipipou0', env());
  expect((await failed.program.finished).code).toBe(1);
  expect(failed.program.output()).toContain('exit code 3: no such link');
  expect(await whatIsThere(lab, name)).toEqual(before);
});
