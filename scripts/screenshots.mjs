// Takes the pictures of `ipipou ui` that docs/images has, of real tunnels in namespaces, by Debian's chromium.
//   node scripts/screenshots.mjs     as root, three minutes
import { chmodSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { setTimeout as delay } from 'node:timers/promises';
import { chromium } from 'playwright-core';
import { base64, generateKeyPair, IMAGES, MAIN, openLab } from './picture-lab.mjs';
import { PROJECT } from './setup.mjs';

const BYTES_MAX = 150_000;
/** A group that every Debian has, and in which nobody is. */
const GROUP = 'games';
const PEERS = ['laptop', 'office', 'camera', 'phone'];
/** Seconds of traffic, so that charts show some. */
const SECONDS = 110;

const PICTURES = [
  { name: 'ui.png', viewport: { width: 1100, height: 880 }, colorScheme: 'light' },
  { name: 'ui-dark.png', viewport: { width: 1100, height: 880 }, colorScheme: 'dark' },
  { name: 'ui-phone.png', viewport: { width: 390, height: 844 }, colorScheme: 'light' },
];

// The last of the peers does not come.
const { lab, folder, env, start, close } = await openLab({
  clients: PEERS.length - 1,
  natAddresses: 2,
});
// Its page and browser are other users'.
chmodSync(folder, 0o711);
try {
  await takeAll();
} finally {
  await close();
}

async function takeAll() {
  const keys = PEERS.map(() => generateKeyPair());
  const common = ['dataplane tun', 'auth-secret not-a-secret-at-all'];
  const server = ['server', 'fou-dev eth0', 'tunl-ip 172.28.0.0', `status-group ${GROUP}`];
  const sections = PEERS.flatMap((name, index) => [
    `peer ${name}`,
    `auth-remote-pubkey-b64 ${base64(keys[index].publicKey)}`,
    `tunl-peer-ip 172.28.0.${index + 1}`,
  ]);
  const daemon = start(lab.server, [...server, ...common, 'reply-on-auth-ok', ...sections]);
  await daemon.waitFor(/ready|listening/);
  const ui = lab.spawn(lab.server, [process.execPath, MAIN, 'ui', '--group', GROUP], {
    env: env(lab.server),
  });
  await ui.waitFor(/\?token=/);
  lab.clients.forEach((client, index) => {
    const own = [
      'tunl-peer-ip 172.28.0.0',
      `auth-key-b64 ${base64(keys[index].privateSeed)}`,
      `tunl-ip 172.28.0.${index + 1}`,
    ];
    const lines = ['client', 'fou-remote 203.0.113.1:10000', 'keepalive 5', ...common, ...own];
    start(client, lines);
  });
  console.log(`${SECONDS} s of traffic`);
  await traffic();
  const link = ui
    .output()
    .match(/http:\S+\?token=\S+/g)
    .at(-1);
  await takePictures(link);
}

/** Some of each peer, more and less in turns; and one of them moves. */
async function traffic() {
  const ends = Date.now() + SECONDS * 1000;
  let turn = 0;
  while (Date.now() < ends) {
    const sizes = [1300, 700, 200];
    const loud = 2 + Math.round(18 * Math.abs(Math.sin(turn / 3)));
    await Promise.all(
      lab.clients.map((client, index) =>
        lab.exec(client, [
          ...['ping', '-q', '-i', '0.02', '-w', '5', '-s', String(sizes[index] ?? 64)],
          ...['-c', String(loud * 10), '172.28.0.0'],
        ]),
      ),
    );
    await delay(2000);
    turn += 1;
    if (turn === 12) await lab.changeClientAddress(1);
  }
}

async function takePictures(link) {
  const program = path.join(folder, 'chromium');
  writeFileSync(program, `#!/bin/sh\nexec ip netns exec ${lab.server} /usr/bin/chromium "$@"\n`);
  chmodSync(program, 0o755);
  const browser = await chromium.launch({ executablePath: program, args: ['--disable-gpu'] });
  mkdirSync(IMAGES, { recursive: true });
  try {
    const page = await browser.newPage({ viewport: { width: 1100, height: 880 } });
    await page.goto(link);
    await page.locator('#peers .good').first().waitFor();
    for (const { name, viewport, colorScheme } of PICTURES) {
      await page.setViewportSize(viewport);
      await page.emulateMedia({ colorScheme });
      await delay(3500);
      const file = path.join(IMAGES, name);
      await page.screenshot({ path: file });
      const { size } = statSync(file);
      console.log(`${path.relative(PROJECT, file)}: ${size} bytes`);
      if (size > BYTES_MAX) throw new Error(`more than ${BYTES_MAX}`);
    }
  } finally {
    await browser.close();
  }
}
