import { rmSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { LiveConfig } from '../../../src/app/live-config.ts';
import { atDesk } from '../../../src/app/management/desk.ts';
import { loadConfig } from '../../../src/cli/load-config.ts';
import type { ControlRequest } from '../../../src/core/management/requests.ts';
import type { ControlHandler } from '../../../src/ports/control.ts';
import { CONTROL_REPLY_MAX } from '../../../src/ports/control.ts';
import { A, B, live, TOP, type Told } from './live-rig.ts';

const ids = (tunnel: Told): readonly string[] => [...tunnel.peers.keys()];

describe('set', () => {
  test('adds, changes and removes one peer and tells the tunnel of nothing else', async () => {
    const { config, tunnel } = await live(TOP + A);
    const add: ControlRequest = {
      request: 'set-peer',
      peer: 'c',
      options: [
        ['auth-token', 'tc'],
        ['tunl-peer-ip', '10.0.0.3'],
      ],
    };
    expect(await config.answer(add)).toEqual({ ok: true, warnings: [] });
    const change = { request: 'set-peer', peer: 'a', options: [['keepalive', '5']] } as const;
    expect(await config.answer(change)).toMatchObject({ ok: true });
    expect(tunnel.peers.get('a')?.timers.keepalive).toBe(5);
    expect(await config.answer({ request: 'remove-peer', peer: 'a' })).toEqual({ ok: true });
    expect(tunnel.calls).toEqual(['set c', 'set a', 'remove a']);
    expect(ids(tunnel)).toEqual(['c']);
  });

  test('what is refused changes nothing and is told with its exit code, without secrets', async () => {
    const { config, tunnel, logged } = await live(TOP + A);
    const options = [['auth-token', 'QXZ'.repeat(1000)] as const];
    const reply = await config.answer({ request: 'set-peer', peer: 'a', options });
    expect(reply).toMatchObject({ ok: false, exit: 'arguments' });
    expect(JSON.stringify([reply, logged])).not.toContain('QXZ');
    const gone = await config.answer({ request: 'remove-peer', peer: 'x' });
    expect(gone).toMatchObject({ ok: false, exit: 'arguments' });
    expect(tunnel.calls).toEqual([]);
  });

  test('a tunnel that cannot take a peer leaves the config as it was', async () => {
    const { config, tunnel } = await live(TOP + A);
    const options = [
      ['auth-token', 'tc'],
      ['tunl-peer-ip', '10.0.0.3'],
    ] as const;
    tunnel.failWith = new Error('no room');
    const add = { request: 'set-peer', peer: 'c', options } as const;
    expect(await config.answer(add)).toMatchObject({
      ok: false,
      error: 'no room',
      exit: 'generic',
    });
    tunnel.failWith = undefined;
    expect(await config.answer(add)).toMatchObject({ ok: true });
  });

  test('changes come one after the other, each upon the one before', async () => {
    const { config, tunnel } = await live(TOP + A);
    const set = (option: readonly [string, string]) =>
      config.answer({ request: 'set-peer', peer: 'a', options: [option] });
    await Promise.all([set(['keepalive', '5']), set(['auth-lifetime', '6'])]);
    expect(tunnel.peers.get('a')?.timers).toMatchObject({ keepalive: 5, authLifetime: 6 });
  });
});

describe('syncconf', () => {
  const sync = (text: string) => ({ request: 'sync', source: '/x.conf', text }) as const;

  test('makes the peers those of a file', async () => {
    const { config, tunnel } = await live(TOP + A);
    expect(await config.answer(sync(TOP + A + B))).toEqual({
      ok: true,
      changes: { added: 1, changed: 0, removed: 0, kept: 1 },
      warnings: [],
    });
    expect(ids(tunnel)).toEqual(['a', 'b']);
  });

  test('a file of peers only keeps what the own files say before theirs', async () => {
    const { config, tunnel } = await live(`${TOP}keepalive 9\nauth-token t\n${A}`);
    expect(await config.answer(sync(B))).toMatchObject({ ok: true, warnings: [] });
    expect(ids(tunnel)).toEqual(['default', 'b']);
    expect(tunnel.peers.get('b')?.timers.keepalive).toBe(9);
  });

  test('a faulty file changes nothing, and every problem is told', async () => {
    const { config, tunnel } = await live(TOP + A);
    expect(await config.answer(sync(`${TOP}${A}keepalive x\nfrob 1\n`))).toEqual({
      ok: false,
      error:
        '/x.conf:5: keepalive: "x": expected a whole number of seconds from 0 to 86400\n' +
        '/x.conf:6: unknown option frob: ipipou help lists them',
      exit: 'arguments',
      hint: undefined,
    });
    expect(tunnel.calls).toEqual([]);
  });

  test('as many problems as a terminal takes', async () => {
    const { config } = await live(TOP + A);
    const reply = await config.answer(sync(`${TOP}frob 1\n${'peer x\n'.repeat(1000)}`));
    if (reply.ok) throw new Error('it was taken');
    expect(reply.error.split('\n')).toHaveLength(51);
    expect(reply.error).toMatch(/and \d+ more$/);
  });

  test('what only a restart can change is named', async () => {
    const { config, logged } = await live(TOP + A);
    const reply = await config.answer(sync(`${TOP}fou-local-port 7\nno-log-pid\n${A}`));
    const words = [
      'fou-local-port: takes effect after a restart',
      'no-log-pid: takes effect after a restart',
    ];
    expect(reply).toMatchObject({ ok: true, warnings: words });
    expect(logged.filter((line) => line.startsWith('warn'))).toHaveLength(2);
    // It is still not what runs.
    expect(await config.answer(sync(`${TOP}fou-local-port 7\n${A}`))).toMatchObject({
      warnings: [words[0]],
    });
  });

  test.each([
    ['server or client', 'tunl-ip 10.0.0.7\npeer a\nfou-remote h:1\n'],
    ['tunl-ip', `server\ntunl-ip 10.0.0.7\n${A}`],
    ['does not describe a tunnel', 'auth-keygen'],
  ])('another tunnel is refused: %s', async (words, text) => {
    const { config, tunnel } = await live(TOP + A);
    const reply = await config.answer(sync(text));
    if (text === 'auth-keygen') expect(reply).toMatchObject({ ok: false });
    else expect(reply).toMatchObject({ ok: false, error: expect.stringContaining(words) });
    expect(tunnel.calls).toEqual([]);
  });
});

describe('how much is logged', () => {
  test('changes by request, and is told once, whatever is logged before and after', async () => {
    const { config, levels, logged } = await live(TOP + A);
    expect(await config.answer({ request: 'set-verb', verb: 0 })).toEqual({ ok: true });
    expect(await config.answer({ request: 'set-verb', verb: 0 })).toEqual({ ok: true });
    expect(levels).toEqual(['debug', 'error']);
    expect(logged).toEqual(['info log level changed {"level":"error","before":"info"}']);
  });

  test('is what the file says again after a reload', async () => {
    const { config, levels, rewrite } = await live(TOP + A);
    await config.answer({ request: 'set-verb', verb: 3 });
    await config.reload();
    expect(levels).toEqual(['debug', 'debug', 'debug', 'info']);
    rewrite(`${TOP}verb 1\n${A}`);
    expect(await config.reload()).toMatchObject({ ok: true, warnings: [] });
    expect(levels.at(-1)).toBe('warn');
  });
});

describe('reload', () => {
  test('reads the own file again; what was set since is forgotten', async () => {
    const { config, tunnel, rewrite } = await live(TOP + A);
    const options = [
      ['auth-token', 'tc'],
      ['tunl-peer-ip', '10.0.0.3'],
    ] as const;
    await config.answer({ request: 'set-peer', peer: 'c', options });
    rewrite(TOP + A + B);
    expect(await config.reload()).toMatchObject({
      ok: true,
      changes: { added: 1, removed: 1, kept: 1 },
    });
    expect(ids(tunnel)).toEqual(['a', 'b']);
    expect(tunnel.calls).not.toContain('reauthenticate');
  });

  test('peers that are the same stay the objects that they are', async () => {
    const { config, tunnel, rewrite } = await live(TOP + A + B);
    const before = tunnel.peers.get('a');
    rewrite(`${TOP}${A}${B}keepalive 3\n`);
    await config.reload();
    expect(tunnel.peers.get('a')).toBe(before);
    expect(tunnel.peers.get('b')?.timers.keepalive).toBe(3);
    await config.answer({ request: 'set-peer', peer: 'a', options: [['auth-packet-ttl', '9']] });
    expect(tunnel.peers.get('a')?.timers).toBe(before?.timers);
  });

  test('the command line stays over the file', async () => {
    const { config, tunnel, rewrite } = await live(TOP + A, '--keepalive', '7');
    rewrite(`${TOP}keepalive 3\n${A}${B}`);
    await config.reload();
    expect(tunnel.peers.get('b')?.timers.keepalive).toBe(7);
  });

  test('a client authenticates again as well, a faulty file keeps it from nothing else', async () => {
    const text = 'tunl-ip 10.0.0.9\npeer a\nfou-remote h:1\n';
    const { config, tunnel, rewrite } = await live(text);
    expect(await config.reload()).toMatchObject({ ok: true });
    expect(tunnel.calls).toEqual(['sync a', 'reauthenticate']);
    rewrite(`${text}frob\n`);
    expect(await config.reload()).toMatchObject({ ok: false, exit: 'arguments' });
    expect(tunnel.calls).toEqual(['sync a', 'reauthenticate']);
  });

  test('a file that is gone is an error', async () => {
    const { config, file } = await live(TOP + A);
    rmSync(file);
    expect(await config.reload()).toMatchObject({
      ok: false,
      error: expect.stringContaining('cannot read config'),
      hint: expect.stringContaining('--config NAME') as string,
    });
  });

  test('a file that others may read is told of', async () => {
    const { config, file, rewrite } = await live(TOP + A);
    rmSync(file);
    rewrite(`server\n${A}`);
    const warnings = [`${file} holds secrets and others may read it: chmod 600`];
    expect(await config.reload()).toMatchObject({ warnings });
    expect(await config.reload()).toMatchObject({ warnings: [] });
  });
});

test('secrets on the command line are told of by name, once for all of them', async () => {
  const argv = ['--server', '--auth-token', 'QXZ', '--auth-secret=QXZ'];
  const { warnings } = await loadConfig(argv);
  expect(warnings).toEqual([
    expect.stringMatching(
      /^auth-token, auth-secret on the command line .* every user .* config file$/,
    ),
  ]);
  expect(warnings.join()).not.toContain('QXZ');
});

describe('peers', () => {
  test('come in pages, each of which fits a reply', async () => {
    const networks = Array.from({ length: 900 }, (_, index) => `10.9.${index >> 8}.${index & 255}`);
    const section = (number: number) =>
      `peer p${number}\nauth-token t${number}\ntunl-peer-ip 10.0.${number >> 8}.${number & 255}\n`;
    const sections = Array.from({ length: 700 }, (_, index) => section(index + 1));
    sections[5] += `allowed-ips ${networks.join(',')}\n`;
    sections[6] += `allowed-ips ${networks.map((text) => text.replace('9', '8')).join(',')}\n`;
    sections[7] += `allowed-ips ${networks.map((text) => text.replace('9', '7')).join(',')}\n`;
    sections[8] += `allowed-ips ${networks.map((text) => text.replace('9', '6')).join(',')}\n`;
    const { config } = await live(`${TOP}${sections.join('')}`);
    const seen: string[] = [];
    const pages: number[] = [];
    for (let more = true; more;) {
      const after = seen.at(-1);
      const page = await config.answer({ request: 'peers', ...(after !== undefined && { after }) });
      if (!page.ok || !page.peers) throw new Error('no page');
      expect(Buffer.byteLength(JSON.stringify(page))).toBeLessThan(CONTROL_REPLY_MAX);
      seen.push(...page.peers.map(({ id }) => id));
      pages.push(page.peers.length);
      more = page.more === true;
    }
    expect(seen).toEqual(sections.map((_, index) => `p${index + 1}`));
    expect(pages[0]).toBeLessThan(100);
    expect(pages.length).toBeGreaterThan(3);
  });

  test('are told of one by one', async () => {
    const { config } = await live(TOP + A);
    const one = await config.answer({ request: 'peer', peer: 'a' });
    expect(one).toMatchObject({ ok: true, peers: [{ id: 'a' }], more: false });
    expect(await config.answer({ request: 'peer', peer: 'x' })).toMatchObject({ ok: false });
  });
});

test('requests about peers go to the config once it is there, others to the tunnel', async () => {
  const { config } = await live(TOP + A);
  const later: { live?: LiveConfig } = {};
  let handler: ControlHandler | undefined;
  const feed = { follow: () => () => undefined };
  const listener = atDesk(
    {
      async listen(_, given, followed) {
        handler = given;
        expect(followed).toBe(feed);
        return async () => undefined;
      },
    },
    { live: () => later.live, feed },
  );
  await listener.listen({ path: '' }, async ({ request }) => ({
    ok: false,
    error: `tunnel ${request}`,
  }));
  const ask = (request: ControlRequest) => handler?.(request);
  expect(await ask({ request: 'peers' })).toEqual({ ok: false, error: 'the tunnel is not up yet' });
  later.live = config;
  expect(await ask({ request: 'peers' })).toMatchObject({ ok: true });
  expect(await ask({ request: 'status' })).toEqual({ ok: false, error: 'tunnel status' });
  expect(await ask({ request: 'reauthenticate' })).toMatchObject({
    error: 'tunnel reauthenticate',
  });
});
