import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeResults, encodeResults, RESULTS_MAX } from '../../../src/bench/results.ts';
import { resultsOf, rounds, sample } from './sample-results.ts';

const whole = resultsOf(
  [
    ...rounds('tcpUp', [10_000, 11_000], [900, 1000]),
    {
      ...sample('ipipou-tun', 1, {}, 'profile'),
      missing: { recover: 'not in 3 s' },
      profile: [{ share: 12.5, symbol: 'copy_page' }],
    },
  ],
  { failures: [{ scene: 'slow', contestant: 'bare', round: 2, reason: 'no reply' }] },
);

test('what is written is read again', () => {
  expect(decodeResults(encodeResults(whole))).toEqual({ ok: true, value: whole });
  const empty = resultsOf([]);
  expect(decodeResults(encodeResults(empty))).toEqual({ ok: true, value: empty });
});

test('each sample has a line of its own, rounded to six digits', () => {
  const lines = encodeResults(resultsOf([sample('bare', 1, { tcpUp: 12_345.678_9 })])).split('\n');
  expect(lines.filter((line) => line.includes('"tcpUp":12345.7'))).toHaveLength(1);
});

describe('what is refused', () => {
  /** The file as it is, with the field at a path changed, or (undefined) left out. */
  const changed = (path: string, to: unknown): string => {
    const keys = path.split('.');
    const root: unknown = JSON.parse(encodeResults(whole));
    const parent = keys.slice(0, -1).reduce((value, key) => Reflect.get(Object(value), key), root);
    Reflect.set(Object(parent), keys.at(-1) ?? '', to);
    return JSON.stringify(root);
  };
  test.each([
    { text: '', says: 'not JSON' },
    { text: '[]', says: 'results: expected an object' },
    { text: 'null', says: 'results: expected an object' },
    { text: changed('format', 'x'), says: 'results.format' },
    { text: changed('version', 2), says: 'results.version: expected 1' },
    { text: changed('more', 1), says: 'unknown field more' },
    { text: changed('samples', undefined), says: 'results.samples: expected a list' },
    { text: changed('samples.0.round', 0), says: 'samples[0].round' },
    { text: changed('samples.0.round', 1.5), says: 'a whole number' },
    { text: changed('samples.0.values.tcpUp', '9'), says: 'values.tcpUp' },
    { text: changed('samples.0.values.a b', 1), says: 'a key' },
    { text: changed('samples.0.contestant', 'a/b'), says: 'contestant' },
    { text: changed('facts.kernel', 'a\nb'), says: 'facts.kernel' },
    { text: changed('facts.kernel', 'x'.repeat(401)), says: 'at most 400' },
    { text: changed('options.rounds', 1e9), says: 'options.rounds' },
    { text: changed('contestants.0.kind', 'odd'), says: 'bare or plain or encrypted' },
    { text: ' '.repeat(RESULTS_MAX + 1), says: 'longer than' },
  ])('$says', ({ text, says }) => {
    const decoded = decodeResults(text);
    expect(decoded.ok ? 'accepted' : decoded.reason).toContain(says);
  });

  test('a file that was cut short, at any length', () => {
    const text = encodeResults(whole).trimEnd();
    for (let length = 0; length < text.length; length++) {
      expect(decodeResults(text.slice(0, length)).ok, `${length}`).toBe(false);
    }
  });

  test('any other JSON, without a throw', () => {
    fc.assert(fc.property(fc.json(), (text) => !decodeResults(text).ok));
  });
});
