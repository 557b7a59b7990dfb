import { expect, test } from 'vitest';
import { parseArguments } from '../../../src/core/config/parse-argv.ts';

const read = (...argv: string[]) => {
  const { settings, problems } = parseArguments(argv);
  expect(problems).toEqual([]);
  return settings.map(({ option, text }) =>
    option.value ? `${option.name}=${text}` : option.name,
  );
};

test.each([
  [['--number', '4'], ['number=4']],
  [['--number=4'], ['number=4']],
  [['--auth-token=a=b c'], ['auth-token=a=b c']],
  [['-svvn4'], ['server', 'v', 'v', 'number=4']],
  [
    ['-sb', '@e'],
    ['server', 'fou-local=@e'],
  ],
  [
    ['-b=@e', '-c'],
    ['fou-local=@e', 'client'],
  ],
])('%j', (argv, expected) => {
  expect(read(...argv)).toEqual(expected);
});

test('a value may begin with a hyphen unless it spells an option', () => {
  expect(read('--auth-token', '-secret-')).toEqual(['auth-token=-secret-']);
  expect(read('--auth-token', '--secret')).toEqual(['auth-token=--secret']);
  expect(read('--auth-token=--server')).toEqual(['auth-token=--server']);
  const { settings, problems } = parseArguments(['--auth-token', '--server']);
  expect(problems.map(({ key }) => key)).toEqual(['auth-token']);
  expect(settings.map(({ option }) => option.name)).toEqual(['server']);
});

test('the hint about such a value does not show a secret that follows', () => {
  const { problems } = parseArguments(['--fou-dev', '--auth-token=s3cret']);
  expect(JSON.stringify(problems)).not.toContain('s3cret');
});

test('config names become paths and names of tunnels', () => {
  const names = ['home', '/a/b.conf', './x', '../y.conf', 'site/home'];
  const { configs } = parseArguments(names.flatMap((name) => ['--config', name]));
  expect(configs).toEqual([
    { name: 'home', path: '/etc/ipipou/home.conf' },
    { name: 'b', path: '/a/b.conf' },
    { name: 'x', path: './x' },
    { name: 'y', path: '../y.conf' },
    { name: 'home', path: '/etc/ipipou/site/home.conf' },
  ]);
});

test.each([
  [['--help', '--bogus'], 'help'],
  [['-sh'], 'help'],
  [['--auth-keygen', '--version'], 'version'],
  [['--auth-keygen'], 'keygen'],
  [['-s'], undefined],
  [['--help=x'], undefined],
])('%j asks for %s', (argv, asks) => {
  expect(parseArguments(argv).asks).toBe(asks);
});
