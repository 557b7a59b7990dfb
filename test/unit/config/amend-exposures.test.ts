import { expect, test } from 'vitest';
import { amendExposures } from '../../../src/core/config/amend-exposures.ts';
import type { PeerOption } from '../../../src/core/config/edit-peers.ts';
import { exposureList } from '../../../src/core/config/exposure-list.ts';
import { resolveRun } from './resolve-texts.ts';

const amended = (before: string, text: string): string => {
  const reading = exposureList.read(before);
  if (!reading.ok) throw new Error(reading.expected);
  const [peer] = resolveRun(`server\nauth none\n`).config.peers;
  if (peer === undefined) throw new Error('no peer');
  const peers = [{ ...peer, exposed: { services: reading.value, from: [] } }];
  const [[, value] = ['', '']] = amendExposures([['expose', text]], peer.id, peers);
  return value;
};

test.each([
  ['tcp/443', '+udp/5 rate 7', 'tcp/443, udp/5 rate 7'],
  ['', '+tcp/1, tcp/2', 'tcp/1, tcp/2'],
  ['tcp/443 rate 5, tcp/80', '+tcp/443 connections 9', 'tcp/80, tcp/443 connections 9'],
  ['tcp/443 rate 5, tcp/80', '-tcp/443', 'tcp/80'],
  ['all', '-all', 'none'],
  ['tcp/443', 'tcp/80', 'tcp/80'],
])('%s and %s', (before, text, after) => {
  expect(amended(before, text)).toBe(after);
});

test('what is not there is not taken away, and what is no service is told', () => {
  expect(() => amended('tcp/443', '-tcp/80')).toThrow(/services that the peer exposes: tcp\/443/);
  expect(() => amended('', '+tcp/x')).toThrow(/tcp\/x/);
});

test('other options stay as they are', () => {
  const options = [
    ['expose-from', '+x'],
    ['keepalive', '-5'],
  ] as const;
  expect(amendExposures(options, 'new', [])).toEqual(options);
});

test('what a peer exposes that is not there cannot be changed', () => {
  const { peers } = resolveRun(`server\nauth none\n`).config;
  const change = (options: readonly PeerOption[]) => () => amendExposures(options, 'nobody', peers);
  expect(change([['expose', '+tcp/80']])).toThrow(
    /peer: "nobody": expected the name of a peer of this tunnel: default$/,
  );
  expect(change([['expose', 'tcp/80']])()).toEqual([['expose', 'tcp/80']]);
});
