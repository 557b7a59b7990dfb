import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { COMMANDS } from '../../src/cli/commands/table.ts';
import { formatManPage } from '../../src/core/config/text/man.ts';
import { replaceOptionTable } from '../../src/core/config/text/markdown.ts';

const read = (name: string): string =>
  readFileSync(new URL(`../../${name}`, import.meta.url), 'utf8');

it('README has the option table of the code (else: npm run docs)', () => {
  const readme = read('README.md');
  expect(replaceOptionTable(readme)).toBe(readme);
});

it('the man page is that of the code (else: npm run docs)', () => {
  const { version } = JSON.parse(read('package.json')) as { version: string };
  expect(read('docs/ipipou.8')).toBe(formatManPage(version, COMMANDS));
});
