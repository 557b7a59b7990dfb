import {
  chmodSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { up, type Topology } from '../../src/adapters/lab/topology.ts';
import type { AnsweringTunnel, Tunnel } from '../../src/app/management/survey.ts';
import { DESCRIBED, Hosts, IPIPOU, changed, type Daemon } from '../rig/daemon.ts';
import { PROJECT } from '../vm/rig/project.ts';
import { innerAddresses } from '../rig/addresses.ts';
import { addressesSettled, expectNoPing, expectPing, whatIsThere } from '../rig/traffic.ts';
import { succeeds } from '../rig/patience.ts';

/*
 * The command from outside: configs of the description on `dataplane tun`, a server and a client
 * behind the NAT router. The drawing is at the head of src/adapters/lab/topology.ts.
 */
const INNER = innerAddresses(0);
const SERVER = changed(DESCRIBED.server, 'dataplane tun');
const CLIENT = changed(DESCRIBED.client, 'dataplane tun');
const SECRETS = /topsecret|RuBZkT23na2Q4QH1xfmZCfRgSgPt5s362UPAFbecTso/;

let lab: Topology;
let hosts: Hosts;
const daemons: Daemon[] = [];

beforeAll(async () => {
  lab = await up();
  hosts = await Hosts.in(lab);
  await Promise.all([lab.server, lab.client()].map((name) => addressesSettled(lab, name)));
});

afterEach(async () => {
  await Promise.all(daemons.splice(0).map((daemon) => daemon[Symbol.asyncDispose]()));
});

afterAll(async () => {
  await hosts[Symbol.asyncDispose]();
  await lab.down();
});

async function start(
  namespace: string,
  lines: readonly string[],
  device?: string,
): Promise<Daemon> {
  const daemon = await hosts.start(namespace, lines, device);
  daemons.push(daemon);
  return daemon;
}

async function startBoth(client: readonly string[] = CLIENT): Promise<{ s: Daemon; c: Daemon }> {
  const s = await start(lab.server, SERVER);
  await s.ready();
  const c = await start(lab.client(), client);
  await Promise.all([s.established(), c.established()]);
  return { s, c };
}

async function show(namespace: string, code = 0): Promise<readonly Tunnel[]> {
  const done = await hosts.run(namespace, ['show', '--json']);
  expect(done).toMatchObject({ code, stderr: '' });
  return (JSON.parse(done.stdout) as { readonly tunnels: readonly Tunnel[] }).tunnels;
}

function living(tunnels: readonly Tunnel[]): AnsweringTunnel {
  const [one] = tunnels;
  if (one?.daemon !== 'answers')
    throw new Error(`not one living tunnel: ${JSON.stringify(tunnels)}`);
  return one;
}

test('the configs of the description meet, and show says so on both sides', async () => {
  const { s } = await startBoth();
  await expectPing(lab, lab.client(), INNER.server);
  await expectPing(lab, lab.server, INNER.client);
  const server = living(await show(lab.server));
  expect(server).toMatchObject({
    role: 'server',
    phase: 'established',
    plane: 'tun',
    planeReason: 'asked for by the config',
    device: 'ipipou0',
    mtu: 1472,
    pid: s.program.pid,
    path: { local: { ip: '203.0.113.1', port: 10000 }, remote: { ip: '203.0.113.2' } },
    troubles: [],
  });
  const client = living(await show(lab.client()));
  expect(client).toMatchObject({
    role: 'client',
    phase: 'established',
    remote: '203.0.113.1:10000',
    path: { local: { ip: lab.clientAddress(), port: 10000 } },
    keepalive: 27_000,
  });
  expect(client.repliesVerified).toBeGreaterThan(0);
  expect(client.traffic?.txPackets).toBeGreaterThan(0);
  const { stdout } = await hosts.run(lab.server, ['show', 'ipipou0']);
  expect(stdout).toMatch(/^ipipou0 \(.*\): server, established$/m);
  expect(stdout).toMatch(/remote +203\.0\.113\.2:10000/);
  const doctor = await hosts.run(lab.server, ['doctor', '--json']);
  expect(doctor.code).toBe(0);
  expect(JSON.parse(doctor.stdout)).toMatchObject({
    planes: expect.arrayContaining([expect.objectContaining({ name: 'tun', works: true })]),
  });
});

test('no secret is in arguments, logs, status or the run directory', async () => {
  const { s, c } = await startBoth();
  const shown = await hosts.run(lab.client(), ['show', '--json']);
  const cmdline = readFileSync(`/proc/${c.program.pid}/cmdline`, 'utf8');
  const records = readdirSync(path.join(hosts.folder, 'run'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('run.json'))
    .map((name) => readFileSync(path.join(hosts.folder, 'run', name), 'utf8'));
  expect(records).toHaveLength(2);
  const seen = [s.program.output(), c.program.output(), shown.stdout, cmdline, ...records].join(
    '\n',
  );
  expect(seen).not.toMatch(SECRETS);
  expect(seen).toContain('ipipou0');
});

test('reload, SIGHUP and SIGUSR1 authenticate again; other signals do nothing', async () => {
  const { s, c } = await startBoth(changed(CLIENT, 'keepalive 0', 'mtu 1472'));
  const sent = (count: number) => c.until(`${count} sent`, (now) => now.authPacketsSent === count);
  await sent(1);
  const done = await hosts.run(lab.client(), ['reload', 'ipipou0']);
  expect(done).toMatchObject({ code: 0, stdout: 'ipipou0 authenticates again\n' });
  await sent(2);
  for (const [index, name] of (['SIGHUP', 'SIGUSR1'] as const).entries()) {
    c.program.signal(name);
    await sent(3 + index);
  }
  for (const name of ['SIGUSR2', 'SIGWINCH', 'SIGALRM', 'SIGVTALRM', 'SIGIO'] as const) {
    c.program.signal(name);
  }
  s.program.signal('SIGUSR1');
  await s.program.waitFor(/not authenticating again/);
  await sent(4);
  expect(await hosts.run(lab.server, ['reload', 'ipipou0'])).toMatchObject({
    code: 0,
    stdout: 'ipipou0: peers: 0 added, 0 changed, 0 removed, 1 as before\n',
  });
  expect([s.program.running, c.program.running]).toEqual([true, true]);
  expect(c.program.output()).not.toContain('Debugger');
});

test('reauth-only asks the daemon, or sends by itself where there is none', async () => {
  const { s, c } = await startBoth(changed(CLIENT, 'keepalive 0', 'mtu 1472'));
  const file = await hosts.writeConfig(lab.client(), 'again', CLIENT);
  expect(await hosts.run(lab.client(), ['--config', file, '--reauth-only'])).toMatchObject({
    code: 0,
  });
  await c.until('two sent', (now) => now.authPacketsSent === 2);
  expect(await c.stop()).toBe(0);
  const before = (await s.established()).authenticatedAt ?? 0;
  expect(await hosts.run(lab.client(), ['--config', file, '--reauth-only'])).toMatchObject({
    code: 0,
  });
  await s.until('authenticated again', (now) => (now.authenticatedAt ?? 0) > before);
});

test('a second daemon of the device is refused and names the first', async () => {
  const s = await start(lab.server, SERVER);
  await s.ready();
  const file = await hosts.writeConfig(lab.server, 'second', SERVER);
  const second = await hosts.run(lab.server, ['--config', file]);
  expect(second.code).toBe(1);
  expect(second.stderr).toContain(`ipipou0 is already run by process ${s.program.pid}`);
  const third = await hosts.run(lab.server, ['up', file]);
  expect(third).toMatchObject({ code: 1 });
  expect(third.stderr).toContain(`process ${s.program.pid}`);
  expect(await s.status()).toBeDefined();
});

test.each(['SIGTERM', 'SIGINT'] as const)('%s leaves nothing behind', async (signal) => {
  const before = await Promise.all(
    [lab.server, lab.client()].map((name) => whatIsThere(lab, name)),
  );
  const { s, c } = await startBoth();
  const ends = await Promise.all([s.program.stop(signal), c.program.stop(signal)]);
  expect(ends.map(({ code }) => code)).toEqual([0, 0]);
  const after = await Promise.all([lab.server, lab.client()].map((name) => whatIsThere(lab, name)));
  expect(after).toEqual(before);
  expect(readdirSync(path.join(hosts.folder, 'run'))).toEqual([]);
});

test('after kill -9 show tells, and the next run admits the client from memory', async () => {
  const { s } = await startBoth(changed(CLIENT, 'keepalive 0', 'dead-peer-timeout 0', 'mtu 1472'));
  await expectPing(lab, lab.client(), INNER.server);
  const { authenticatedAt: proved } = await s.established();
  await s.kill();
  const [dead] = await show(lab.server, 1);
  expect(dead).toMatchObject({
    daemon: 'dead',
    device: 'ipipou0',
    pid: s.program.pid,
    forwarding: false,
  });
  const text = await hosts.run(lab.server, ['show']);
  expect(text.stdout).toMatch(/daemon dead/);
  expect(text.stdout).toMatch(/nothing is forwarded/);
  await expectNoPing(lab, lab.client(), INNER.server);
  const again = await start(lab.server, SERVER);
  const { authenticatedAt } = await again.established();
  await expectPing(lab, lab.client(), INNER.server);
  expect(authenticatedAt).toBe(proved);
});

test('a run directory that somebody deletes is made anew: show and down find the tunnel', async () => {
  const { s } = await startBoth();
  rmSync(path.join(hosts.folder, 'run'), { recursive: true });
  expect(await s.status()).toBeUndefined();
  await s.established();
  expect(s.program.output()).toMatch(/run directory was deleted and has been made anew/);
  expect(await show(lab.server)).toMatchObject([{ device: 'ipipou0', phase: 'established' }]);
  expect(await hosts.run(lab.server, ['down', 'ipipou0'])).toMatchObject({ code: 0 });
  await s.program.finished;
  expect(existsSync(s.control)).toBe(false);
});

test('a damaged memory is set aside, told, and does not keep the tunnel from starting', async () => {
  const { s } = await startBoth();
  await s.stop();
  const folder = hosts.env(lab.server)['IPIPOU_STATE_DIR'] ?? '';
  const name = readdirSync(folder).find((file) => file.endsWith('.journal')) ?? '';
  writeFileSync(path.join(folder, name), '{"version":2,"replay":"gone"}\n');
  const again = await start(lab.server, SERVER);
  await again.ready();
  expect(again.program.output()).toMatch(/session memory is damaged/);
  expect(existsSync(path.join(folder, `${name}.damaged`))).toBe(true);
});

test('up returns when it is ready, down when all is gone; both by name of file or device', async () => {
  const before = await whatIsThere(lab, lab.server);
  const file = await hosts.writeConfig(lab.server, 'back', SERVER);
  const started = await hosts.run(lab.server, ['up', file]);
  expect(started).toMatchObject({ code: 0, stderr: '' });
  const [, log = ''] =
    /^ipipou0 is up: process [0-9]+, data plane tun, log (\S+)$/m.exec(started.stdout) ?? [];
  expect(living(await show(lab.server)).log).toBe(log);
  expect(statSync(log).mode & 0o777).toBe(0o600);
  expect(await hosts.run(lab.server, ['down', file])).toMatchObject({ code: 0 });
  expect(await whatIsThere(lab, lab.server)).toBe(before);
  expect(readdirSync(path.join(hosts.folder, 'run'))).toEqual([]);
  expect(readFileSync(log, 'utf8')).toMatch(/ready[^]*taking the tunnel down/);
  const none = await hosts.run(lab.server, ['down', 'ipipou0']);
  expect(none).toMatchObject({ code: 1 });
  expect(none.stderr).toMatch(/no tunnel "ipipou0" in this namespace/);
});

test('down cleans up after a daemon that was killed', async () => {
  const before = await whatIsThere(lab, lab.server);
  const file = await hosts.writeConfig(lab.server, 'killed', SERVER);
  await hosts.run(lab.server, ['up', file]);
  const { pid } = living(await show(lab.server));
  process.kill(pid, 'SIGKILL');
  await succeeds(async () =>
    expect((await show(lab.server, 1))[0]).toMatchObject({ daemon: 'dead' }),
  );
  expect(await hosts.run(lab.server, ['down', 'ipipou0'])).toMatchObject({ code: 0 });
  expect(await whatIsThere(lab, lab.server)).toBe(before);
  expect(readdirSync(path.join(hosts.folder, 'run'))).toEqual([]);
});

test('up passes on why the daemon cannot start, with its exit code', async () => {
  const lines = changed(SERVER, 'fou-local-ip 198.51.100.7', '-fou-dev');
  const file = await hosts.writeConfig(lab.server, 'foreign', lines);
  const done = await hosts.run(lab.server, ['up', file]);
  expect(done.stderr).toMatch(/198\.51\.100\.7.*EADDRNOTAVAIL/);
  expect(done.code).toBe(51);
  expect(await show(lab.server)).toEqual([]);
});

test('a daemon that is stopped does not keep show, reload, set and down from telling what there is', async () => {
  const { s } = await startBoth();
  const inode = statSync(`/run/netns/${lab.server}`).ino;
  const second = await start(
    lab.server,
    changed(SERVER, 'number 1', 'fou-local-port 10001', '-tunl-ip'),
    'ipipou1',
  );
  await second.ready();
  s.program.signal('SIGSTOP');
  const began = Date.now();
  const text = await hosts.run(lab.server, ['show']);
  expect(text.code).toBe(1);
  expect(text.stdout).toMatch(/^ipipou0 \(.*\): server, daemon stopped$/m);
  expect(text.stdout).toContain(`process ${s.program.pid}) is stopped (state T)`);
  expect(text.stdout).toMatch(/^ipipou1 \(.*\): server, listening$/m);
  expect(await show(lab.server, 1)).toMatchObject([
    { device: 'ipipou0', daemon: 'stopped', processState: 'T', phase: null, forwarding: false },
    { device: 'ipipou1', daemon: 'answers', processState: null, why: null },
  ]);
  for (const args of [
    ['reload', 'ipipou0'],
    ['set', 'ipipou0', 'peer', 'a', 'remove'],
  ]) {
    const done = await hosts.run(lab.server, args);
    expect(done.code, args[0]).toBe(1);
    expect(done.stderr, args[0]).toContain(`hint: kill -CONT ${s.program.pid} lets it go on`);
  }
  expect(Date.now() - began).toBeLessThan(30_000);
  expect(await hosts.run(lab.server, ['down', 'ipipou0'])).toMatchObject({ code: 0 });
  expect(existsSync(path.join(hosts.folder, 'run', String(inode), 'ipipou0'))).toBe(false);
});

test('up prints what the daemon warns of, once, and says where the log is', async () => {
  const lines = changed(SERVER, 'auth-secret netprickle.com');
  const file = await hosts.writeConfig(lab.server, 'warned', lines);
  chmodSync(file, 0o644);
  const started = await hosts.run(lab.server, ['up', file]);
  expect(started.code).toBe(0);
  const warnings = started.stderr.trimEnd().split('\n');
  expect(warnings.filter((line) => /^warning: .*others may read it/.test(line))).toHaveLength(1);
  expect(new Set(warnings).size).toBe(warnings.length);
  expect(await hosts.run(lab.server, ['down', file])).toMatchObject({ code: 0 });
});

test('the capabilities of the unit are enough, also for a port below 1024', async () => {
  const unit = readFileSync(path.join(PROJECT, 'systemd/ipipou@.service'), 'utf8');
  const [, names = ''] = /^CapabilityBoundingSet=(.*)$/m.exec(unit) ?? [];
  const kept = names.split(' ').map((name) => name.toLowerCase().replace('cap_', '+'));
  const file = await hosts.writeConfig(lab.server, 'low', changed(SERVER, 'fou-local-port 443'));
  const bounded = ['setpriv', `--bounding-set=-all,${kept.join(',')}`];
  const program = lab.spawn(lab.server, [...bounded, process.execPath, IPIPOU, '--config', file], {
    env: hosts.env(lab.server),
  });
  await program.waitFor(/info ready/);
  expect(living(await show(lab.server)).localPort).toBe(443);
  expect(await program.stop()).toMatchObject({ code: 0 });
});
