import { expect, test, vi } from 'vitest';
import { firstWords } from '../../../src/cli/first-words.ts';
import type { TunnelEvent } from '../../../src/core/events/event.ts';
import { port } from '../../../src/core/units.ts';
import { ip } from '../../rig/addresses.ts';

const READY: TunnelEvent = { kind: 'ready', role: 'client', device: 'ipipou0' };
const MET: TunnelEvent = {
  kind: 'established',
  remote: { ip: ip('192.0.2.1'), port: port(10_000) },
};
/** Longer than a test may take. */
const LONG = 1_000_000;

test('first words are over when client and server have heard each other', async () => {
  const told: string[] = [];
  const { tell, over } = firstWords(({ kind }) => told.push(kind));
  const ended = vi.fn<() => void>();
  const waiting = over(LONG).then(ended);
  tell(READY);
  await new Promise(setImmediate);
  expect(ended).not.toHaveBeenCalled();
  tell(MET);
  await waiting;
  expect(told).toEqual(['ready', 'established']);
});

test('they are over where that was before anybody asked, or when nobody waits any longer', async () => {
  const { tell, over } = firstWords(() => undefined);
  await expect(over(1)).resolves.toBeUndefined();
  tell(MET);
  await expect(over(LONG)).resolves.toBeUndefined();
});
