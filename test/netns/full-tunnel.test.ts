/* Topology: the drawing at the head of test/rig/full-tunnel-scene.ts. */
import { expect, test } from 'vitest';
import { changed } from '../rig/daemon.ts';
import { describeFullTunnel, fullClient, fullServer } from '../rig/full-tunnel-cases.ts';
import { fullTunnelScene } from '../rig/full-tunnel-scene.ts';

const scene = fullTunnelScene();

describeFullTunnel('tun', scene);
describeFullTunnel('bpf', scene);

test('a routing table has the routes of one tunnel, and a second one says whose they are', async () => {
  const { lab, start } = scene.base;
  await scene.connect();
  await start(lab.server, fullServer('tun'));
  const config = fullClient('tun', 'table 7777');
  const client = await start(lab.client(), config);
  await client.established();
  const routes = (): Promise<string> =>
    scene.sure(lab.client(), ['ip', 'route', 'show', 'table', '7777']);
  const before = await routes();
  expect(before).toMatch(/default dev ipipou0/);
  const other = changed(config, 'number 1', 'tunl-ip 172.28.0.3,fd28::3', '-tunl-peer-ip');
  const second = await start(lab.client(), other, 'ipipou1');
  expect((await second.program.finished).code).toBe(2);
  expect(second.program.output()).toContain(
    'table 7777: the tunnel ipipou0 has its routes in that table',
  );
  expect(await routes()).toBe(before);
});
