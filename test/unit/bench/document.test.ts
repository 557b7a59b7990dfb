import { expect, test } from 'vitest';
import { formatMarkdownReport, formatTerminalReport } from '../../../src/bench/document.ts';
import { replaceMarked } from '../../../src/core/config/text/markdown.ts';
import { resultsOf, rounds, sample } from './sample-results.ts';

const run = resultsOf(rounds('tcpUp', [10_000, 20_000], [5000, 10_000]));

test('a report has the machine, the contestants, the tables and what could not be', () => {
  const failures = [{ scene: 'super', contestant: 'ipipou-tun', round: 2, reason: 'no reply' }];
  for (const text of [formatTerminalReport, formatMarkdownReport].map((format) =>
    format({ ...run, failures }),
  )) {
    expect(text).toContain('Linux 6.1.0, 2 × a processor');
    expect(text).toContain('this kernel has no wireguard');
    expect(text).toContain('unlimited, GSO super-packets: TCP, one stream');
    expect(text).toContain('ipipou, tun, super, round 2: no reply');
  }
});

test('where ipipou is behind is said only where it was measured', () => {
  expect(formatMarkdownReport(run)).toContain('Nowhere on the unlimited links.');
  const slow = resultsOf([sample('bare', 1, { tcpUpMany: 19 }, 'slow')]);
  expect(formatMarkdownReport(slow)).not.toContain('behind');
});

test('a profile is a table of its own', () => {
  const profile = [{ share: 12.34, symbol: 'copy_page' }];
  const run = resultsOf([{ ...sample('bare', 1, {}, 'profile'), profile }]);
  expect(formatTerminalReport(run)).toMatch(/bare path .*copy_page 12\.3\u202f%/);
});

test('what stands between marks is replaced, and nothing else', () => {
  const text = 'a\n<!-- x: begin -->\nold\n<!-- x: end -->\nb\n';
  const once = replaceMarked(text, 'x', '\nnew $& text\n');
  expect(once).toBe('a\n<!-- x: begin -->\n\nnew $& text\n\n<!-- x: end -->\nb\n');
  expect(replaceMarked(once, 'x', 'new $& text')).toBe(once);
  expect(() => replaceMarked(text, 'y', '')).toThrow('the marks of y are missing');
});
