/*
 * Who gets the page of `ipipou ui`, and who does not. The drawing is at the head of src/adapters/lab/topology.ts.
 */
import { afterEach, expect, test } from 'vitest';
import { inside } from '../../src/adapters/lab/namespaces.ts';
import { runChecked } from '../../src/adapters/lab/process.ts';
import { labScene } from '../rig/lab-scene.ts';
import { SECRETS, serveUi, UI_AT } from '../rig/ui-server.ts';

const scene = labScene();
const closing: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

test('others are refused: by another name, without the cookie, with a used link, or that want changes', async () => {
  const { ui } = await serveUi(scene, closing);
  const link = ui.link();
  const ask = async (path: string, ...options: readonly string[]) => {
    const args = ['curl', '-s', '-i', ...options, `http://${UI_AT}${path}`];
    return (await runChecked(inside(scene.lab.server, args))).stdout;
  };
  expect(await ask('/')).toMatch(/^HTTP\/1.1 401 /);
  expect(await ask('/view')).toMatch(/^HTTP\/1.1 401 /);
  expect(await ask('/?token=guess')).toMatch(/^HTTP\/1.1 401 /);
  const query = new URL(link).search;
  expect(await ask(`/${query}`, '-H', 'Host: evil.example')).toMatch(/^HTTP\/1.1 403 /);
  const swapped = await ask(`/${query}`);
  expect(swapped).toMatch(/^HTTP\/1.1 303 /);
  const [, cookie = ''] =
    /^set-cookie: (\S+); HttpOnly; SameSite=Strict; Path=\/\r$/m.exec(swapped) ?? [];
  expect(await ask(`/${query}`)).toMatch(/^HTTP\/1.1 401 /);
  expect(ui.link()).not.toBe(link);

  const allowed = await ask('/view', '-H', `Cookie: other=1; ${cookie}`);
  expect(allowed).toMatch(/^HTTP\/1.1 200 /);
  expect(allowed).toMatch(/^content-security-policy: default-src 'none'; script-src 'self';/m);
  expect(allowed).toMatch(/"peerCount":1/);
  expect(allowed).not.toMatch(SECRETS);
  const post = await ask('/view', '-X', 'POST', '-H', `Cookie: ${cookie}`);
  expect(post).toMatch(/^HTTP\/1.1 405 /);
  expect(await ask('/view', '-H', `Cookie: ${cookie.slice(0, -1)}`)).toMatch(/^HTTP\/1.1 401 /);
  expect(await ask('/../etc/passwd', '--path-as-is', '-H', `Cookie: ${cookie}`)).toMatch(
    /^HTTP\/1.1 404 /,
  );
});

test('it listens on loopback addresses alone, and not as root without a group to go on in', async () => {
  const { lab, hosts } = scene;
  expect(await hosts.run(lab.server, ['ui', '--listen', '0.0.0.0:9587'])).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/takes a loopback address and a port/),
  });
  expect(await hosts.run(lab.server, ['ui', '--group', 'no-such-group'])).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/no group no-such-group.*\n.*groupadd/),
  });
});
