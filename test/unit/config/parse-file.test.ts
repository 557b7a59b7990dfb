import { expect, test } from 'vitest';
import { parseConfigFile, parseSection } from '../../../src/core/config/parse-file.ts';

const read = (text: string) => {
  const { settings, problems } = parseConfigFile(text, 'f');
  expect(problems).toEqual([]);
  return settings.map(({ option, text: value, line }) => [line, option.name, value]);
};

test.each([
  [
    'blanks, tabs and hyphens before an option',
    ' \t--number 1\n-n 2',
    [
      [1, 'number', '1'],
      [2, 'number', '2'],
    ],
  ],
  ['empty lines', '\n\n  \n\t\n--\nserver', [[6, 'server', '']]],
  ['lines that begin with #, also behind blanks', '#a\n  # b\nserver', [[3, 'server', '']]],
  [
    'the ends of lines of other systems',
    'server\r\nnumber 1\r\n',
    [
      [1, 'server', ''],
      [2, 'number', '1'],
    ],
  ],
  ['a byte order mark', '\u{feff}server', [[1, 'server', '']]],
  ['blanks behind an option without value', 'server  ', [[1, 'server', '']]],
  ['nothing at all', '', []],
])('ignores %s', (_, text, expected) => {
  expect(read(text)).toEqual(expected);
});

test('a value is the rest of the line behind one space, as it stands', () => {
  expect(read('auth-token  a  # b= ')).toEqual([[1, 'auth-token', ' a  # b= ']]);
});

test('short forms are known in files as well', () => {
  expect(read('-s\nv\nb :5')).toEqual([
    [1, 'server', ''],
    [2, 'v', ''],
    [3, 'fou-local', ':5'],
  ]);
});

test('wrong lines do not hide the others', () => {
  const { settings, problems } = parseConfigFile('frob\nserver\nnumber\nkeepalive 1', 'f');
  expect(settings.map(({ option }) => option.name)).toEqual(['server', 'keepalive']);
  expect(problems.map(({ line }) => line)).toEqual([1, 3]);
});

test.each(['\n', '\r\n'])('lines of sections are counted right where they end in %j', (end) => {
  const lines = ['server', 'peer a', 'frob', '', 'peer b', 'keepalive 1', 'grob'];
  const { sections } = parseConfigFile(lines.join(end), 'f');
  const read = sections.map((section) => parseSection(section));
  expect(read.flatMap(({ problems }) => problems.map(({ line, key }) => [line, key]))).toEqual([
    [3, 'frob'],
    [7, 'grob'],
  ]);
  expect(read.flatMap(({ settings }) => settings.map(({ line }) => line))).toEqual([6]);
});
