import { expect, test } from 'vitest';
import {
  formatHead,
  formatRecord,
  parseJournal,
  parseMemory,
} from '../../../src/adapters/system/memory-record.ts';
import type { SessionMemory } from '../../../src/core/session/types.ts';
import { millis, seconds } from '../../../src/core/units.ts';
import { endpoint } from '../session/bench.ts';

function memory(local: string, remote: string): SessionMemory {
  return {
    remote: {
      path: { local: endpoint(local, 10_000), remote: endpoint(remote, 40_000) },
      authenticatedAt: millis(5),
      lastHeardAt: millis(6),
    },
    replay: { newest: seconds(7), seen: ['a'] },
    peer: 'mark',
  };
}

const FOUR = memory('198.51.100.1', '203.0.113.1');
const SIX = memory('2001:db8:5::1', '2001:db8:c::2');

test('peers of both families are written down and read back, side by side', () => {
  const records = [formatRecord('one', FOUR), formatRecord('two', SIX), formatRecord('one', SIX)];
  const read = parseJournal(formatHead(seconds(0)) + records.join(''));
  expect(read.damage).toBeUndefined();
  expect([...read.records]).toEqual([
    ['one', SIX],
    ['two', SIX],
  ]);
});

test('what was written before there was IPv6 is read, and written, as it was', () => {
  const line =
    '321dd775 {"key":"one","remote":{"path":{"local":{"ip":"198.51.100.1","port":10000},' +
    '"remote":{"ip":"203.0.113.1","port":40000}},"authenticatedAt":5,"lastHeardAt":6},' +
    '"replay":{"newest":7,"seen":["a"]},"peer":"mark"}\n';
  expect(parseJournal(formatHead(seconds(0)) + line).records.get('one')).toEqual(FOUR);
  expect(formatRecord('one', FOUR)).toBe(line);
});

test.each([
  ['of two families', memory('198.51.100.1', '2001:db8:c::2')],
  ['with an address that is none', memory('198.51.100.1', '2001:db8::g')],
])('a path %s is no path', (_what, broken) => {
  const value = JSON.parse(JSON.stringify(broken)) as Record<string, unknown>;
  expect(parseMemory(value)).toBeUndefined();
});

test('an address has one text, however it was written', () => {
  const { remote } = memory('2001:DB8:5:0::1', '2001:db8:c::0:2');
  expect(parseMemory({ remote })?.remote?.path).toEqual(SIX.remote?.path);
});
