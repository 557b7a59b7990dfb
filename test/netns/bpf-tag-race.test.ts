/* Processors that race for the same counters, without devices: three threads run the same packets through one program. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { tagged } from '../../src/core/tag/tag.ts';
import { innerPacket, outerFrame } from '../rig/bpf-packets.ts';
import { load, loaded, unload } from '../rig/bpf-cases/shared.ts';
import { admitTagged, INDEX, KEY, keysOf } from '../rig/bpf-cases/tag-peer.ts';
import { OPTS } from '../rig/bpf-test-run.ts';

const COUNTERS = 30_000;
const RACER = new URL('../rig/window-racer.mjs', import.meta.url);

beforeAll(() => {
  load({ outside: true, inside: true });
});
afterAll(unload);

/** All counters, each not far from its place. */
function shuffled(seed: number): readonly number[] {
  let state = seed;
  const order = Array.from({ length: COUNTERS }, (_, index) => index);
  for (let at = 0; at + 40 < COUNTERS; at += 1) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    const other = at + ((state >>> 8) % 40);
    [order[at], order[other]] = [order[other] ?? 0, order[at] ?? 0];
  }
  return order;
}

test('each counter is taken once', async () => {
  admitTagged('ipv4', keysOf('header'));
  const frames = Array.from({ length: COUNTERS }, (_, index) => {
    const header = { level: 'header', index: INDEX, counter: index + 1 } as const;
    return outerFrame(tagged(header, KEY, innerPacket()));
  });
  const length = frames[0]?.length ?? 0;
  const packets = new SharedArrayBuffer(COUNTERS * length);
  const bytes = new Uint8Array(packets);
  for (const [index, frame] of frames.entries()) bytes.set(frame, index * length);
  const { data_in: dataIn, data_size_in: sizeIn, data_out: dataOut } = OPTS.fields;
  const options = {
    size: OPTS.size,
    dataIn: dataIn.offset,
    sizeIn: sizeIn.offset,
    dataOut: dataOut.offset,
    sizeOut: OPTS.fields.data_size_out.offset,
    repeat: OPTS.fields.repeat.offset,
    retval: OPTS.fields.retval.offset,
  };
  const fd = loaded().descriptor('ipipou_decap_eth');
  const seeds = [1, 2, 3];
  const missing = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
  new Int32Array(missing).fill(seeds.length);
  const taken = await Promise.all(
    seeds.map(async (seed) => {
      const workerData = { fd, packets, length, order: shuffled(seed), options, missing };
      const [indexes] = (await once(new Worker(RACER, { workerData }), 'message')) as [
        readonly number[],
      ];
      return indexes;
    }),
  );
  const times = new Uint8Array(COUNTERS);
  for (const index of taken.flat()) times[index] = (times[index] ?? 0) + 1;
  expect(times.filter((count) => count !== 1)).toEqual(new Uint8Array(0));
  // They did race.
  expect(taken.filter((indexes) => indexes.length > 0).length).toBeGreaterThan(1);
  expect(loaded().entries.counters(3)).toMatchObject({
    rxPackets: BigInt(COUNTERS),
    replays: BigInt(2 * COUNTERS),
  });
});
