/*
 * What a tunnel tells of itself while it runs, and does on its own at turns of its life: `status`, `up --wait`,
 * `events` and hooks, from outside. The drawing is at the head of src/adapters/lab/topology.ts.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { inside } from '../../src/adapters/lab/namespaces.ts';
import { runChecked } from '../../src/adapters/lab/process.ts';
import { innerAddresses } from '../rig/addresses.ts';
import { changed, DESCRIBED, IPIPOU } from '../rig/daemon.ts';
import { expectBySchema } from '../rig/json-schema.ts';
import { labScene } from '../rig/lab-scene.ts';
import { succeeds } from '../rig/patience.ts';
import { expectPing } from '../rig/traffic.ts';

const SERVER = changed(DESCRIBED.server, 'dataplane tun');
const CLIENT = changed(DESCRIBED.client, 'dataplane tun');
const SECRETS = /topsecret|RuBZkT23na2Q4QH1xfmZCfRgSgPt5s362UPAFbecTso/;

const scene = labScene();

test('status tells by its exit code whether a tunnel works', async () => {
  const status = (namespace: string, ...args: readonly string[]) =>
    scene.hosts.run(namespace, ['status', ...args]);
  expect(await status(scene.lab.server)).toMatchObject({ code: 1, stdout: '' });
  const s = await scene.start(scene.lab.server, SERVER);
  await s.ready();
  expect(await status(scene.lab.server)).toMatchObject({
    code: 0,
    stdout: 'ipipou0: works: server, listening\n',
  });
  expect(await status(scene.lab.server, 'ipipou0', '--every-peer')).toMatchObject({
    code: 3,
    stdout: 'ipipou0: does not work: server, listening\n',
  });
  const c = await scene.start(scene.lab.client(), CLIENT);
  await Promise.all([s.established(), c.established()]);
  expect(await status(scene.lab.server, '--every-peer')).toMatchObject({ code: 0 });
  expect(await status(scene.lab.client())).toMatchObject({
    code: 0,
    stdout: 'ipipou0: works: client, established\n',
  });
  await c.kill();
  expect(await status(scene.lab.client())).toMatchObject({
    code: 1,
    stdout: expect.stringMatching(/does not work: its daemon .* is dead/) as string,
  });
});

test('status and show say that the device of fou-dev is missing, until it is back', async () => {
  const { server } = scene.lab;
  const ip = (...argv: readonly string[]) => runChecked(inside(server, ['ip', 'link', ...argv]));
  await ip('add', 'w0', 'type', 'veth', 'peer', 'name', 'w1');
  const s = await scene.start(server, changed(SERVER, 'fou-dev w0'));
  await s.ready();
  const words = expect.stringContaining('there is no device w0, which fou-dev names') as unknown;
  await ip('del', 'w0');
  await succeeds(async () => {
    expect(await scene.hosts.run(server, ['status'])).toMatchObject({ code: 4, stdout: words });
  });
  expect(await scene.hosts.run(server, ['show'])).toMatchObject({ stdout: words });
  await ip('add', 'w0', 'type', 'veth', 'peer', 'name', 'w1');
  await succeeds(async () => {
    expect(await scene.hosts.run(server, ['status'])).toMatchObject({ code: 0 });
  });
  await ip('del', 'w0');
});

test('up --wait returns when the other side has proved itself, or says what is wrong', async () => {
  const file = await scene.hosts.writeConfig(scene.lab.client(), 'waits', CLIENT);
  expect(await scene.hosts.run(scene.lab.client(), ['up', file, '--wait', '0'])).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('--wait takes 1 to 3600 seconds') as string,
  });
  expect(await scene.hosts.run(scene.lab.client(), ['up', file, '--wait'])).toMatchObject({
    code: 2,
  });
  const alone = await scene.hosts.run(scene.lab.client(), ['up', file, '--wait', '1']);
  expect(alone).toMatchObject({ code: 3 });
  expect(alone.stderr).toMatch(
    /ipipou0 is up, but not all peers are there after 1 s: client, auth/,
  );
  expect(await scene.hosts.run(scene.lab.client(), ['down', file])).toMatchObject({ code: 0 });
  const s = await scene.start(scene.lab.server, SERVER);
  await s.ready();
  const both = await scene.hosts.run(scene.lab.client(), ['up', file, '--wait', '60']);
  expect(both).toMatchObject({ code: 0, stderr: '' });
  expect(both.stdout).toMatch(/^ipipou0: client, established$/m);
  expect(await scene.hosts.run(scene.lab.client(), ['down', file])).toMatchObject({ code: 0 });
});

test('events tells what happens, in words and as JSON, until it is interrupted', async () => {
  const s = await scene.start(scene.lab.server, SERVER);
  await s.ready();
  const env = scene.hosts.env(scene.lab.server);
  const words = scene.lab.spawn(scene.lab.server, [process.execPath, IPIPOU, 'events'], { env });
  const json = scene.lab.spawn(
    scene.lab.server,
    [process.execPath, IPIPOU, 'events', 'ipipou0', '--json'],
    {
      env,
    },
  );
  // Whoever follows is there once something is told to him: a server has nobody to go to.
  const told = (program: typeof words) => program.output() !== '';
  await succeeds(() => {
    s.program.signal('SIGUSR1');
    if (!told(words) || !told(json)) throw new Error('nobody follows yet');
  });
  await scene.start(scene.lab.client(), CLIENT);
  await s.established();
  await words.waitFor(/^[0-9:]{8} ipipou0: established remote=203\.0\.113\.2:10000$/m);
  await json.waitFor(/"kind":"established"/);
  const [, line = ''] = /^(.*"kind":"established".*)$/m.exec(json.output()) ?? [];
  expect(expectBySchema('events', line)).toMatchObject({
    ...{ version: 1, device: 'ipipou0', peer: null, level: 'info' },
    text: 'established remote=203.0.113.2:10000',
    values: { remote: { ip: '203.0.113.2', port: 10000 } },
  });
  expect(`${words.output()}${json.output()}`).not.toMatch(SECRETS);
  expect(await words.stop('SIGINT')).toMatchObject({ code: 0 });
  expect(await s.stop()).toBe(0);
  expect(await json.finished).toMatchObject({ code: 1 });
  expect(json.output()).toMatch(/ipipou0: its daemon has ended/);
});

test('hooks run at the start and the end of the tunnel and as its peer comes, and pre-up can forbid it', async () => {
  const file = path.join(scene.hosts.folder, 'hooks');
  const names = ['pre-up', 'post-up', 'peer-up', 'pre-down', 'post-down'];
  const there = '$(ip -o link show %i 2>&1 | grep -c UNKNOWN)';
  const lines = names.map(
    (name) => `${name} echo $IPIPOU_HOOK %i ${there} $IPIPOU_PEER $IPIPOU_ENDPOINT >> ${file}`,
  );
  const s = await scene.start(scene.lab.server, [...SERVER, ...lines]);
  await s.ready();
  const c = await scene.start(scene.lab.client(), CLIENT);
  await Promise.all([s.established(), c.established()]);
  expect(await s.stop()).toBe(0);
  expect(readFileSync(file, 'utf8').trim().split('\n')).toEqual([
    'pre-up ipipou0 0',
    'post-up ipipou0 1',
    'peer-up ipipou0 1 default 203.0.113.2:10000',
    'pre-down ipipou0 1',
    'post-down ipipou0 0',
  ]);
  const forbidden = await scene.start(scene.lab.server, [
    ...SERVER,
    'pre-up echo not today; exit 3',
  ]);
  expect(await forbidden.program.finished).toMatchObject({ code: 1 });
  expect(forbidden.program.output()).toContain('pre-up: exit code 3: not today');
  expect(await scene.hosts.run(scene.lab.server, ['show'])).toMatchObject({ code: 0, stdout: '' });
});

test('show tells single fields, a line a peer', async () => {
  const s = await scene.start(scene.lab.server, SERVER);
  await s.ready();
  const c = await scene.start(scene.lab.client(), CLIENT);
  await Promise.all([s.established(), c.established()]);
  const field = (...args: readonly string[]) =>
    scene.hosts.run(scene.lab.server, ['show', 'ipipou0', ...args]);
  expect(await field('peers')).toMatchObject({ code: 0, stdout: 'default\n' });
  expect(await field('endpoints')).toMatchObject({ stdout: 'default\t203.0.113.2:10000\n' });
  expect((await field('last-heard')).stdout).toMatch(/^default\t1[0-9]{9}\n$/);
  expect((await field('transfer')).stdout).toMatch(/^default\t[0-9]+\t[0-9]+\n$/);
  expect(await field('colour')).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('no field "colour"') as string,
  });
});

test('how much is logged changes while it runs', async () => {
  const { server } = scene.lab;
  const s = await scene.start(server, changed(SERVER, 'verb 1'));
  await s.ready();
  const run = (...args: readonly string[]) => scene.hosts.run(server, args);
  const before = s.program.output();
  expect(await run('set', 'ipipou0', 'verb', '3')).toMatchObject({
    ...{ code: 0, stderr: '', stdout: 'ipipou0: logs up to level debug\n' },
  });
  await s.program.waitFor(/info log level changed level=debug before=warn/);
  const c = await scene.start(scene.lab.client(), CLIENT);
  await Promise.all([s.established(), c.established()]);
  await s.program.waitFor(/info established/);
  expect(before).not.toContain('info ');
  expect(await run('reload', 'ipipou0')).toMatchObject({ code: 0 });
  await s.program.waitFor(/info log level changed level=warn before=debug/);
  expect(await run('set', 'ipipou0', 'verb', '4')).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('verb takes a number from 0 to 3') as string,
  });
});

test('watch shows a line a peer with what passes, until it is interrupted', async () => {
  const s = await scene.start(scene.lab.server, SERVER);
  await s.ready();
  const c = await scene.start(scene.lab.client(), CLIENT);
  await Promise.all([s.established(), c.established()]);
  const { server } = scene.lab;
  const watch = scene.lab.spawn(server, [process.execPath, IPIPOU, 'watch'], {
    env: scene.hosts.env(server),
  });
  await expectPing(scene.lab, scene.lab.client(), innerAddresses(0).server);
  await watch.waitFor(/ipipou0 .*: server, tun, 1 of 1 established/);
  await watch.waitFor(/default +established +203\.0\.113\.2:10000 .* B\/s +[0-9.]+ K?i?B\/s +1472/);
  expect(await watch.stop('SIGINT')).toMatchObject({ code: 0 });
});

test('logs finds the log of a tunnel, follows it, and finds it when the tunnel is down', async () => {
  const { server } = scene.lab;
  const file = await scene.hosts.writeConfig(server, 'logged', SERVER);
  const run = (...args: readonly string[]) => scene.hosts.run(server, args);
  expect(await run('up', file)).toMatchObject({ code: 0 });
  expect((await run('logs', 'ipipou0', '-n', '1')).stdout.trim().split('\n')).toHaveLength(1);
  const follow = scene.lab.spawn(server, [process.execPath, IPIPOU, 'logs', file, '-f'], {
    env: scene.hosts.env(server),
  });
  await follow.waitFor(/ ready /);
  expect(await run('down', file)).toMatchObject({ code: 0 });
  await follow.waitFor(/taking the tunnel down/);
  expect(await follow.stop('SIGINT')).toMatchObject({ code: 0 });
  for (const word of ['ipipou0', file]) {
    const { code, stdout } = await run('logs', word);
    expect([word, code]).toEqual([word, 0]);
    expect(stdout).toContain('taking the tunnel down');
  }
  expect(await run('logs', 'ipipou9')).toMatchObject({ code: 1 });
  const s = await scene.start(server, SERVER);
  await s.ready();
  expect(await run('logs', 'ipipou0')).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('runs in the foreground') as string,
  });
});
