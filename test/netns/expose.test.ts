import { expect, test } from 'vitest';
import { changed, DESCRIBED } from '../rig/daemon.ts';
import { describeExposed } from '../rig/expose-cases.ts';
import { nobody, themselves, visitorScene } from '../rig/visitor-scene.ts';

const scene = visitorScene();

describeExposed('tun', scene);
describeExposed('bpf', scene);

test('a running server exposes more, and less, and says what that hides', async () => {
  const { lab, hosts } = scene.base;
  const daemons = await scene.both(
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
    hosts.run(lab.server, ['set', 'ipipou0', 'peer', 'home', ...words]);
  const two = ['198.51.100.10', '198.51.100.11'] as const;
  expect(await scene.visit('tcp/443', { seconds: 2 })).toEqual(nobody(two));

  const own = await scene.serve(lab.server, '443');
  expect(await scene.visit('tcp/443')).toEqual(themselves(two));
  expect(await set('expose', 'tcp/443')).toMatchObject({ code: 0 });
  expect(daemons.server.program.output()).toMatch(/no longer reach what listens there.*listener=/);
  expect(await scene.visit('tcp/443')).toEqual(themselves(two));
  expect(scene.services[0]?.stdout).toContain(`from ${two[0]}`);
  const shown = (await hosts.run(lab.server, ['show', 'ipipou0', 'peer', 'home'])).stdout;
  expect(shown).toMatch(/exposed +tcp\/443: 2 connections.*not reached$/m);
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

  expect(await set('expose', '')).toMatchObject({ code: 0 });
  expect(await scene.visit('tcp/443', { seconds: 2 })).toEqual(nobody(two));
  expect(await scene.sure(lab.server, ['nft', 'list', 'tables'])).not.toContain('expose');
  expect((await scene.sure(lab.server, ['sysctl', '-n', 'net.ipv4.ip_forward'])).trim()).toBe('0');
});
