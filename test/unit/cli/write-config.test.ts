import { expect, test } from 'vitest';
import { newConfigPlace } from '../../../src/cli/setup/write-config.ts';

test.each([
  ['work', '/etc/ipipou/work.conf'],
  ['work.conf', '/etc/ipipou/work.conf'],
  ['/etc/ipipou/work.conf', '/etc/ipipou/work.conf'],
  ['/root/work', '/root/work'],
  ['/etc/ipipou/old/work', '/etc/ipipou/old/work'],
])('%s is made as %s', (word, path) => {
  expect(newConfigPlace('init', word)).toEqual({ path, name: 'work' });
});

test.each([
  ['/etc/ipipou/work', 'work'],
  ['/etc/./ipipou/../ipipou/work.d', 'work.d'],
])('%s is refused: the service would look for another file', (word, name) => {
  expect(() => newConfigPlace('join', word)).toThrow(
    `join: ${JSON.stringify(word)}: files in /etc/ipipou end with .conf: ${name}, or /etc/ipipou/${name}.conf`,
  );
});
