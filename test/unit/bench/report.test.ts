import { describe, expect, test } from 'vitest';
import {
  contestantTable,
  cryptoLines,
  ratioCell,
  summaryTable,
  tablesOf,
  troubleLines,
} from '../../../src/bench/report.ts';
import { formatMarkdown, formatNumber, formatTerminal } from '../../../src/bench/table.ts';
import { resultsOf, rounds, sample } from './sample-results.ts';

const run = resultsOf(rounds('tcpUp', [10_000, 20_000, 10_000], [5000, 10_000, 6000]));

test('a ratio is taken within a round: a slow round harms both alike', () => {
  expect(ratioCell(run, 'super', 'ipipou-tun', 'tcpUp')).toBe('0.50 ±0.03');
  expect(ratioCell(run, 'super', 'bare', 'tcpUp')).toBe('');
});

test('a round without the bare path has no ratio', () => {
  const half = resultsOf(rounds('tcpUp', [10_000], [5000, 1]));
  expect(ratioCell(half, 'super', 'ipipou-tun', 'tcpUp')).toBe('0.50');
});

test('the table of a scene has medians, spreads and ratios, and only columns with figures', () => {
  const [table, ...others] = tablesOf(run);
  expect(others).toEqual([]);
  expect(table).toEqual({
    title: 'unlimited, GSO super-packets: TCP, one stream',
    columns: ['', 'up, Mbit/s', 'of bare'],
    rows: [
      ['bare path', '10\u202f000 ±25\u202f%', ''],
      ['ipipou, tun', '6\u202f000 ±21\u202f%', '0.50 ±0.03'],
    ],
    notes: [],
  });
  expect(summaryTable(run).columns).toEqual(['', 'super-packets: TCP up, Mbit/s', 'of bare']);
});

test('who cannot run is listed with the reason', () => {
  const row = contestantTable(run).rows.find(([title]) => title === 'WireGuard, kernel');
  expect(row?.at(-1)).toBe('not here: this kernel has no wireguard');
});

test('what has no figure shows a dash, and the reason once', () => {
  const missing = { recover: 'not in 3 s' };
  const lost = resultsOf([
    sample('bare', 1, { recover: 1 }),
    { ...sample('ipipou-tun', 1, {}), missing },
    { ...sample('ipipou-tun', 2, {}), missing },
  ]);
  expect(tablesOf(lost)[0]?.rows[1]).toEqual(['ipipou, tun', '–']);
  expect(troubleLines(lost)).toEqual(['ipipou, tun, super: no recover: not in 3 s']);
});

test('a kernel that cannot delay says so in the title', () => {
  const slow = [sample('bare', 1, { tcpUpMany: 19 }, 'slow')];
  const facts = { ...resultsOf(slow).facts, netem: false };
  expect(tablesOf(resultsOf(slow))[0]?.title).toMatch(/^20 Mbit\/s, 200 ms/);
  expect(tablesOf(resultsOf(slow, { facts }))[0]?.title).toMatch(/without the 200 ms/);
});

test('what emulation costs encryption', () => {
  const { facts } = run;
  expect(cryptoLines(facts)).toEqual([]);
  const cryptoOutside = { 'aes-256-gcm': 50_000 };
  expect(cryptoLines({ ...facts, cryptoOutside })[0]).toMatch(/aes-256-gcm.* a factor of 50$/);
});

describe('formats', () => {
  const table = {
    ...{ title: 'T', columns: ['', 'a', 'long'], notes: ['a note'] },
    rows: [
      ['first', '1', '2'],
      ['x|y', '100', ''],
    ],
  };

  test('a terminal', () => {
    expect(formatTerminal(table)).toBe(
      [
        ...['T', '', '         a  long', '─────  ───  ────', 'first    1     2', 'x|y    100'],
        ...['  a note', ''],
      ].join('\n'),
    );
  });

  test('Markdown', () => {
    expect(formatMarkdown(table, 2)).toBe(
      [
        ...['## T', '', '|  | a | long |', '| --- | --: | --: |', '| first | 1 | 2 |'],
        ...['| x\\|y | 100 |  |', '', 'a note', ''],
      ].join('\n'),
    );
  });

  test.each([
    [0, 0, '0'],
    [999, 0, '999'],
    [12_345.6, 0, '12\u202f346'],
    [1_234_567.891, 2, '1\u202f234\u202f567.89'],
    [0.5, 3, '0.500'],
  ])('%d with %d decimals', (value, digits, text) => {
    expect(formatNumber(value, digits)).toBe(text);
  });
});
