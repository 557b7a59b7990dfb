import { expect, test } from 'vitest';
import { adviseOn } from '../../../src/core/config/advice.ts';
import { PRIVATE_KEY, PUBLIC_KEY, resolveRun } from './resolve-texts.ts';

const SERVER = `server\nauth-remote-pubkey-b64 ${PUBLIC_KEY}\nauth-secret long-enough-words\nauth-lifetime 3600\nreply-on-auth-ok\n`;
const CLIENT = `client\nfou-remote home.example:10000\ntunl-ip 172.28.0.1\nauth-key-b64 ${PRIVATE_KEY}\nauth-secret long-enough-words\n`;

/** The first word of each piece of advice. */
function about(text: string): readonly string[] {
  return adviseOn(resolveRun(text).config).map(({ words }) => words.split(':')[0] ?? '');
}

test('nothing is said against what is wise', () => {
  expect(about(SERVER)).toEqual([]);
  expect(about(CLIENT)).toEqual([]);
});

test.each([
  [SERVER.replace('auth-lifetime 3600\n', ''), 'auth-lifetime 0'],
  [SERVER.replace('reply-on-auth-ok\n', ''), 'no reply-on-auth-ok'],
  [SERVER.replace('long-enough-words', 'short'), 'auth-secret'],
  [`${SERVER}auth-max-time-discrepancy 0\n`, 'auth-max-time-discrepancy 0'],
  [`${SERVER}no-encap-csum\n`, 'no-encap-csum'],
  [`${SERVER}mtu 1500\n`, 'mtu'],
  [`${SERVER}mtu 1500\nouter-fragments\n`, 'outer-fragments'],
  [`${CLIENT}keepalive 0\n`, 'keepalive 0'],
  ['server\nauth-token a\nauth-lifetime 3600\n', 'auth-token'],
  ['server\nauth none\n', 'no proof'],
])('%j', (text, word) => {
  expect(about(text)).toEqual([word]);
});

test('what is said of many peers is said once', () => {
  const peers = ['a', 'b', 'c'].map(
    (name, at) => `peer ${name}\nauth-token ${name}\ntunl-peer-ip 172.28.0.${at + 1}\n`,
  );
  const advice = adviseOn(resolveRun(`server\nauth-lifetime 3600\n${peers.join('')}`).config);
  expect(advice).toMatchObject([{ who: 'a', others: 2 }]);
});
