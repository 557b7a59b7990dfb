import { expect, test } from 'vitest';
import { readPeerWords } from '../../../src/cli/peer-words.ts';

const readAll = (...words: readonly string[]) =>
  readPeerWords(words, async (where) => `what ${where} holds\n`);
const read = async (...words: readonly string[]) => (await readAll(...words)).options;

test.each([
  [['keepalive', '5'], [['keepalive', '5']]],
  [
    ['--keepalive', '5', 'reply-on-auth-ok'],
    [
      ['keepalive', '5'],
      ['reply-on-auth-ok', ''],
    ],
  ],
  [['r', 'h:1'], [['fou-remote', 'h:1']]],
  [['allowed-ips', '10.0.0.0/8, 10.1.0.0/16'], [['allowed-ips', '10.0.0.0/8, 10.1.0.0/16']]],
  [['auth-token', 'plain'], [['auth-token', 'plain']]],
  [['auth-token', '-'], [['auth-token', 'what - holds']]],
  [['auth-secret', '@/x'], [['auth-secret', 'what @/x holds']]],
  [
    ['auth-key-b64', '@/x', 'keepalive', '1'],
    [
      ['auth-key-b64', 'what @/x holds'],
      ['keepalive', '1'],
    ],
  ],
  // No secret: such a value is wrong, and the daemon says so.
  [['fou-remote', '@h'], [['fou-remote', '@h']]],
])('%j', async (words, options) => {
  expect(await read(...words)).toEqual(options);
});

test.each([
  [['keepalive'], 'keepalive: no value: expected a whole number'],
  [['auth-token', ''], 'auth-token: no value: expected 1 to 1472 bytes'],
  [['keepalvie', '5'], 'did you mean `--keepalive`?'],
  [['auth-tokenQXZ'], 'auth-token(hidden)'],
  [['verb', '3'], 'verb cannot be set per peer'],
  [['peer', 'x'], 'peer cannot be set per peer'],
  [['keepalive', '5', 'remove'], 'unknown option remove'],
])('%j is refused', async (words, message) => {
  await expect(read(...words)).rejects.toThrow(message);
});

test.each([
  ['@/root/token', 'two\nlines\n', '/root/token'],
  ['@/root/token', 'one\n\n', '/root/token'],
  ['-', 'one\rtwo', 'standard input'],
])('a secret of several lines in %s is refused, and not shown', async (where, text, named) => {
  const reading = readPeerWords(['auth-token', where], async () => text);
  await expect(reading).rejects.toThrow(
    `auth-token: ${named} holds several lines: expected one, the value alone`,
  );
});

test('secrets that everybody can see are named', async () => {
  expect(await readAll('auth-token', 'seen', 'keepalive', '5')).toMatchObject({
    openSecrets: ['auth-token'],
  });
  expect(await readAll('auth-token', '@/root/token', 'auth-secret', '-')).toMatchObject({
    openSecrets: [],
  });
});
