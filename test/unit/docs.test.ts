import { REQUESTS } from '../../src/core/management/requests.ts';
import { existsSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { COMMANDS } from '../../src/cli/commands/table.ts';
import { loadAll } from '../../src/cli/find-command.ts';
import { REFUSALS } from '../../src/core/auth/refusal.ts';
import { formatManPage } from '../../src/core/config/text/man.ts';
import { completionFiles } from '../../src/cli/completions/files.ts';
import { formatConfigPage } from '../../src/core/config/text/man-config.ts';
import { replaceOptionTable } from '../../src/core/config/text/markdown.ts';

const read = (name: string): string =>
  readFileSync(new URL(`../../${name}`, import.meta.url), 'utf8');

it('docs/OPTIONS.md has the option table of the code (else: npm run docs)', () => {
  const page = read('docs/OPTIONS.md');
  expect(replaceOptionTable(page)).toBe(page);
});

it('the man pages and the completions are those of the code (else: npm run docs)', async () => {
  const commands = await loadAll(COMMANDS);
  const { version } = JSON.parse(read('package.json')) as { version: string };
  const texts = {
    'docs/ipipou.8': formatManPage(version, commands),
    'docs/ipipou.conf.5': formatConfigPage(version),
    ...completionFiles(commands),
  };
  for (const [name, text] of Object.entries(texts)) expect(read(name), name).toBe(text);
});

it('README is one read: 1500 words at most', () => {
  const words = read('README.md').split(/\s+/);
  // Bars between the columns of tables, and the like, are none.
  const real = words.filter((word) => /[\p{L}\p{N}]/u.test(word));
  expect(real.length).toBeLessThanOrEqual(1500);
});

/** Links to our own files whose file or heading is not there. */
function deadLinks(page: string): readonly string[] {
  const folder = new URL(`../../${page}`, import.meta.url);
  const links = [...read(page).matchAll(/\]\((?!https?:)([^)]+)\)/g)].map(([, link = '']) => link);
  return links.filter((link) => {
    const [file = '', heading] = link.split('#');
    const target = new URL(file, folder);
    if (!existsSync(target)) return true;
    const headings = [...readFileSync(target, 'utf8').matchAll(/^#+ (.*)$/gm)].map(
      ([, title = '']) =>
        title
          .toLowerCase()
          .replaceAll(/[^a-z0-9 -]/g, '')
          .replaceAll(' ', '-'),
    );
    return heading !== undefined && !headings.includes(heading);
  });
}

it.each([
  'README.md',
  'docs/MANUAL.md',
  'docs/OPTIONS.md',
  'docs/ARCHITECTURE.md',
  'docs/METRICS.md',
  'docs/CONTROL.md',
  'docs/JSON.md',
  'docs/PROTOCOL.md',
  'docs/BENCHMARKS.md',
  'CHANGELOG.md',
])('every link of %s to a file or a heading of ours leads somewhere', (page) =>
  expect(deadLinks(page)).toEqual([]),
);

it('docs/CONTROL.md says of every request who may ask it', () => {
  const page = read('docs/CONTROL.md');
  for (const [name, { access }] of Object.entries(REQUESTS)) {
    const who = access === 'read' ? 'group, root' : 'root';
    expect(page).toMatch(new RegExp(`^\\| \`${name}\` +\\| ${who} `, 'm'));
  }
});

it('the manual says what every reason of a refusal means', () => {
  const manual = read('docs/MANUAL.md');
  expect(REFUSALS.filter((reason) => !manual.includes(`| \`${reason}\` `))).toEqual([]);
});
