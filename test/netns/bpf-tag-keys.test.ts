/* Topology: the drawing at the head of test/rig/bpf-pair.ts. */
import { afterEach, expect, test } from 'vitest';
import { overheadOf } from '../../src/core/wire/overhead.ts';
import { BpfPair } from '../rig/bpf-pair.ts';
import { changeKeysUnderLoad, readyForTags } from '../rig/tag-load.ts';

let pair: BpfPair;

afterEach(async () => {
  await pair[Symbol.asyncDispose]();
});

test('a million packets while keys change: none is lost, none is taken twice', async () => {
  pair = await BpfPair.open();
  await readyForTags(pair, 1500 - overheadOf('ipv4'));
  const { changes, sent, taken, refused } = await changeKeysUnderLoad(pair, 'full', 1_000_000);
  expect(refused).toEqual({});
  expect(taken).toBe(sent);
  expect(sent).toBeGreaterThanOrEqual(1_000_000n);
  expect(changes).toBeGreaterThan(100);
});
