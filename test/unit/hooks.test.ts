import { readFileSync } from 'node:fs';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { hookRunner } from '../../src/adapters/system/hook-runner.ts';
import { HOOKS_WAITING_MAX, TunnelHooks } from '../../src/app/hooks.ts';
import type { PeerId, TunnelConfig } from '../../src/core/config/tunnel-config.ts';
import type { TunnelEvent } from '../../src/core/events/event.ts';
import { expandHook, PeersThere, type HookEnvironment } from '../../src/core/hooks.ts';
import { millis, port, seconds } from '../../src/core/units.ts';
import type { HookResult, HookRunner } from '../../src/ports/hooks.ts';
import { ip } from '../rig/addresses.ts';
import { resolveRun } from './config/resolve-texts.ts';

const home = { ip: ip('192.0.2.1'), port: port(7) };
const away = { ip: ip('2001:db8::1'), port: port(8) };
const HOME = '192.0.2.1:7';
const AWAY = '[2001:db8::1]:8';
const laptop = 'laptop' as PeerId;

describe('what calls for a hook', () => {
  test('a peer comes, moves and goes, each told once', () => {
    const there = new PeersThere();
    const take = (event: TunnelEvent) => {
      const change = there.take(event, laptop);
      return change && [change.hook, change.environment];
    };
    const peer = { IPIPOU_PEER: 'laptop' };
    expect(take({ kind: 'silent', remote: home, timeout: seconds(30) })).toBeUndefined();
    expect(take({ kind: 'established', remote: home })).toEqual([
      'peer-up',
      { ...peer, IPIPOU_ENDPOINT: HOME },
    ]);
    expect(take({ kind: 'established', remote: home })).toBeUndefined();
    expect(take({ kind: 'moved', remote: away, before: home, again: false })).toEqual([
      'peer-moved',
      { ...peer, IPIPOU_ENDPOINT: AWAY, IPIPOU_PREVIOUS_ENDPOINT: HOME },
    ]);
    expect(take({ kind: 'expired', remote: away })).toEqual([
      'peer-down',
      { ...peer, IPIPOU_PREVIOUS_ENDPOINT: AWAY },
    ]);
    expect(take({ kind: 'ran-out', remote: away })).toBeUndefined();
    expect(take({ kind: 'back', remote: away, silence: seconds(9) })).toMatchObject([
      'peer-up',
      {},
    ]);
  });

  test('another size of packets; nothing else', () => {
    const there = new PeersThere();
    expect(there.take({ kind: 'path-mtu', role: 'client', mtu: 1372 })).toEqual({
      hook: 'mtu-changed',
      peer: 'default',
      environment: { IPIPOU_PEER: 'default', IPIPOU_MTU: '1372' },
    });
    expect(there.take({ kind: 'path-mtu', role: 'client', mtu: undefined })?.environment).toEqual({
      IPIPOU_PEER: 'default',
      IPIPOU_MTU: '',
    });
    expect(there.take({ kind: 'ending' })).toBeUndefined();
  });

  test.each([
    ['ip rule add iif %i', 'home0', 'ip rule add iif home0'],
    ['echo 100%% %i%i', 'a', 'echo 100% aa'],
    ['echo', 'a;b', 'echo'],
    ['echo %i', 'a;b', undefined],
    ['echo %p', 'a', undefined],
    ['echo %', 'a', undefined],
  ])('%j for the device %j is %j', (command, device, expanded) => {
    expect(expandHook(command, device)).toBe(expanded);
  });
});

describe('a tunnel', () => {
  type Ran = { readonly command: string; readonly environment: HookEnvironment };

  function scene(lines: string, result: HookResult = { failure: undefined, said: '' }) {
    const ran: Ran[] = [];
    const told: TunnelEvent[] = [];
    const runner: HookRunner = {
      run: async (command, environment) => {
        ran.push({ command, environment });
        return result;
      },
    };
    const config: TunnelConfig = resolveRun(`server\n${lines}`).config;
    const hooks = new TunnelHooks(config, runner);
    return { ran, told, hooks, tell: hooks.besides((event) => void told.push(event)) };
  }

  test('runs what is configured, and nothing else, with what it is about', async () => {
    const { ran, hooks, tell, told } = scene('pre-up a %i\npost-up b\npeer-up c\n');
    await hooks.preUp();
    await hooks.run('post-up');
    tell({ kind: 'established', remote: home }, laptop);
    tell({ kind: 'moved', remote: away, before: home, again: false }, laptop);
    await hooks.run('post-down');
    expect(ran.map(({ command }) => command)).toEqual(['a ipipou0', 'b', 'c']);
    expect(ran[2]?.environment).toEqual({
      ...{ IPIPOU_DEVICE: 'ipipou0', IPIPOU_NAME: 'ipipou0', IPIPOU_ROLE: 'server' },
      ...{ IPIPOU_INNER_IPS: '172.28.0.0', IPIPOU_PORT: '10000', IPIPOU_HOOK: 'peer-up' },
      ...{ IPIPOU_PEER: 'laptop', IPIPOU_ENDPOINT: HOME },
    });
    expect(told).toHaveLength(2);
  });

  test('is not started where pre-up fails; the failure of others is told', async () => {
    const { hooks, told } = scene('pre-up a\npost-up b\n', { failure: 'exit code 3', said: 'no' });
    await expect(hooks.preUp()).rejects.toThrow('pre-up: exit code 3: no');
    await hooks.run('post-up');
    expect(told).toEqual([{ kind: 'hook-failed', hook: 'post-up', error: 'exit code 3: no' }]);
  });

  test('runs one after the other, and leaves out what is too many', async () => {
    let finish: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => (finish = resolve));
    let running = 0;
    let most = 0;
    let count = 0;
    const runner: HookRunner = {
      run: async () => {
        running += 1;
        most = Math.max(most, running);
        await gate;
        running -= 1;
        count += 1;
        return { failure: undefined, said: '' };
      },
    };
    const told: TunnelEvent[] = [];
    const hooks = new TunnelHooks(resolveRun('server\npeer-up a\n').config, runner);
    const tell = hooks.besides((event) => void told.push(event));
    await hooks.run('post-up');
    for (let peer = 0; peer < HOOKS_WAITING_MAX + 3; peer += 1) {
      tell({ kind: 'established', remote: home }, `peer-${peer}` as PeerId);
    }
    expect(told.filter(({ kind }) => kind === 'hook-left-out')).toHaveLength(3);
    finish();
    await hooks.run('post-down');
    expect([most, count]).toEqual([1, HOOKS_WAITING_MAX]);
  });

  /** Each command takes `seconds` of the fake clock. */
  function slowScene(lines: string, seconds: number) {
    const ran: string[] = [];
    const told: TunnelEvent[] = [];
    const runner: HookRunner = {
      run: async (command) => {
        ran.push(command);
        await new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
        return { failure: undefined, said: '' };
      },
    };
    const hooks = new TunnelHooks(resolveRun(`server\n${lines}`).config, runner);
    return { ran, told, hooks, tell: hooks.besides((event) => void told.push(event)) };
  }

  test('does not wait for hooks of peers before post-up', async () => {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    const { ran, hooks, tell } = slowScene('post-up a\npeer-up b\n', 1);
    for (const peer of ['one', 'two']) tell({ kind: 'resumed', remote: home }, peer as PeerId);
    const up = hooks.run('post-up');
    await vi.advanceTimersByTimeAsync(1000);
    await up;
    expect(ran[0]).toBe('a');
    await vi.advanceTimersByTimeAsync(2000);
    expect(ran).toEqual(['a', 'b', 'b']);
  });

  test('ends soon, however many hooks of peers wait', async () => {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    const { ran, told, hooks, tell } = slowScene('peer-up a\npre-down b\n', 4);
    await hooks.run('post-up');
    for (let peer = 0; peer < HOOKS_WAITING_MAX; peer += 1) {
      tell({ kind: 'established', remote: home }, `peer-${peer}` as PeerId);
    }
    let ended = false;
    void hooks.run('pre-down').then(() => (ended = true));
    await vi.advanceTimersByTimeAsync(20_000);
    expect([ended, ran]).toEqual([true, ['a', 'a', 'a', 'b']]);
    expect(told.filter(({ kind }) => kind === 'hook-left-out')).toHaveLength(HOOKS_WAITING_MAX - 3);
  });
});

describe('a command', () => {
  const run = (command: string, limit = 60_000, environment: HookEnvironment = {}) =>
    hookRunner.run(command, environment, millis(limit));

  test('finds its environment, and little else', async () => {
    const { failure, said } = await run('env', 60_000, { IPIPOU_PEER: '$(id) `id` ; "' });
    expect(failure).toBeUndefined();
    const names = said.split('\n').map((line) => line.split('=')[0]);
    expect(said).toContain('IPIPOU_PEER=$(id) `id` ; "');
    const known = new Set([
      'PATH',
      'HOME',
      'LANG',
      'LC_ALL',
      'TZ',
      'IPIPOU_PEER',
      'PWD',
      'SHLVL',
      'OLDPWD',
      '_',
    ]);
    expect(names.filter((name) => !known.has(name ?? ''))).toEqual([]);
  });

  test.each([
    ['true', undefined, ''],
    ['echo no >&2; exit 3', 'exit code 3', 'no'],
    ['kill -9 $$', 'ended by SIGKILL', ''],
    ['/no/such/command', 'exit code 127', expect.stringContaining('/no/such/command')],
  ] as const)('%s', async (command, failure, said) => {
    expect(await run(command)).toEqual({ failure, said });
  });

  test.each([
    ['is too long for the kernel', `true ${'#'.repeat(200_000)}`, {}, 'E2BIG'],
    ['has what no environment can hold', 'true', { IPIPOU_PEER: 'a\0b' }, 'null bytes'],
  ])('that %s has failed', async (_what, command, environment, why) => {
    const { failure, said } = await run(command, 60_000, environment);
    expect(failure).toContain(why);
    expect(said).toBe('');
  });

  test('that takes too long is killed, with all that it has started', async () => {
    const { failure, said } = await run('sleep 1000 & echo $!; sleep 1000', 300);
    expect(failure).toBe('not done after 0.3 s: killed');
    // Whoever inherits it may not have looked yet: then it is dead, but still named.
    const state = () => {
      try {
        return readFileSync(`/proc/${said}/stat`, 'utf8')
          .replace(/^.*\) /, '')
          .charAt(0);
      } catch {
        return 'gone';
      }
    };
    await expect.poll(state).toMatch(/gone|Z|X/);
  });

  test('is heard to its last word, however much there is to do', async () => {
    const words = [];
    for (let round = 0; round < 3; round += 1) {
      const many = Array.from({ length: 30 }, () => run('echo no >&2; exit 3'));
      words.push(...(await Promise.all(many)).map(({ said }) => said));
    }
    expect(words.filter((said) => said !== 'no')).toEqual([]);
  });

  test('is not waited for where what it has started got away', async () => {
    const away = `setsid sh -c 'echo $$ > "$F"; exec sleep 1000'`;
    const { failure, said } = await run(
      `export F=$(mktemp); ${away} & until [ -s "$F" ]; do :; done; cat "$F"; rm "$F"`,
    );
    expect(failure).toBeUndefined();
    process.kill(Number(said), 'SIGKILL');
  });

  test('what it says is kept to an end of a thousand characters', async () => {
    const { said } = await run('yes | head -c 100000; echo end');
    expect(said.length).toBeLessThanOrEqual(1000);
    expect(said).toMatch(/end$/);
  });
});
