import { readFileSync, existsSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import type { Finished } from '../../src/adapters/lab/process.ts';
import { parseInnerIp, type InnerIp } from '../../src/core/addr.ts';
import { formatCode, parseCode } from '../../src/core/invite/code.ts';
import { millis } from '../../src/core/units.ts';
import { labScene } from '../rig/lab-scene.ts';
import { patience } from '../rig/patience.ts';
import { expectPing } from '../rig/traffic.ts';

/* A server that is made by `init`, and clients that join it by their codes, as people do it: with commands. */

const scene = labScene({ clients: 2 });
const started = new Set<string>();
let count = 0;

/** Files of one test: what `init` makes and what `join` does. */
function files() {
  count += 1;
  const place = (what: string) => path.join(scene.hosts.folder, `${what}${count}.conf`);
  return { server: place('server'), client: place('client'), other: place('other') };
}

const serverSide = (...args: readonly string[]): Promise<Finished> =>
  scene.hosts.run(scene.lab.server, args);
const clientSide = (...args: readonly string[]): Promise<Finished> =>
  scene.hosts.run(scene.lab.client(), args);

async function sure(done: Promise<Finished>): Promise<string> {
  const { code, stdout, stderr } = await done;
  if (code !== 0) throw new Error(`${code}: ${stdout}${stderr}`);
  return stdout;
}

async function init(file: string): Promise<void> {
  const given = ['--device', 'eth0', '--address', '203.0.113.1', '--inner', '172.28.0.0/24'];
  started.add(file);
  await sure(serverSide('init', 'server', file, ...given));
}

async function invite(file: string, peer: string, ...more: readonly string[]): Promise<string> {
  const line = await sure(serverSide('invite', peer, '--server', file, ...more));
  const [, code] = /^ipipou join ([\w-]+)\n$/.exec(line) ?? [];
  return code ?? expect.fail(line);
}

async function join(code: string, file: string): Promise<Finished> {
  started.add(file);
  return clientSide('join', code, '--name', file);
}

/** What a code that is good for nothing gets: an exit code, a reason, and no file. */
async function refused(code: string, file: string): Promise<string> {
  const { code: exit, stderr } = await clientSide('join', code, '--name', file);
  expect(existsSync(file)).toBe(false);
  expect(exit, stderr).not.toBe(0);
  return stderr;
}

afterEach(async () => {
  for (const file of started) {
    await serverSide('down', file);
    await clientSide('down', file);
  }
  started.clear();
});

const inner = (text: string): InnerIp => parseInnerIp(text) ?? expect.fail(text);
const read = (file: string): string => readFileSync(file, 'utf8');

describe('from nothing to a tunnel', () => {
  test('init, invite and join, and traffic flows; files are private, and nothing tells a secret', async () => {
    const { server, client } = files();
    await init(server);
    expect(await sure(serverSide('show'))).toContain('server, 0 of 0 peers established');
    const code = await invite(server, 'laptop', '--expose', 'tcp/443');
    expect(await sure(serverSide('invite', '--list', '--server', server))).toMatch(
      /^laptop: open, until .*, 172\.28\.0\.2\n$/,
    );
    expect(await sure(serverSide('show', server, 'peer', 'laptop'))).toMatch(
      /invited +until .*\(in (?:1 h|59 min)/,
    );

    const joined = await join(code, client);
    expect(joined, joined.stderr).toMatchObject({ code: 0 });
    expect(joined.stdout).toMatch(/joined 203\.0\.113\.1:10000[^]*client, established\n$/);
    await expectPing(scene.lab, scene.lab.server, inner('172.28.0.2'));
    await expectPing(scene.lab, scene.lab.client(), inner('172.28.0.1'));

    for (const file of [server, client]) expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(read(server)).not.toContain('invited-until');
    expect(read(server)).toContain('# Where clients reach this server.\n');
    expect(await sure(serverSide('invite', '--list', '--server', server))).toBe('');
    expect(read(client)).toContain('return-path tunnel\n');

    const secrets = [read(server), read(client)].flatMap((text) =>
      [...text.matchAll(/^auth-(?:key-b64|secret) (.*)$/gm)].map(([, value = '']) => value),
    );
    expect(secrets).toHaveLength(5);
    const told = [
      ...(await Promise.all([
        serverSide('show'),
        serverSide('show', '--json'),
        clientSide('show'),
      ])),
    ].map(({ stdout }) => stdout);
    const logs = [scene.lab.server, scene.lab.client()].flatMap((host) => {
      const folder = path.join(scene.hosts.folder, 'log', host);
      return readdirSync(folder).map((name) => read(path.join(folder, name)));
    });
    const argv = readdirSync('/proc')
      .filter((pid) => /^\d+$/.test(pid) && existsSync(`/proc/${pid}/cmdline`))
      .map((pid) => commandLine(pid));
    expect(logs.join('').length).toBeGreaterThan(100);
    const all = [...told, ...logs, ...argv, joined.stdout].join('\n');
    for (const secret of [...secrets, code]) expect(all).not.toContain(secret);
  });

  test('init finds nothing in the way, and never writes over a file', async () => {
    const { server } = files();
    await init(server);
    const text = read(server);
    const again = await serverSide('init', 'server', server, '--device', 'eth0');
    expect(again).toMatchObject({ code: 1, stderr: expect.stringContaining('there already') });
    expect(read(server)).toBe(text);
    const beside = await sure(
      serverSide('init', 'server', files().server, '--device', 'eth0', '--no-start'),
    );
    expect(beside).toMatch(/UDP port: 1000[1-9] /);
    expect(beside).toContain('172.28.1.1 of 172.28.1.0/24');
  });

  test.each([
    ['--port', '0', 'a port from 1 to 65535'],
    ['--device', 'a/b', 'device'],
    ['--address', 'a b', 'host name'],
    ['--inner', '10.0.0.0/31', 'room for two'],
    ['--inner', '10.0.0.0/8,10.1.0.0/16', 'one of each family'],
  ])('init refuses %s %s', async (flag, value, expected) => {
    const { server } = files();
    const { code, stderr } = await serverSide('init', 'server', server, flag, value);
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining(expected) });
    expect(existsSync(server)).toBe(false);
  });
});

test('a code that was used, has expired, was altered or guessed, or is revoked gets nothing', async () => {
  const { server, client } = files();
  await init(server);
  const used = await invite(server, 'laptop');
  const expired = await invite(server, 'late', '--expires', '1s');
  expect(await join(used, client)).toMatchObject({ code: 0 });
  await sure(clientSide('down', client));
  const text = read(server);
  const revoked = await invite(server, 'phone');
  await sure(serverSide('invite', 'phone', '--revoke', '--server', server));

  const at = used.length >> 1;
  const altered = used.slice(0, at) + (used[at] === 'A' ? 'B' : 'A') + used.slice(at + 1);
  const reading = parseCode(used);
  if (!reading.ok) throw new Error(reading.why);
  const guessed = formatCode({ ...reading.invitation, seed: new Uint8Array(16).fill(7) });
  const reasons = await Promise.all(
    [used, expired, altered, guessed, revoked].map((code) => refused(code, files().client)),
  );
  expect(reasons).toEqual([
    expect.stringContaining('used or revoked'),
    expect.stringContaining('the code has expired at'),
    expect.stringContaining('this is no code'),
    expect.stringContaining('does not answer'),
    expect.stringContaining('used or revoked'),
  ]);
  expect(read(server)).toBe(text);
});

test.each(['auto', 'v2'])(
  'a server of session %s that is killed between writing and answering has not lost the client',
  async (session) => {
    const { server, client } = files();
    await init(server);
    await sure(serverSide('down', server));
    writeFileSync(server, `session ${session}\n${read(server)}`);
    await sure(serverSide('up', server));
    const code = await invite(server, 'laptop');
    const { lab } = scene;
    const deaf =
      'table ip mute { chain o { type filter hook output priority 0; udp sport 10000 drop; }; }';
    await lab.exec(lab.server, ['nft', deaf]);
    const joining = join(code, client);
    const written = Date.now() + patience(millis(10_000));
    while (read(server).includes('invited-until') && Date.now() < written) await delay(20);
    expect(read(server)).not.toContain('invited-until');
    const [, pid] = /process (\d+)/.exec(await sure(serverSide('show', server))) ?? [];
    process.kill(Number(pid), 'SIGKILL');
    await sure(serverSide('up', server));
    await lab.exec(lab.server, ['nft', 'delete table ip mute']);
    const joined = await joining;
    expect(joined, joined.stderr).toMatchObject({ code: 0 });
    await expectPing(lab, lab.server, inner('172.28.0.2'));
  },
);

test('a server that does not run: it can invite, and nobody joins until it does', async () => {
  const { server, client } = files();
  await init(server);
  await sure(serverSide('down', server));
  writeFileSync(server, `${read(server)}\n# the last line\n`);
  const code = await invite(server, 'laptop');
  expect(read(server)).toContain('# the last line\n\npeer laptop\n');
  expect(await refused(code, client)).toMatch(/does not answer.*ECONNREFUSED.*nothing was changed/);
  await sure(serverSide('up', server));
  expect(await join(code, client)).toMatchObject({ code: 0 });
});

test('a file instead of a code, and the code by standard input', async () => {
  const { server, client, other } = files();
  await init(server);
  await invite(server, 'laptop', '--expose', 'tcp/443');
  const printed = await sure(serverSide('invite', 'laptop', '--print', '--server', server));
  expect(printed).toContain('return-path tunnel\n');
  writeFileSync(client, printed, { mode: 0o600 });
  started.add(client);
  await sure(clientSide('up', client, '--wait', '20'));
  await expectPing(scene.lab, scene.lab.server, inner('172.28.0.2'));

  const code = await invite(server, 'second');
  started.add(other);
  const joined = await scene.hosts.run(scene.lab.clients[1] ?? '', ['join', '-', '--name', other], {
    input: `${code.slice(0, 50)}\n${code.slice(50)}\n`,
  });
  expect(joined, joined.stderr).toMatchObject({ code: 0 });
  await expectPing(scene.lab, scene.lab.server, inner('172.28.0.3'));
  await scene.hosts.run(scene.lab.clients[1] ?? '', ['down', other]);
});

function commandLine(pid: string): string {
  try {
    return read(`/proc/${pid}/cmdline`).replaceAll('\0', ' ');
  } catch {
    return '';
  }
}
