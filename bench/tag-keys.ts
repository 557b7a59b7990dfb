import { parseArgs } from 'node:util';
import { overheadOf } from '../src/core/wire/overhead.ts';
import { BpfPair } from '../test/rig/bpf-pair.ts';
import { changeKeysUnderLoad, readyForTags } from '../test/rig/tag-load.ts';

/*
 * Many packets through the programs of the `bpf` plane while keys of tags change every few milliseconds: how many were
 * lost, and how many were taken twice.
 *
 * usage: node .cache/bench/bench/tag-keys.js [--packets N]
 */

const { values } = parseArgs({ options: { packets: { type: 'string', default: '10000000' } } });

await using pair = await BpfPair.open();
await readyForTags(pair, 1500 - overheadOf('ipv4'));
const { changes, sent, taken, refused } = await changeKeysUnderLoad(
  pair,
  'full',
  Number(values.packets),
);
console.log(`${sent} sent, ${taken} taken, ${changes} changes of keys, refused:`, refused);
