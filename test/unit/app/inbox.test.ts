import { expect, test } from 'vitest';
import { Inbox } from '../../../src/app/inbox.ts';
import { pathTo, settle } from './fakes.ts';

const ERROR = {
  remote: pathTo(1).remote,
  kind: 'unreachable',
  code: 'port',
  from: undefined,
} as const;

function heardBy(inbox: Inbox): string[] {
  const heard: string[] = [];
  inbox.deliverTo({
    receive: async () => void heard.push('packet'),
    outerError: () => heard.push('error'),
    roamed: () => void heard.push('roamed'),
    fail: () => heard.push('failure'),
  });
  return heard;
}

test('packets wait for the session; what the network says, which anybody can forge, does not', async () => {
  const inbox = new Inbox(() => undefined);
  const packet = inbox.packet({ path: pathTo(1), payload: new Uint8Array() });
  for (let count = 0; count < 1000; count += 1) inbox.outerError(ERROR);
  const heard = heardBy(inbox);
  await packet;
  await settle();
  expect(heard).toEqual(['packet']);
  inbox.outerError(ERROR);
  expect(heard).toEqual(['packet', 'error']);
});
