import { chmodSync, existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { controlClient } from '../../../src/adapters/control/client.ts';
import { controlListener } from '../../../src/adapters/control/listener.ts';
import { LiveFeed } from '../../../src/app/management/event-feed.ts';
import type { PeerId } from '../../../src/core/config/tunnel-config.ts';
import type { ControlRequest } from '../../../src/core/management/requests.ts';
import { port, type Millis } from '../../../src/core/units.ts';
import type { Clock } from '../../../src/ports/clock.ts';
import {
  CONTROL_PATIENCE,
  CONTROL_SIGN_EVERY,
  FOLLOWERS_MAX,
  type FeedLine,
} from '../../../src/ports/control.ts';
import { ip } from '../../rig/addresses.ts';

/** What every reply begins with. */
const SPOKEN = { protocol: 'ipipou', version: 1 };

let folder: string;
let stop: (() => Promise<void>) | undefined;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'ipipou-sock-'));
});
afterEach(async () => {
  await stop?.();
  stop = undefined;
  rmSync(folder, { recursive: true });
});

async function say(file: string, words: string): Promise<string> {
  const connection = createConnection(file);
  connection.write(words);
  return text(connection).catch(() => '');
}

describe('the control socket', () => {
  test('answers requests, one a connection, and is its owner’s alone', async () => {
    const file = path.join(folder, 'control.sock');
    const asked: ControlRequest[] = [];
    stop = await controlListener.listen({ path: file }, async (request) => {
      asked.push(request);
      return { ok: true };
    });
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(await controlClient.ask(file, { request: 'reauthenticate' })).toMatchObject({
      ok: true,
    });
    expect(await controlClient.ask(file, { request: 'status' })).toMatchObject({ ok: true });
    expect(asked).toEqual([{ request: 'reauthenticate' }, { request: 'status' }]);
  });

  test.each([
    'nonsense',
    '{}',
    'null',
    '{"request":"format"}',
    '[]',
    '',
    '{"request":"peer"}',
    '{"request":"peers","after":1}',
    '{"request":"remove-peer","peer":1}',
    '{"request":"set-peer","peer":"a"}',
    '{"request":"set-peer","peer":"a","options":["keepalive"]}',
    '{"request":"set-peer","peer":"a","options":[["keepalive",1]]}',
    '{"request":"set-peer","peer":1,"options":[]}',
    '{"request":"sync","text":"a"}',
    '{"request":"sync","source":"a","text":1}',
  ])('refuses %j without asking its handler', async (words) => {
    const file = path.join(folder, 'control.sock');
    let asked = 0;
    stop = await controlListener.listen({ path: file }, async () => {
      asked += 1;
      return { ok: true };
    });
    expect(JSON.parse(await say(file, `${words}\n`))).toEqual({
      ...SPOKEN,
      ...{ ok: false, error: 'unknown request' },
    });
    expect(asked).toBe(0);
  });

  describe('tells those who follow', () => {
    const clock = {
      now: () => ({ unix: 5 as Millis, monotonic: 5 as Millis }),
    } as unknown as Clock;
    const feed = new LiveFeed(clock);
    const tell = feed.besides(() => undefined);
    const remote = { ip: ip('192.0.2.1'), port: port(7) };

    async function following(): Promise<string> {
      const file = path.join(folder, 'control.sock');
      stop = await controlListener.listen({ path: file }, async () => ({ ok: true }), feed);
      return file;
    }

    /** The next line, after `happens` if there is one: it is called until somebody follows. */
    async function next(lines: AsyncIterator<FeedLine>, happens?: () => void): Promise<FeedLine> {
      const timer = happens && setInterval(happens, 5);
      const { value } = await lines.next();
      clearInterval(timer);
      return value as FeedLine;
    }

    test('every event, in words and in values', async () => {
      const end = new AbortController();
      const lines = controlClient.follow(await following(), end.signal)[Symbol.asyncIterator]();
      const line = await next(lines, () => tell({ kind: 'established', remote }, 'a' as PeerId));
      expect(line).toEqual({
        told: {
          ...{ at: 5, peer: 'a', kind: 'established', level: 'info', words: 'established' },
          ...{ fields: { remote: '192.0.2.1:7' }, values: { remote } },
        },
      });
      end.abort();
      await expect(
        lines.next().then(async ({ done }) => done ?? lines.return?.()),
      ).resolves.toBeTruthy();
    });

    test('until the daemon ends', async () => {
      const lines = controlClient.follow(await following(), new AbortController().signal);
      const iterator = lines[Symbol.asyncIterator]();
      await next(iterator, () => tell({ kind: 'ending' }));
      await stop?.();
      stop = undefined;
      for (let line = await iterator.next(); line.done !== true; line = await iterator.next()) {
        expect(line.value).toHaveProperty('told');
      }
    });

    test('of a slow one nothing is kept beyond a bound, and it is told what it missed', async () => {
      const connection = createConnection(await following());
      connection.write('{"request":"events"}\n');
      // The reply has come: it follows.
      await new Promise((resolve) => connection.once('data', resolve));
      connection.pause();
      const words = 'x'.repeat(1000);
      const told = 4000;
      for (let count = 0; count < told; count += 1) tell({ kind: 'config-warning', words });
      let read = '';
      let more = false;
      connection.on('data', (chunk) => {
        read += String(chunk);
        // What was left out is told with the next event.
        if (!more) tell({ kind: 'ending' });
        more = read.includes('"lost"');
      });
      connection.resume();
      await expect.poll(() => read.includes('"lost"')).toBe(true);
      connection.destroy();
      const lines = read.split('\n').filter((line) => line.includes('config-warning'));
      const lost = Number(/"lost":(\d+)/.exec(read)?.[1]);
      expect(lost).toBeGreaterThan(told / 2);
      expect(lines.length + lost).toBeGreaterThanOrEqual(told);
    });

    test('some of them; then no more, and others are still answered', async () => {
      const file = await following();
      const connections = Array.from({ length: FOLLOWERS_MAX }, () => createConnection(file));
      await Promise.all(
        connections.map((connection) => {
          connection.write('{"request":"events"}\n');
          return new Promise((resolve) => connection.once('data', resolve));
        }),
      );
      const late = controlClient.follow(file, new AbortController().signal)[Symbol.asyncIterator]();
      await expect(late.next()).rejects.toThrow('8 follow what happens already');
      expect(await controlClient.ask(file, { request: 'status' })).toMatchObject({ ok: true });
      for (const connection of connections) connection.destroy();
    });
  });

  test('hangs up on a request without an end', async () => {
    const file = path.join(folder, 'control.sock');
    stop = await controlListener.listen({ path: file }, async () => ({ ok: true }));
    expect(await say(file, 'x'.repeat(70_000))).toBe('');
    expect(await say(file, `{"request":"status","text":"${'x'.repeat(70_000)}`)).toBe('');
  });

  test('a request that brings a file may be as long as one', async () => {
    const file = path.join(folder, 'control.sock');
    const asked: ControlRequest[] = [];
    stop = await controlListener.listen({ path: file }, async (request) => {
      asked.push(request);
      return { ok: true };
    });
    const request = { request: 'sync', source: '/a', text: 'peer a\n'.repeat(200_000) } as const;
    expect(await controlClient.ask(file, request)).toMatchObject({ ok: true });
    expect(asked).toEqual([request]);
  });

  test.each([
    { request: 'reload' },
    { request: 'peers' },
    { request: 'peers', after: 'a' },
    { request: 'peer', peer: 'a' },
    { request: 'remove-peer', peer: 'a' },
    {
      request: 'set-peer',
      peer: 'a',
      options: [
        ['auth-token', 'a\nb'],
        ['keepalive', ''],
      ],
    },
  ] as const)('brings %j to its handler as it is', async (request) => {
    const file = path.join(folder, 'control.sock');
    const asked: ControlRequest[] = [];
    stop = await controlListener.listen({ path: file }, async (heard) => {
      asked.push(heard);
      return { ok: false, error: 'e', exit: 'arguments', hint: 'h' };
    });
    const reply = await controlClient.ask(file, request);
    expect(reply).toMatchObject({ ok: false, error: 'e', exit: 'arguments', hint: 'h' });
    expect(asked).toEqual([request]);
  });

  test('takes the place of a dead daemon’s, and leaves nothing', async () => {
    const file = path.join(folder, 'control.sock');
    writeFileSync(file, '');
    chmodSync(file, 0o600);
    stop = await controlListener.listen({ path: file }, async () => ({ ok: true }));
    expect(await controlClient.ask(file, { request: 'status' })).toMatchObject({ ok: true });
    await stop();
    stop = undefined;
    expect(existsSync(file)).toBe(false);
    await expect(controlClient.ask(file, { request: 'status' })).rejects.toThrow(/ENOENT/);
  });

  test('who works on a request for long sends signs of it, which do not change the answer', async () => {
    const file = path.join(folder, 'control.sock');
    stop = await controlListener.listen({ path: file }, async () => {
      await delay(CONTROL_SIGN_EVERY * 1.5);
      return { ok: true };
    });
    const heard = await say(file, '{"request":"reload"}\n');
    expect(heard).toMatch(/^ +\{/);
    expect(JSON.parse(heard)).toEqual({ ...SPOKEN, ok: true });
  });

  test('who gets no answer to a question waits for seconds only, signs of work or not', async () => {
    const file = path.join(folder, 'control.sock');
    stop = await controlListener.listen({ path: file }, () => new Promise(() => undefined));
    const { total } = CONTROL_PATIENCE.question;
    await expect(controlClient.ask(file, { request: 'status' })).rejects.toMatchObject({
      name: 'NoAnswer',
      after: total,
    });
  });

  test('a path that a socket address cannot hold is an error that says how to mend it', async () => {
    const long = path.join(folder, 'x'.repeat(100));
    await expect(
      controlListener.listen({ path: long }, async () => ({ ok: true })),
    ).rejects.toMatchObject({
      hint: expect.stringContaining('IPIPOU_RUN_DIR'),
    });
  });
});
