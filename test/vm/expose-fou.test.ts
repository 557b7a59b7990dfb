import { expect, test } from 'vitest';
import { clientConfig, describeExposed, roams, serverConfig } from '../rig/expose-cases.ts';
import { describeFloodOfUdp } from '../rig/expose-flood-cases.ts';
import { themselves, visitorScene, VISITORS } from '../rig/visitor-scene.ts';

const scene = visitorScene();

describeExposed('fou', scene);
describeFloodOfUdp('fou', scene, 3000);

test('what a client exposes is reached after it has moved', async () => {
  const { server, client } = await scene.both(
    serverConfig('fou', 'expose tcp/443, udp/27015'),
    clientConfig('fou'),
  );
  await roams(scene.base.lab, async () => {
    expect(await scene.visit('tcp/443', { seconds: 2 })).toEqual(themselves(VISITORS.slice(0, 2)));
    expect(await scene.visit('udp/27015', { from: VISITORS })).toEqual(themselves(VISITORS));
  });
  expect(await server.stop()).toBe(0);
  expect(await client.stop()).toBe(0);
});
