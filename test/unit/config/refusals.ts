import { expect } from 'vitest';
import type { ExitName } from '../../../src/core/exit-codes.ts';
import { configError } from './resolve-texts.ts';

/** What one problem says: where, of which option, which value, and part of what was expected. */
export type Said = {
  readonly line: number | undefined;
  readonly key: string;
  readonly value: string | undefined;
  readonly expected: string;
  readonly exit?: ExitName;
};

export const is = (key: string, value: string | undefined, expected: string, exit?: ExitName) => ({
  key,
  value,
  expected,
  ...(exit && { exit }),
});

/** A file with one problem, which says this. */
export function expectRefusal(text: string, said: Said): void {
  const error = configError({ '/etc/ipipou/t.conf': text });
  expect(error.problems).toHaveLength(1);
  expect(error.problems[0]).toMatchObject({
    source: '/etc/ipipou/t.conf',
    line: said.line,
    key: said.key,
    value: said.value,
    expected: expect.stringContaining(said.expected) as string,
  });
  expect(error.exit).toBe(said.exit ?? 'arguments');
  expect(error.message).toContain(said.expected);
}
