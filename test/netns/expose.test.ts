import process from 'node:process';
import { expect, test } from 'vitest';
import { port } from '../../src/core/units.ts';
import { ip } from '../rig/addresses.ts';
import { changed, DESCRIBED } from '../rig/daemon.ts';
import { describeExposed } from '../rig/expose-cases.ts';
import { floodToConntrack } from '../rig/expose-flood-cases.ts';
import { nobody, SERVER, themselves, VISITORS, visitorScene } from '../rig/visitor-scene.ts';

const scene = visitorScene();

describeExposed('tun', scene);
describeExposed('bpf', scene);

/** A running pair, whose server's peer `home` exposes nothing yet. */
const pair = () =>
  scene.both(
    changed(
      DESCRIBED.server,
      ...['dataplane tun', '-auth-remote-pubkey-b64'],
      'peer home',
      `auth-remote-pubkey-b64 ${DESCRIBED.server[5].split(' ')[1]}`,
      'tunl-peer-ip 172.28.0.1',
    ),
    changed(DESCRIBED.client, 'dataplane tun', 'keepalive 1', 'return-path tunnel'),
  );
const set = (...words: readonly string[]) =>
  scene.base.hosts.run(scene.base.lab.server, ['set', 'ipipou0', 'peer', 'home', ...words]);
const shown = async (): Promise<string> =>
  (await scene.base.hosts.run(scene.base.lab.server, ['show', 'ipipou0', 'peer', 'home'])).stdout;
const two = ['198.51.100.10', '198.51.100.11'] as const;

test('a running server exposes more, and less, and says what that hides', async () => {
  const { lab } = scene.base;
  const daemons = await pair();
  expect(await scene.visit('tcp/443', { seconds: 2 })).toEqual(nobody(two));

  const own = await scene.serve(lab.server, '443');
  expect(await scene.visit('tcp/443')).toEqual(themselves(two));
  expect(await set('expose', 'tcp/443')).toMatchObject({ code: 0 });
  expect(daemons.server.program.output()).toMatch(/no longer reach what listens there.*listener=/);
  expect(await scene.visit('tcp/443')).toEqual(themselves(two));
  expect(scene.services[0]?.stdout).toContain(`from ${two[0]}`);
  expect(await shown()).toMatch(/exposed +tcp\/443: 2 connections.*not reached$/m);
  await own.stop();

  const other = await scene.base.start(
    lab.server,
    ['server', 'number 1', 'dataplane tun', 'fou-dev eth0', 'auth-token t', 'expose tcp/400-500'],
    'ipipou1',
  );
  await other.ready();
  expect(other.program.output()).toMatch(/another tunnel exposes the same.*device=ipipou0/);
  expect(await other.stop()).toBe(0);
  expect(await scene.visit('tcp/443')).toEqual(themselves(two));

  // Only from where it is said; and what is named otherwise stays.
  expect(await set('expose-from', `${two[1]}, 2001:db8:51::/64`)).toMatchObject({ code: 0 });
  expect(await scene.visit('tcp/443', { seconds: 2 })).toEqual({
    [two[0]]: 'no answer',
    [two[1]]: two[1],
  });

  for (const refused of [
    `tcp/443, tcp/400-500`,
    'udp/10000',
    'tcp/443:10.9.9.9:443',
    '[2001:db8::1]:tcp/443',
    'tcp/0',
  ]) {
    expect(await set('expose', refused), refused).toMatchObject({ code: 2 });
  }
  expect(await scene.visit('tcp/443', { from: [two[1]] })).toEqual(themselves([two[1]]));

  // One more, and one less; the rest stays.
  const change = (...words: readonly string[]) => scene.base.hosts.run(lab.server, words);
  const more = ['expose', 'ipipou0', 'home', 'udp/27015', 'from', '198.51.100.0/24'];
  expect(await change(...more)).toMatchObject({ code: 0 });
  expect(await scene.visit('udp/27015')).toEqual(themselves(two));
  expect(await change('unexpose', 'ipipou0', 'home', 'tcp/443')).toMatchObject({ code: 0 });
  expect(await scene.visit('tcp/443', { seconds: 2 })).toEqual(nobody(two));
  expect(await scene.visit('udp/27015')).toEqual(themselves(two));
  const again = await change('unexpose', 'ipipou0', 'home', 'tcp/443');
  expect(again).toMatchObject({ code: 2 });
  expect(again.stderr).toContain('services that the peer exposes: udp/27015');

  expect(await set('expose', '')).toMatchObject({ code: 0 });
  expect(await scene.sure(lab.server, ['nft', 'list', 'tables'])).not.toContain('expose');
  expect((await scene.sure(lab.server, ['sysctl', '-n', 'net.ipv4.ip_forward'])).trim()).toBe('0');
});

test('a service takes as many connections as it has room for, and no more', async () => {
  const { lab } = scene.base;
  await pair();
  expect(await set('expose', 'tcp/443 rate 1, udp/27015')).toMatchObject({ code: 0 });
  const seen = Object.values(await scene.visit('tcp/443', { from: VISITORS, seconds: 2 }));
  expect(seen.filter((words) => words !== 'no answer').length).toBeGreaterThan(0);
  expect(seen).toContain('no answer');
  expect(await scene.visit('udp/27015', { from: VISITORS })).toEqual(themselves(VISITORS));
  expect(await shown()).toMatch(/exposed +tcp\/443: \d+ connections?, \d+ refused, /);
  expect(await shown()).toMatch(/exposed +udp\/27015: 50 connections, \d/);

  // Those that are open count, whoever has them; here the server itself.
  expect(await set('expose', 'tcp/443 rate none connections 2')).toMatchObject({ code: 0 });
  const open = `const { connect } = require('node:net');
    const all = [1, 2].map(() => connect(443, '203.0.113.1', () => ready()));
    let count = 0; const ready = () => { if (++count === 2) console.log('both'); };`;
  const holder = lab.spawn(lab.server, [process.execPath, '-e', open]);
  await holder.waitFor(/both/);
  expect(await scene.visit('tcp/443', { seconds: 2 })).toEqual(nobody(two));
  await holder.stop();
  expect(await scene.visit('tcp/443')).toEqual(themselves(two));
});

test('what is too much of what begins ends before conntrack, and other services have theirs', async () => {
  await pair();
  expect(await set('expose', 'tcp/443 rate 10, udp/27015')).toMatchObject({ code: 0 });
  const seen = await floodToConntrack(scene, {
    ...{ packets: 'syns', rate: 0, count: 30_000, sources: 4000 },
    to: { ip: ip(SERVER), port: port(443) },
  });
  expect(seen).toBeGreaterThan(0);
  expect(seen).toBeLessThan(1000);
  const [, refused] =
    /exposed +tcp\/443: \d+ connections?, (\d+) refused, /.exec(await shown()) ?? [];
  expect(Number(refused)).toBeGreaterThan(29_000);
  expect(await scene.visit('udp/27015', { from: VISITORS })).toEqual(themselves(VISITORS));
});

test('all ports but those that are in use', async () => {
  const { lab } = scene.base;
  const daemons = await pair();
  const own = await scene.serve(lab.server, '8080');
  const inContainer = (): string => scene.services[1]?.stdout ?? '';
  const before = inContainer();
  const refused = ['all, all', 'all:80', 'all:10.9.9.9', '[2001:db8::7]:all'];
  for (const text of refused) expect(await set('expose', text), text).toMatchObject({ code: 2 });
  expect(await set('expose', `all, tcp/443 from ${two[0]}`)).toMatchObject({ code: 0 });

  expect(await scene.visit('udp/27015')).toEqual(themselves(two));
  expect(await scene.visit('tcp/443', { seconds: 2 })).toEqual({
    [two[0]]: two[0],
    [two[1]]: 'no answer',
  });
  expect(await scene.visit('tcp/8080')).toEqual(themselves(two));
  expect(own.stdout).toContain(`from ${two[0]}`);
  expect(inContainer()).toBe(before);
  expect(daemons.server.program.output()).toMatch(/stay its own.*tcp\/8080 udp\/10000/);
  expect(await shown()).toMatch(/exposed +all: 2 connections, .*; without tcp\/8080, udp\/10000$/m);

  // What begins to listen is reached, and what ends is not in the way.
  await own.stop();
  expect(await scene.visit('tcp/8080')).toEqual(themselves(two));
  expect(inContainer().slice(before.length)).toContain(`from ${two[0]}`);
  const other = await scene.serve(lab.server, '8080');
  expect(await scene.visit('tcp/8080')).toEqual(themselves(two));
  expect(other.stdout).toContain(`from ${two[1]}`);

  const mine = await set('public-ip', '198.51.100.1');
  expect(mine.code).not.toBe(0);
  expect(mine.stderr).toContain('is an address of this host');

  // One address of the server's, and no other.
  expect(await set('expose', '198.51.100.1:all')).toMatchObject({ code: 0 });
  expect(await scene.visit('tcp/443', { to: '198.51.100.1' })).toEqual(themselves(two));
  expect(await scene.visit('tcp/443', { seconds: 2 })).toEqual(nobody(two));
});
