import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { up, type Topology } from '../../src/adapters/lab/topology.ts';
import { changed, DESCRIBED, Hosts } from '../rig/daemon.ts';
import { patience, succeeds } from '../rig/patience.ts';
import { SizedPath } from '../rig/sized-path.ts';
import { addressesSettled } from '../rig/traffic.ts';
import { PROJECT } from '../vm/rig/project.ts';

/*
 * What people break, and what both ends say of it: `up`, `show` and the log, at the default level. Each case
 * names the words that tell the cause, or the check that finds it; all that is said is compared with
 * test/fixtures/breaks/CASE.txt, which `BREAKS=write npm test -- netns breaks` writes anew, to be read. The
 * drawing of the topology is at the head of src/adapters/lab/topology.ts.
 */

const WRITE = process.env['BREAKS'] === 'write';
const PRIVATE = 'RuBZkT23na2Q4QH1xfmZCfRgSgPt5s362UPAFbecTso=';
const PUBLIC = 'eQYNhD/Xwl6Zaq+z3QXDzNI77x8CEKqY1n5kt9bKeEI=';
/** Another pair, of whom nobody has the public half. */
const STRANGER = 'AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=';

/** One plane, so that the words are the same on every kernel. */
const SERVER = changed(DESCRIBED.server, '-verb', 'dataplane bpf');
const CLIENT = changed(DESCRIBED.client, '-verb', 'dataplane bpf');
/** With keys on both sides, so that the server can sign what it says. */
const SIGNING = {
  server: changed(SERVER, `auth-key-b64 ${PRIVATE}`, 'session v1'),
  client: changed(CLIENT, `auth-remote-pubkey-b64 ${PUBLIC}`, 'session v1'),
};

type Side = 'server' | 'client';
type Said = { readonly up: string; readonly show: string; readonly log: string };
type Break = {
  readonly name: string;
  /** Config lines; a side that is absent is not started. */
  readonly server?: readonly string[];
  readonly client?: readonly string[];
  /** Environment of a side's daemon. */
  readonly env?: Partial<Record<Side, Readonly<Record<string, string>>>>;
  /** Before anything is started. */
  readonly before?: (scene: Scene) => Promise<void>;
  /** After both are up. */
  readonly after?: (scene: Scene) => Promise<void>;
  /** What `show` of a side (or its `up`, where it fails) has to say sooner or later. */
  readonly tells: Partial<Record<Side, RegExp>>;
};
type Scene = { readonly lab: Topology; readonly hosts: Hosts };

const clock = (minutes: number): Readonly<Record<string, string>> => ({
  NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(
    `const now = Date.now.bind(Date); Date.now = () => now() + ${minutes} * 60000;`,
  )}`,
});

const inServer = async ({ lab }: Scene, script: string): Promise<void> => {
  expect(await lab.exec(lab.server, ['bash', '-ec', script])).toMatchObject({ code: 0 });
};
const firewall = (verdict: string) => (scene: Scene) =>
  inServer(
    scene,
    `nft 'add table inet wall; add chain inet wall in { type filter hook input priority -10; };
     add rule inet wall in udp dport 10000 ${verdict}'`,
  );

const BREAKS: readonly Break[] = [
  {
    name: 'wrong key',
    server: SERVER,
    client: changed(CLIENT, `auth-key-b64 ${STRANGER}`),
    tells: { client: /no answer[^]*key/, server: /unknown-peer|signature/ },
  },
  {
    name: 'wrong secret',
    server: SERVER,
    client: changed(CLIENT, 'auth-secret another'),
    tells: { client: /no answer[^]*secret/, server: /signature/ },
  },
  {
    name: 'wrong port',
    server: SERVER,
    client: changed(CLIENT, 'fou-remote 203.0.113.1:10001'),
    tells: { client: /203\.0\.113\.1 says that nothing listens on that port/ },
  },
  ...[10, -10].map((minutes) => ({
    name: `clock ${minutes} minutes off`,
    ...SIGNING,
    env: { client: clock(minutes) },
    tells: { client: /clock/, server: /clock/ },
  })),
  {
    name: 'no server',
    client: CLIENT,
    tells: { client: /203\.0\.113\.1 says that nothing listens/ },
  },
  {
    name: 'firewall that drops',
    server: SERVER,
    client: CLIENT,
    before: firewall('drop'),
    tells: { client: /no answer[^]*firewall/ },
  },
  {
    name: 'firewall that rejects',
    server: SERVER,
    client: CLIENT,
    before: firewall('reject with icmpx type admin-prohibited'),
    tells: { client: /203\.0\.113\.1 says that .*(firewall|forbid|prohibit)/ },
  },
  {
    name: 'NAT that remaps',
    server: SERVER,
    client: changed(CLIENT, 'keepalive 1'),
    after: async ({ lab }) => lab.remapNat(),
    tells: { client: /established/, server: /203\.0\.113\.2:40\d{3}/ },
  },
  {
    name: 'same key twice',
    server: SERVER,
    client: changed(CLIENT, 'keepalive 1'),
    after: async ({ lab, hosts }) => {
      const lines = changed(CLIENT, 'keepalive 1');
      const file = await hosts.writeConfig(lab.client(1), 'ipipou0', lines);
      expect(await hosts.run(lab.client(1), ['up', file])).toMatchObject({ code: 0 });
    },
    tells: { server: /same key/ },
  },
  {
    name: 'hung server',
    server: SERVER,
    client: CLIENT,
    after: async (scene) => {
      process.kill(await pidOf(scene, scene.lab.server), 'SIGSTOP');
    },
    tells: { server: /daemon stopped[^]*kill -CONT/ },
  },
  ...[
    { name: 'full state directory', mount: 'mount -t tmpfs -o size=4k tmpfs', fill: true },
    { name: 'read-only state directory', mount: 'mount -t tmpfs -o ro tmpfs', fill: false },
  ].map(({ name, mount, fill }) => ({
    name,
    server: SERVER,
    before: async ({ lab, hosts }: Scene) => {
      const folder = hosts.env(lab.server)['IPIPOU_STATE_DIR'] ?? '';
      const full = fill ? `; head -c 4096 /dev/zero > ${folder}/filler` : '';
      execFileSync('bash', ['-ec', `mkdir -p ${folder}; ${mount} ${folder}${full}`]);
    },
    tells: { server: /state[^]*(full|space|read-only)/i },
  })),
  {
    name: 'typos in the config',
    server: changed(SERVER, 'auth-lifetmie 3600', 'fou-local-port 100000', '-auth-lifetime'),
    tells: { server: /auth-lifetmie[^]*auth-lifetime/ },
  },
];

describe('what both ends say of', () => {
  let scene: Scene;

  beforeAll(async () => {
    const lab = await up({ clients: 2 });
    scene = { lab, hosts: await Hosts.in(lab) };
    await Promise.all(
      [lab.server, ...lab.clients].map(async (name) => addressesSettled(lab, name)),
    );
  });

  afterEach(async () => cleanUp(scene));

  afterAll(async () => {
    await scene.hosts[Symbol.asyncDispose]();
    await scene.lab.down();
  });

  it.each(BREAKS)('$name', async (broken) => {
    await broken.before?.(scene);
    const ups: Partial<Record<Side, string>> = {};
    for (const side of ['server', 'client'] as const) {
      const lines = broken[side];
      if (lines !== undefined) ups[side] = await start(scene, side, lines, broken.env?.[side]);
    }
    await broken.after?.(scene);
    await expectSaid(scene, broken.name, ups, broken.tells);
  });
});

describe('a server that starts eight seconds after its client', () => {
  it('is found within three seconds', async () => {
    await using lab = await up();
    await using hosts = await Hosts.in(lab);
    await using client = await hosts.start(lab.client(), CLIENT);
    await client.ready();
    await delay(8000);
    expect((await client.status())?.phase).toBe('authenticating');
    await using server = await hosts.start(lab.server, SERVER);
    await server.ready();
    const begin = performance.now();
    await client.established();
    expect(performance.now() - begin).toBeLessThan(patience(3000));
  });
});

describe('what both ends say of a path of 1280 bytes without ICMP', () => {
  it('is the size that was found', async () => {
    await using way = await SizedPath.make(false);
    await way.takes(1280, true);
    await using hosts = await Hosts.in(way.lab);
    const scene = { lab: way.lab, hosts };
    try {
      const ups = {
        server: await start(scene, 'server', SIGNING.server),
        client: await start(scene, 'client', changed(SIGNING.client, 'mtu auto')),
      };
      await expectSaid(scene, 'path of 1280 bytes', ups, { client: /1252/, server: /1252/ });
    } finally {
      await cleanUp(scene);
    }
  });
});

const namespaceOf = ({ lab }: Scene, side: Side): string =>
  side === 'server' ? lab.server : lab.client();

/** Runs `up`; what it says. */
async function start(
  scene: Scene,
  side: Side,
  lines: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<string> {
  const { lab, hosts } = scene;
  const namespace = namespaceOf(scene, side);
  const file = await hosts.writeConfig(namespace, 'ipipou0', lines);
  const command = [process.execPath, path.join(PROJECT, 'dist/cli/main.js'), 'up', file];
  const done = await lab.exec(namespace, command, { env: { ...hosts.env(namespace), ...env } });
  return `${done.stdout}${done.stderr}(exit code ${done.code})\n`;
}

async function expectSaid(
  scene: Scene,
  name: string,
  ups: Partial<Record<Side, string>>,
  tells: Break['tells'],
): Promise<void> {
  const sides = Object.keys(ups) as readonly Side[];
  for (const side of sides) {
    const wanted = tells[side];
    const said = async (): Promise<string> => (await showOf(scene, side)) + (ups[side] ?? '');
    if (wanted) await succeeds(async () => expect(await said()).toMatch(wanted), 30_000);
  }
  const parts = await Promise.all(
    sides.map(async (side) => {
      const said: Said = {
        up: ups[side] ?? '',
        show: await showOf(scene, side),
        log: logOf(scene, side),
      };
      return Object.entries(said)
        .map(([what, text]) => `=== ${side}: ${what}\n${normalized(scene, text)}`)
        .join('\n');
    }),
  );
  const file = path.join(PROJECT, 'test/fixtures/breaks', `${name.replaceAll(' ', '-')}.txt`);
  const text = parts.join('\n');
  expect(text).not.toMatch(/topsecret|RuBZkT23na2Q4QH1xfmZCfRgSgPt5s362UPAFbecTso|AQEBAQEB/);
  if (WRITE) await expect(text).toMatchFileSnapshot(file);
  else expect(text).toBe(readFileSync(file, 'utf8'));
}

async function showOf(scene: Scene, side: Side): Promise<string> {
  const show = (...names: readonly string[]) =>
    scene.hosts.run(namespaceOf(scene, side), ['show', ...names]);
  const list = await show();
  const done = list.stdout === '' ? list : await show('ipipou0');
  return `${done.stdout}${done.stderr}(exit code ${done.code})\n`;
}

/** Every different line of the daemon's log, once. */
function logOf({ lab, hosts }: Scene, side: Side): string {
  const folder = path.join(hosts.folder, 'log', side === 'server' ? lab.server : lab.client());
  if (!existsSync(folder)) return '';
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.log'))
    .map((name) => readFileSync(path.join(folder, name), 'utf8'))
    .join('');
}

/** What differs from run to run is replaced: times, counts of repetition, process numbers, our folders. */
function normalized({ lab, hosts }: Scene, text: string): string {
  const lines = text
    .replaceAll(hosts.folder, 'DIR')
    .replaceAll(lab.server, 'SERVER')
    .replaceAll(lab.client(), 'CLIENT')
    .replaceAll(/\d{4}-\d\d-\d\d[T ][\d:.]+(?:Z| UTC)/g, 'TIME')
    .replaceAll(/^TIME \d+ /gm, 'TIME PID ')
    .replaceAll(/\bpid[= ]\d+|\bprocess \d+|-CONT \d+/g, (found) => found.replace(/\d+/, 'PID'))
    .replaceAll(/@\d+\.log/g, '@NETNS.log')
    .replaceAll(
      /\b\d+ (ms|s|min|h|B|KiB|packets|requests|replies|signature|clock|stale|replayed)\b/g,
      'N $1',
    )
    // Which ports the NAT has depends on what came before.
    .replaceAll(/\b203\.0\.113\.2:\d+\b/g, '203.0.113.2:PORT')
    .replaceAll(/\b40\d{3}\b/g, 'PORT')
    .replaceAll(/N min N s|N s(?= ago)/g, 'SPAN')
    .split('\n');
  return lines.filter((line, index) => line === '' || lines.indexOf(line) === index).join('\n');
}

async function pidOf({ hosts }: Scene, namespace: string): Promise<number> {
  const { stdout } = await hosts.run(namespace, ['show', '--json']);
  return Number(/"pid": ?(\d+)/.exec(stdout)?.[1]);
}

/** Takes down what is up, wakes what was stopped, and unmounts. */
async function cleanUp(scene: Scene): Promise<void> {
  const { lab, hosts } = scene;
  for (const namespace of [lab.server, ...lab.clients]) {
    const pid = await pidOf(scene, namespace);
    if (pid > 0) process.kill(pid, 'SIGCONT');
    await hosts.run(namespace, ['down', 'ipipou0']);
  }
  await lab.exec(lab.server, ['nft', 'delete', 'table', 'inet', 'wall']);
  const folder = hosts.env(lab.server)['IPIPOU_STATE_DIR'] ?? '';
  execFileSync('bash', ['-c', `umount ${folder} 2>/dev/null; rm -rf ${hosts.folder}/log; true`]);
}
