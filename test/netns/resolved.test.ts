/*
 * `dns` with Debian's systemd-resolved, which is told by its own resolvectl over a bus of its own, in the client's
 * namespace. Topology: the drawing at the head of src/adapters/lab/topology.ts; a name server is at the tunnel's other end.
 */
import { chmod, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { changed } from '../rig/daemon.ts';
import { fullClient, fullServer } from '../rig/full-tunnel-cases.ts';
import { labScene } from '../rig/lab-scene.ts';
import { holds, succeeds } from '../rig/patience.ts';
import { PROJECT } from '../vm/rig/project.ts';

const scene = labScene({ families: 'both' });
const ROOT = path.join(PROJECT, '.cache/debian-resolved');
const ANSWER = '198.51.100.77';

let folder = '';
/** Where its resolvectl is found first. */
let env: Readonly<Record<string, string>> = {};

const BUS = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path=FOLDER/bus</listen>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_destination="*"/>
    <allow receive_sender="*"/>
  </policy>
</busconfig>
`;

/** With the user that its package makes, whom it becomes, and a /run of its own. */
const RESOLVED = `
set -e
cp /etc/passwd /etc/group FOLDER
echo 'systemd-resolve:x:990:990::/:/usr/sbin/nologin' >> FOLDER/passwd
echo 'systemd-resolve:x:990:' >> FOLDER/group
mount --bind FOLDER/passwd /etc/passwd
mount --bind FOLDER/group /etc/group
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/resolve
chown 990:990 /run/systemd/resolve
dbus-daemon --config-file=FOLDER/bus.conf --nofork --nopidfile --print-address=1 &
exec ROOT/lib/systemd/systemd-resolved
`;

beforeAll(async () => {
  const { lab } = scene;
  folder = await mkdtemp(path.join(tmpdir(), 'ipipou-resolved-'));
  await chmod(folder, 0o755);
  const text = (script: string): string =>
    script.replaceAll('FOLDER', folder).replaceAll('ROOT', ROOT);
  await writeFile(path.join(folder, 'bus.conf'), text(BUS));
  const libraries = path.join(ROOT, 'usr/lib');
  const [architecture = ''] = await readdir(libraries).then((names) =>
    names.filter((name) => name.includes('-linux-')),
  );
  const needs = [
    `export DBUS_SYSTEM_BUS_ADDRESS=unix:path=${folder}/bus`,
    `export LD_LIBRARY_PATH=${path.join(libraries, architecture, 'systemd')}`,
  ].join('\n');
  const command = ['#!/bin/sh', needs, `exec ${ROOT}/usr/bin/resolvectl "$@"\n`].join('\n');
  await writeFile(path.join(folder, 'resolvectl'), command, { mode: 0o755 });
  env = { PATH: `${folder}:${path.dirname(process.execPath)}:/usr/sbin:/usr/bin:/bin` };
  const apart = ['unshare', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc'];
  const script = ['bash', '-c', `${needs}\n${text(RESOLVED)}`];
  await lab.spawn(lab.client(), [...apart, ...script]).waitFor(/bus/);
  await holds(async () => (await resolvectl('status')).includes('Global'));
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

async function resolvectl(...words: readonly string[]): Promise<string> {
  const { lab } = scene;
  const { stdout, stderr } = await lab.exec(lab.client(), ['resolvectl', ...words], { env });
  return stdout + stderr;
}

test('names are asked of the tunnel’s server, also after kill -9, and no longer after its end', async () => {
  const { lab, hosts, start } = scene;
  await start(lab.server, fullServer('tun', '-masquerade'));
  const lines = fullClient('tun', 'dns 172.28.0.0').filter(
    (line) => !/^(table|allowed-ips) /.test(line),
  );
  const run = async () => {
    const daemon = await hosts.start(lab.client(), lines, 'ipipou0', env);
    await daemon.established();
    return daemon;
  };
  const first = await run();
  const server = path.join(PROJECT, 'test/rig/name-server.mjs');
  const asked = lab.spawn(lab.server, [process.execPath, server, '172.28.0.0', ANSWER]);
  await asked.waitFor(/ready/);
  expect(await resolvectl('query', '-4', 'one.example')).toMatch(
    new RegExp(`one\\.example: ${ANSWER} +-- link: ipipou0`),
  );
  await asked.waitFor(/asked one\.example/);
  await first.kill();
  const second = await run();
  await succeeds(async () =>
    expect(await resolvectl('query', '-4', 'two.example')).toContain(ANSWER),
  );
  expect(await second.stop()).toBe(0);
  expect(await resolvectl('status')).not.toContain('172.28.0.0');

  const some = changed(lines, 'dns 172.28.0.0 ~corp.example');
  const third = await hosts.start(lab.client(), some, 'ipipou0', env);
  await third.established();
  await succeeds(async () =>
    expect(await resolvectl('query', '-4', 'web.corp.example')).toContain(ANSWER),
  );
  expect(await resolvectl('default-route', 'ipipou0')).toMatch(/: no$/m);
  expect(await third.stop()).toBe(0);
  await asked.stop();
});
