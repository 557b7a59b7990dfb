/* Clients that mean no good, or know no better: what they cost, and that others are answered all the same. */
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { createConnection, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { controlClient } from '../../../src/adapters/control/client.ts';
import { readLine } from '../../../src/adapters/control/first-line.ts';
import { controlListener } from '../../../src/adapters/control/listener.ts';
import type { Millis } from '../../../src/core/units.ts';
import type { ControlHandler, EventFeed } from '../../../src/ports/control.ts';
import { CONTROL_CONNECTIONS_MAX, CONTROL_REQUEST_MAX } from '../../../src/ports/control.ts';

/** Of this process, so that chown(2) may be called by anybody. */
const GROUP = process.getgid?.() ?? 0;

let folder: string;
let file: string;
let stop: (() => Promise<void>) | undefined;
const clients: Socket[] = [];
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'ipipou-sock-'));
  file = path.join(folder, 'a.sock');
});
afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy();
  await stop?.();
  stop = undefined;
  rmSync(folder, { recursive: true });
});

const KINDS = ['control', 'status'] as const;

async function listen(kind: (typeof KINDS)[number], handler: ControlHandler, feed?: EventFeed) {
  const place = kind === 'control' ? { path: file } : { path: file, group: GROUP };
  stop = await controlListener.listen(place, handler, feed);
}

const answer: ControlHandler = async () => ({ ok: true });

function connect(words?: string | Buffer): Socket {
  const client = createConnection(file).on('error', () => undefined);
  clients.push(client);
  if (words !== undefined) client.write(words);
  return client;
}

const isClosed = (client: Socket): Promise<unknown> =>
  new Promise((resolve) => client.resume().once('close', resolve));

describe('the status socket', () => {
  test("is its group's, and tells", async () => {
    await listen('status', answer);
    expect(statSync(file).mode & 0o777).toBe(0o660);
    expect(statSync(file).gid).toBe(GROUP);
    expect(await controlClient.ask(file, { request: 'status' })).toMatchObject({ ok: true });
  });

  test('changes nothing', async () => {
    const asked: string[] = [];
    await listen('status', async ({ request }) => {
      asked.push(request);
      return { ok: true };
    });
    const requests = [
      { request: 'reload' },
      { request: 'reauthenticate' },
      { request: 'remove-peer', peer: 'a' },
      { request: 'set-peer', peer: 'a', options: [] },
      { request: 'sync', source: '/a', text: '' },
    ] as const;
    for (const request of requests) {
      expect(await controlClient.ask(file, request)).toMatchObject({
        ok: false,
        error: `${request.request} is for root alone: this socket only tells`,
      });
    }
    expect(asked).toEqual([]);
  });

  test('takes no long line, whatever it says it brings', async () => {
    await listen('status', answer);
    await isClosed(connect(`{"request":"sync","text":"${'x'.repeat(2 * CONTROL_REQUEST_MAX)}`));
    expect(await controlClient.ask(file, { request: 'status' })).toMatchObject({ ok: true });
  });

  test('leaves the daemon half of its time', async () => {
    let working = 0;
    let most = 0;
    const spans: { readonly from: number; readonly to: number }[] = [];
    await listen('status', async () => {
      working += 1;
      most = Math.max(most, working);
      const from = performance.now();
      await new Promise((resolve) => setTimeout(resolve, 5));
      spans.push({ from, to: performance.now() });
      working -= 1;
      return { ok: true };
    });
    await Promise.all(
      Array.from({ length: 10 }, () => controlClient.ask(file, { request: 'status' })),
    );
    expect(most).toBe(1);
    expect(spans).toHaveLength(10);
    // Timers may be a millisecond early, never earlier, however busy this machine is.
    for (const [index, { from, to }] of spans.slice(0, -1).entries()) {
      expect((spans[index + 1]?.from ?? 0) - to).toBeGreaterThan(to - from - 1.5);
    }
  });
});

describe.each(KINDS)('the %s socket', (kind) => {
  test('who says nothing is hung up on for who comes; the latest stays', async () => {
    await listen(kind, answer);
    const idle = Array.from({ length: 5 * CONTROL_CONNECTIONS_MAX }, () => connect());
    const closed = idle.slice(0, -CONTROL_CONNECTIONS_MAX).map(isClosed);
    await Promise.all(closed);
    expect(await controlClient.ask(file, { request: 'status' })).toMatchObject({ ok: true });
    const last = idle.at(-1);
    last?.write('{"request":"status"}\n');
    const heard = await new Promise((resolve) => last?.once('data', resolve));
    expect(String(heard)).toContain('"ok":true');
  });

  test('who goes on writing after its line is answered once', async () => {
    let asked = 0;
    await listen(kind, async () => {
      asked += 1;
      return { ok: true };
    });
    const client = connect('{"request":"status"}\n');
    const more = Buffer.alloc(65_536, '{"request":"status"}\n');
    for (let count = 0; count < 160; count += 1) client.write(more);
    await isClosed(client);
    expect(asked).toBe(1);
  });

  test('a follower that writes is hung up on', async () => {
    let follows = 0;
    await listen(kind, answer, {
      follow() {
        follows += 1;
        return () => void (follows -= 1);
      },
    });
    const client = connect('{"request":"events"}\n');
    await new Promise((resolve) => client.once('data', resolve));
    expect(follows).toBe(1);
    client.write('more');
    await isClosed(client);
    await expect.poll(() => follows).toBe(0);
  });

  test('who takes no answer holds no place for long, and who has half closed is answered', async () => {
    await listen(kind, answer);
    const client = connect();
    client.end('{"request":"status"}\n');
    const heard = await new Promise((resolve) => client.once('data', resolve));
    expect(String(heard)).toContain('"ok":true');
  });

  test('answers after any garbage, in any pieces', async () => {
    await listen(kind, answer);
    const pieces = fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 5 });
    await fc.assert(
      fc.asyncProperty(pieces, async (said) => {
        const client = connect();
        for (const piece of said) client.write(piece);
        client.end();
        await isClosed(client);
        expect(await controlClient.ask(file, { request: 'status' })).toMatchObject({ ok: true });
      }),
      { numRuns: 50 },
    );
  });
});

test('who is answered already is not hung up on for who comes, who comes is', async () => {
  let release: () => void = () => undefined;
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  let asked = 0;
  await listen('control', async () => {
    asked += 1;
    await held;
    return { ok: true };
  });
  const waiting = Array.from({ length: CONTROL_CONNECTIONS_MAX }, () =>
    connect('{"request":"status"}\n'),
  );
  await expect.poll(() => asked).toBe(CONTROL_CONNECTIONS_MAX);
  await isClosed(connect('{"request":"status"}\n'));
  const heard = waiting.map((client) => new Promise((resolve) => client.once('data', resolve)));
  release();
  for (const words of await Promise.all(heard)) expect(String(words)).toContain('"ok":true');
});

test('behind its line nothing is read of a client', async () => {
  const held = new Promise<Socket>((resolve) => {
    const server = createServer((socket) => {
      server.close();
      resolve(socket.on('error', () => undefined));
    }).listen(file);
  });
  await expect.poll(() => existsSync(file)).toBe(true);
  const client = connect('{"request":"status"}\n');
  const socket = await held;
  const patience = { silence: 5000 as Millis, total: 5000 as Millis };
  expect(await readLine(socket, () => 100, patience)).toBe('{"request":"status"}');
  const more = Buffer.alloc(65_536, 120);
  let taken = 0;
  for (let count = 0; count < 100; count += 1) client.write(more, () => (taken += 1));
  // The kernel takes what its buffers hold, and no more.
  let before = -1;
  while (taken !== before) {
    before = taken;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  expect(taken).toBeLessThan(20);
  expect(socket.bytesRead).toBeLessThan(3 * 65_536);
  socket.destroy();
});
