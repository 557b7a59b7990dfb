/* Topology: the drawing at the head of test/rig/bpf-pair.ts. */
import { afterEach, describe, expect, test } from 'vitest';
import { BpfPair, INNER } from '../rig/bpf-pair.ts';

let pair: BpfPair | undefined;

afterEach(async () => {
  await pair?.[Symbol.asyncDispose]();
  pair = undefined;
});

describe('forwarding', () => {
  test('both ends ping each other, and packets are counted', async () => {
    pair = await BpfPair.open();
    await pair.sure(0, 'ping', '-c3', '-i0.1', '-w5', INNER[1]);
    const counts = { rxPackets: 3n, rxBytes: 252n, txPackets: 3n, txBytes: 252n };
    expect(pair.a.programs.counters(0)).toMatchObject(counts);
    expect(pair.b.programs.counters(0)).toMatchObject(counts);
  });
});
