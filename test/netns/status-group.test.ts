/*
 * What members of the status group may do without being root, and what nobody else may. The drawing is at the head of
 * src/adapters/lab/topology.ts.
 */
import { chmodSync, readFileSync, statSync } from 'node:fs';
import { createConnection, type Socket } from 'node:net';
import path from 'node:path';
import { expect, test } from 'vitest';
import { changed, DESCRIBED, IPIPOU } from '../rig/daemon.ts';
import { expectBySchema } from '../rig/json-schema.ts';
import { labScene } from '../rig/lab-scene.ts';
import { patience } from '../rig/patience.ts';
import { expectPing } from '../rig/traffic.ts';
import { innerAddresses } from '../rig/addresses.ts';

/** A group that every Debian has, and that owns nothing here. */
const GROUP = 'games';
const SERVER = changed(DESCRIBED.server, 'dataplane tun', `status-group ${GROUP}`);
const CLIENT = changed(DESCRIBED.client, 'dataplane tun');
const SECRETS = /topsecret|RuBZkT23na2Q4QH1xfmZCfRgSgPt5s362UPAFbecTso/;

const scene = labScene();

/** The command as a user who is nobody but a member of that group. */
function as(group: string, ...args: readonly string[]): readonly string[] {
  const user = ['setpriv', '--reuid=nobody', `--regid=${group}`, '--clear-groups'];
  return [...user, process.execPath, IPIPOU, ...args];
}

async function runAs(group: string, ...args: readonly string[]) {
  const { server } = scene.lab;
  // Of the folder, where configs are, only what is below it is for others.
  chmodSync(scene.hosts.folder, 0o711);
  const env = scene.hosts.env(server);
  return scene.lab.exec(server, as(group, ...args), { timeout: patience(60_000), env });
}

async function bothUp() {
  const s = await scene.start(scene.lab.server, SERVER);
  await s.ready();
  const c = await scene.start(scene.lab.client(), CLIENT);
  await Promise.all([s.established(), c.established()]);
  return { s, c };
}

function runFolder(): string {
  const inode = statSync(`/run/netns/${scene.lab.server}`).ino;
  return path.join(scene.hosts.folder, 'run', String(inode));
}

const modeOf = (file: string): string => (statSync(file).mode & 0o777).toString(8);

test('a member sees tunnels, and changes nothing', async () => {
  await bothUp();
  const show = await runAs(GROUP, 'show', '--json');
  expect(show).toMatchObject({ code: 0, stderr: '' });
  expect(expectBySchema('show', show.stdout)).toMatchObject({
    tunnels: [{ device: 'ipipou0', daemon: 'answers', peers: [{ phase: 'established' }] }],
  });
  expect(show.stdout).not.toMatch(SECRETS);
  expect(await runAs(GROUP, 'status')).toMatchObject({
    code: 0,
    stdout: 'ipipou0: works: server, established\n',
  });
  expect(await runAs(GROUP, 'show', 'ipipou0', 'endpoints')).toMatchObject({
    code: 0,
    stdout: 'default\t203.0.113.2:10000\n',
  });
  for (const change of [
    ['set', 'ipipou0', 'peer', 'default', 'remove'],
    ['reload', 'ipipou0'],
  ]) {
    expect(await runAs(GROUP, ...change)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('is for root alone: this socket only tells') as string,
    });
  }
  expect(await runAs(GROUP, 'down', 'ipipou0')).not.toMatchObject({ code: 0 });
  expect(await runAs(GROUP, 'status')).toMatchObject({ code: 0 });
});

test('a member follows events and watches', async () => {
  const { s } = await bothUp();
  chmodSync(scene.hosts.folder, 0o711);
  const { server } = scene.lab;
  const env = scene.hosts.env(server);
  const events = scene.lab.spawn(server, as(GROUP, 'events', '--debug'), { env });
  const watch = scene.lab.spawn(server, as(GROUP, 'watch'), { env });
  await watch.waitFor(/default +established +203\.0\.113\.2:10000/);
  expect(await watch.stop('SIGINT')).toMatchObject({ code: 0 });
  await expect
    .poll(
      () => {
        s.program.signal('SIGUSR1');
        return events.output();
      },
      { timeout: patience(20_000) },
    )
    .toMatch(/ipipou0: /);
  expect(await events.stop('SIGINT')).toMatchObject({ code: 0 });
});

test('nobody else sees them, and only what is for the group is open to it', async () => {
  await bothUp();
  for (const group of ['nogroup', 'users']) {
    expect(await runAs(group, 'show')).toMatchObject({
      ...{ code: 1, stdout: '' },
      stderr: expect.stringContaining('for root to know') as string,
    });
  }
  const device = path.join(runFolder(), 'ipipou0');
  const modes = ['../..', '..', '.', 'run.json', 'status.sock', 'control.sock', 'lock'].map(
    (name) => [name, modeOf(path.join(device, name))],
  );
  expect(Object.fromEntries(modes)).toEqual({
    ...{ '../..': '711', '..': '755', '.': '710' },
    ...{ 'run.json': '640', 'status.sock': '660', 'control.sock': '600', lock: '600' },
  });
});

test('without the group, or with none, tunnels are root’s alone, and the log says so', async () => {
  for (const [group, said] of [
    ['no-such-group', /warn root alone can see the tunnel: there is no such group/],
    ['none', undefined],
  ] as const) {
    const s = await scene.start(scene.lab.server, changed(SERVER, `status-group ${group}`));
    await s.ready();
    if (said) expect(s.program.output()).toMatch(said);
    else expect(s.program.output()).not.toContain('root alone');
    expect(await runAs(GROUP, 'show')).toMatchObject({ code: 1, stdout: '' });
    expect(modeOf(path.join(runFolder(), 'ipipou0'))).toBe('700');
    expect(await s.stop()).toBe(0);
  }
});

test('a thousand idle, greedy and senseless clients are no harm', async () => {
  const { s } = await bothUp();
  const { pid } = await s.ready();
  const memory = (): number => {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    return Number(/^VmRSS:\s*(\d+) kB$/m.exec(status)?.[1]) * 1024;
  };
  const before = memory();
  const sockets = ['status.sock', 'control.sock'].map((name) =>
    path.join(runFolder(), 'ipipou0', name),
  );
  const clients: Socket[] = [];
  const connect = (file: string, words?: string | Buffer): Socket => {
    const client = createConnection(file).on('error', () => undefined);
    if (words !== undefined) client.write(words);
    clients.push(client);
    return client;
  };
  const ask = () => scene.hosts.run(scene.lab.server, ['status']);
  try {
    for (const file of sockets) {
      for (let count = 0; count < 1000; count += 1) {
        connect(file);
        if (count % 100 === 99) await new Promise((resolve) => setTimeout(resolve, 20));
      }
      expect(await ask()).toMatchObject({ code: 0 });
      connect(file, Buffer.alloc(10 * 1024 * 1024, 120));
      connect(file, `{"request":"sync","text":"${'x'.repeat(10 * 1024 * 1024)}`);
      for (let count = 0; count < 50; count += 1) {
        connect(file, '{"request":"sta');
        connect(file, Buffer.from([0, 255, 10, 123, 10]));
      }
      for (let count = 0; count < 20; count += 1) connect(file, '{"request":"events"}\n').pause();
      const writer = connect(file, '{"request":"events"}\n');
      for (let count = 0; count < 100; count += 1) writer.write(Buffer.alloc(65_536, 10));
      expect(await ask()).toMatchObject({ code: 0 });
    }
    expect((await runAs(GROUP, 'status')).code).toBe(0);
    await expectPing(scene.lab, scene.lab.client(), innerAddresses(0).server);
    expect(memory() - before).toBeLessThan(96 * 1024 * 1024);
  } finally {
    for (const client of clients) client.destroy();
  }
});
