import { fsyncSync, mkdtempSync, rmSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { generateKeyPair } from '../src/adapters/crypto.ts';
import { systemClock } from '../src/adapters/system/clock.ts';
import { createMemoryStore } from '../src/adapters/system/memory-store.ts';
import { millis } from '../src/core/units.ts';
import { configOf, openScene, pathOf, requestOf } from './idle-tunnel.ts';

/*
 * How long a server of many peers is held up by its disk: each of them refreshes once in `--keepalive`
 * seconds, all are written down by the real store, and every sync takes so many milliseconds more.
 *
 *   held      the longest that the event loop was held, and the 99th percentile, milliseconds
 *   answered  refreshes that were answered, of those that were sent; time from packet to reply
 *
 * usage: node .cache/bench/bench/slow-disk.js [--peers 1000] [--keepalive 27] [--disk 4] [--blocking]
 *
 * `--blocking` syncs on the event loop, twice, as a file a peer that is replaced does.
 */

const { values } = parseArgs({
  options: {
    peers: { type: 'string', default: '1000' },
    keepalive: { type: 'string', default: '27' },
    disk: { type: 'string', default: '4' },
    blocking: { type: 'boolean', default: false },
  },
});
const count = Number(values.peers);
const keepalive = Number(values.keepalive) * 1000;
const disk = Number(values.disk);

let slow = false;
let syncs = 0;
const wait = new Int32Array(new SharedArrayBuffer(4));

async function sync(handle: FileHandle): Promise<void> {
  syncs += 1;
  if (values.blocking && slow) {
    for (let times = 0; times < 2; times++) {
      fsyncSync(handle.fd);
      Atomics.wait(wait, 0, 0, disk);
    }
    return;
  }
  await handle.datasync();
  if (slow) await delay(disk);
}

const folder = mkdtempSync(join(tmpdir(), 'ipipou-disk-'));
const server = generateKeyPair();
const pairs = Array.from({ length: count }, generateKeyPair);
const config = configOf(
  pairs.map(({ publicKey }) => publicKey),
  server,
);
const scene = await openScene(config, {
  clock: systemClock,
  memory: createMemoryStore(folder, sync),
});
const { listener, plane, tunnel } = scene;

/** Signed before, so that clients cost nothing while it counts. */
const begin = systemClock.now().unix;
const requests = pairs.map((pair, index) => ({
  path: pathOf(index, 0),
  first: requestOf(pair, server.publicKey, begin),
  again: requestOf(pair, server.publicKey, millis(begin + 2000)),
}));
for (const { path, first } of requests) {
  const before = plane.admitted;
  do {
    await listener.packet({ path, payload: first });
    if (plane.admitted === before) await delay(50);
  } while (plane.admitted === before);
}
slow = true;
syncs = 0;
const sent = plane.sent;
const times: number[] = [];
const held = monitorEventLoopDelay({ resolution: 1 });
const start = performance.now();
held.enable();
await Promise.all(
  requests.map(async ({ path, again }, index) => {
    await delay((index / count) * keepalive);
    const at = performance.now();
    await listener.packet({ path, payload: again });
    times.push(performance.now() - at);
  }),
);
held.disable();
const seconds = (performance.now() - start) / 1000;
times.sort((a, b) => a - b);
const ms = (nanoseconds: number): string => (nanoseconds / 1e6).toFixed(1);
console.table([
  {
    peers: count,
    'held at most, ms': ms(held.max),
    'held, 99 %, ms': ms(held.percentile(99)),
    answered: `${plane.sent - sent} of ${count}`,
    'to the reply, median, ms': times[times.length >> 1]?.toFixed(1),
    'at most, ms': times.at(-1)?.toFixed(1),
    'syncs a second': (syncs / seconds).toFixed(1),
  },
]);
await tunnel.close();
rmSync(folder, { recursive: true });
