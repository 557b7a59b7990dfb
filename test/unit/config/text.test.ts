import { format } from 'prettier';
import { expect, test } from 'vitest';
import { OPTIONS } from '../../../src/core/config/options.ts';
import { hyphenate, type Option } from '../../../src/core/config/option.ts';
import { formatScope } from '../../../src/core/config/text/describe.ts';
import { formatHelp } from '../../../src/core/config/text/help.ts';
import { formatKeyPair } from '../../../src/core/config/text/keygen.ts';
import { formatManPage } from '../../../src/core/config/text/man.ts';
import {
  TABLE_BEGIN,
  TABLE_END,
  formatOptionTable,
  replaceOptionTable,
} from '../../../src/core/config/text/markdown.ts';
import { wrap } from '../../../src/core/config/text/wrap.ts';
import { EXIT } from '../../../src/core/exit-codes.ts';

const COMMANDS = [{ name: 'show', summary: 'Show what runs.', usage: 'ipipou up NAME' }];

function spellingOf({ name, short, fileOnly }: Option): string {
  if (fileOnly) return name;
  return short === undefined ? hyphenate(name) : `-${short}, --${name}`;
}

test('what may stand in a section is marked, and what of it is inherited', () => {
  const scopes = Object.fromEntries(OPTIONS.map((option) => [option.name, formatScope(option)]));
  expect(scopes).toMatchObject({
    peer: 'config file only',
    keepalive: 'per peer, inherited',
    'auth-token': 'per peer',
    'auth-lifetime': 'server only, per peer, inherited',
    'tunl-ip': undefined,
  });
  const [help, table, page] = [formatHelp(), formatOptionTable(), formatManPage()];
  for (const text of [help.replaceAll(/\s+/g, ' '), table]) expect(text).toContain('per peer');
  expect(page).toContain('.SH PEERS');
});

test('help names every option, in lines of at most 80 characters', () => {
  const lines = formatHelp(COMMANDS).split('\n');
  for (const option of OPTIONS) {
    const spelt = spellingOf(option);
    expect(lines.filter((line) => `${line} `.startsWith(`  ${spelt} `))).toHaveLength(1);
  }
  expect(lines.filter((line) => line.length > 80)).toEqual([]);
  expect(lines.filter((line) => line !== line.trimEnd())).toEqual([]);
  expect(lines).toContain('  show                    Show what runs.');
});

test('help tells what is unchecked, and what a client must give', () => {
  const help = formatHelp().replaceAll(/\s+/g, ' ');
  expect(help).toContain('0 = unchecked');
  expect(help).toContain('[default: 300; per peer, inherited]');
  expect(help).toContain('a client must give it');
});

test('the table of docs/OPTIONS.md has every option once, and prettier leaves it as it is', async () => {
  const table = formatOptionTable();
  for (const { name, fileOnly } of OPTIONS) {
    const spelt = fileOnly ? name : hyphenate(name);
    const rows = table
      .split('\n')
      .filter((line) => new RegExp(`[\` ]${spelt}[\` ]`).test(line.split('|')[1] ?? ''));
    expect(rows).toHaveLength(1);
    // Four cells: a bar in a text would make more.
    expect(rows[0]?.match(/(?<!\\)\|/g)).toHaveLength(5);
  }
  expect(await format(table, { parser: 'markdown' })).toBe(table);
});

test('the table is renewed between its markers, and only there', () => {
  const text = `a\n${TABLE_BEGIN}\nold\n${TABLE_END}\nb\n`;
  const renewed = `a\n${TABLE_BEGIN}\n\n${formatOptionTable()}\n${TABLE_END}\nb\n`;
  expect(replaceOptionTable(text)).toBe(renewed);
  expect(replaceOptionTable(renewed)).toBe(renewed);
  expect(replaceOptionTable('no markers')).toBeUndefined();
  expect(replaceOptionTable(`${TABLE_END}${TABLE_BEGIN}`)).toBeUndefined();
});

test('the manual has every option and every exit code', () => {
  const page = formatManPage('1.2.3', COMMANDS);
  const escape = (text: string) => text.replaceAll('-', '\\-');
  for (const option of OPTIONS) {
    const spelt = spellingOf(option);
    expect(
      page.split('\n').filter((line) => `${line} `.startsWith(`.B ${escape(spelt)} `)),
    ).toHaveLength(1);
  }
  for (const code of Object.values(EXIT)) expect(page).toContain(`\n.B ${code}\n`);
  expect(page).toContain('ipipou 1.2.3');
});

test('no line of the manual is a request by accident', () => {
  const requests = /^\.(?:TH|SH|SS|TP|B|BR|RI|I|IP|PP|nf|fi|br)(?: |$)/;
  const lines = formatManPage('1.2.3', COMMANDS).split('\n');
  expect(lines.filter((line) => /^[.']/.test(line) && !requests.test(line))).toEqual([]);
  expect(lines.filter((line) => line.length > 100)).toEqual([]);
});

test('key pairs are printed as two lines, with labels if asked for', () => {
  const pair = { privateSeed: Uint8Array.of(0, 0, 0), publicKey: Uint8Array.of(255, 255, 255) };
  expect(formatKeyPair(pair, false)).toBe('AAAA\n////\n');
  expect(formatKeyPair(pair, true)).toBe(
    'Private key (ed25519, 32 bytes): AAAA\nPublic key (ed25519, 32 bytes): ////\n',
  );
});

test('wrapping keeps words whole', () => {
  expect(wrap('aa bb cc', 5)).toEqual(['aa bb', 'cc']);
  expect(wrap('aa bb cc', 7, '  ')).toEqual(['  aa bb', '  cc']);
  expect(wrap('longer-than-that b', 5)).toEqual(['longer-than-that', 'b']);
  expect(wrap('', 5)).toEqual(['']);
});
