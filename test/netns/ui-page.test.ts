/*
 * The page of a real tunnel, in Debian's browser. The drawing is at the head of src/adapters/lab/topology.ts.
 */
import { readFileSync } from 'node:fs';
import type { Page } from 'playwright-core';
import { afterEach, expect, test } from 'vitest';
import { runChecked } from '../../src/adapters/lab/process.ts';
import { browserIn } from '../rig/browser.ts';
import { changed, DESCRIBED } from '../rig/daemon.ts';
import { labScene } from '../rig/lab-scene.ts';
import { patience } from '../rig/patience.ts';
import { SECRETS, serveUi, UI_AT } from '../rig/ui-server.ts';

const CLIENT = changed(DESCRIBED.client, 'dataplane tun', 'keepalive 1');

const scene = labScene();
const closing: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

async function openPage(link: string, options: object = {}): Promise<Page> {
  const { browser, close } = await browserIn(scene.lab.server);
  closing.push(close);
  const page = await browser.newPage(options);
  page.setDefaultTimeout(patience(20_000));
  const complaints: string[] = [];
  page.on('console', (message) => complaints.push(message.text()));
  page.on('pageerror', (error) => complaints.push(error.message));
  closing.push(async () => {
    // Whatever the policy of the page refuses is told there.
    expect(complaints).toEqual([]);
  });
  await page.goto(link);
  return page;
}

test('the page shows a peer that comes, and what happens', async () => {
  const { lab } = scene;
  const { s, ui } = await serveUi(scene, closing);
  const page = await openPage(ui.link(), { viewport: { width: 1280, height: 900 } });
  await page.locator('#peers b', { hasText: 'laptop' }).waitFor();
  expect(page.url()).toBe(`http://${UI_AT}/`);
  expect(await page.locator('#events').textContent()).toMatch(/Nothing has happened/);

  const c = await scene.start(lab.client(), CLIENT);
  await Promise.all([s.established(), c.established()]);
  await page.locator('#peers .good', { hasText: 'established' }).waitFor();
  await page.locator('#peers td', { hasText: /^203\.0\.113\.2:\d+$/ }).waitFor();
  await page.locator('#events li', { hasText: /ipipou0 established remote=203/ }).waitFor();
  await page.locator('#hour polyline[points*=","]').first().waitFor({ state: 'attached' });
  expect(await page.content()).not.toMatch(SECRETS);

  await page.locator('#filter').fill('nobody has this');
  await page.locator('#peers .empty', { hasText: 'No peer has that in it' }).waitFor();

  // It has no rights left.
  const pid = (await runChecked(['ip', 'netns', 'pids', lab.server])).stdout
    .trim()
    .split('\n')
    .find((one) => readFileSync(`/proc/${one}/cmdline`, 'utf8').includes('\0ui\0'));
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  expect(status).toMatch(/^Uid:\t65534\t65534\t65534\t65534$/m);
  expect(status).toMatch(/^CapEff:\t0+$/m);

  await s.kill();
  await page.locator('#troubles p', { hasText: /dead/ }).waitFor();
});

test('on a phone nothing is wider than it, and where it is dark the page is', async () => {
  const { ui } = await serveUi(scene, closing);
  const page = await openPage(ui.link(), {
    viewport: { width: 360, height: 740 },
    colorScheme: 'dark',
  });
  await page.locator('#peers b', { hasText: 'laptop' }).waitFor();
  const seen = await page.evaluate(`({
    wide: document.documentElement.scrollWidth,
    back: getComputedStyle(document.body).backgroundColor,
  })`);
  expect(seen).toEqual({ wide: 360, back: 'rgb(18, 22, 28)' });
  await page.emulateMedia({ colorScheme: 'light' });
  const light = await page.evaluate('getComputedStyle(document.body).backgroundColor');
  expect(light).toBe('rgb(246, 247, 249)');
});
