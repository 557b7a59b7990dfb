import { expect, test } from 'vitest';
import { VERIFY_AT_ONCE, VERIFY_REFUSED, VERIFY_WAITING } from '../../../src/app/limits.ts';
import { VERIFY_RATE } from '../../../src/core/budgets.ts';
import type { PeerId } from '../../../src/core/config/tunnel-config.ts';
import type { SessionMemory } from '../../../src/core/session/types.ts';
import type { HookEnvironment } from '../../../src/core/hooks.ts';
import { setUp } from './driver-scene.ts';
import { pathTo, peerConfig, settle } from './fakes.ts';

const MEMORY: SessionMemory = { remote: undefined, replay: undefined };
const packet = { kind: 'packet', path: pathTo(1), payload: new Uint8Array(73) } as const;
const remember = { kind: 'remember', memory: MEMORY } as const;
const admit = (last: number) => ({ kind: 'admit', path: pathTo(last) }) as const;
const payload = new Uint8Array(3);
const answer = (last: number) =>
  ({ kind: 'send', purpose: 'reply', path: pathTo(last), payload, ttl: undefined }) as const;
const established = {
  kind: 'event',
  event: { kind: 'established', remote: pathTo(1).remote },
} as const;

/** A driver whose operator's command answers as `says` has it, when it is let. */
async function asking() {
  const asked: HookEnvironment[] = [];
  const says: { failure: string | undefined; gate: Promise<void> } = {
    failure: undefined,
    gate: Promise.resolve(),
  };
  const scene = await setUp({
    verify: async (environment) => {
      asked.push(environment);
      await says.gate;
      return says.failure;
    },
  });
  const arrive = (last = 1): Promise<void> => {
    scene.core.on('packet', remember, admit(last), established, answer(last));
    return scene.dispatch(packet);
  };
  return { ...scene, asked, says, arrive };
}

test('whom the command lets in is carried, answered and told of; where he stays he is not asked about again', async () => {
  const { arrive, asked, plane, lines } = await asking();
  await arrive();
  expect(plane.calls).toEqual([
    'admit 198.51.100.1',
    'admitted 198.51.100.1',
    'send 3 to 198.51.100.1',
  ]);
  expect(asked).toEqual([{ IPIPOU_PEER: 'default', IPIPOU_ENDPOINT: '198.51.100.1:20000' }]);
  expect(lines.map(({ event }) => event)).toEqual(['established']);
  await arrive();
  expect(asked).toHaveLength(1);
  await arrive(2);
  expect(asked[1]).toMatchObject({ IPIPOU_PREVIOUS_ENDPOINT: '198.51.100.1:20000' });
});

test('whom it refuses is neither carried nor answered, is told of once, and costs no process for a while', async () => {
  const { arrive, asked, says, plane, core, lines, clock } = await asking();
  says.failure = 'exit code 1: no';
  for (let count = 0; count < 20; count += 1) await arrive();
  expect(plane.calls).toEqual([]);
  expect(core.kinds.filter((kind) => kind === 'turned-away')).toHaveLength(20);
  expect(asked).toHaveLength(1);
  expect(lines.map(({ event }) => event)).toEqual(['turned away by the hook verify']);
  says.failure = undefined;
  await clock.advance(VERIFY_REFUSED);
  await arrive();
  expect(plane.calls).toContain('admitted 198.51.100.1');
});

test('who comes from ever other places is asked about within a budget, and stays out beyond it', async () => {
  const { arrive, asked, plane } = await asking();
  for (let last = 1; last <= 4 * VERIFY_RATE.burst; last += 1) await arrive(last);
  expect(asked).toHaveLength(VERIFY_RATE.burst);
  const carried = plane.calls.filter((call) => call.startsWith('admitted'));
  expect(carried).toHaveLength(VERIFY_RATE.burst);
});

test('who comes again and again while he is asked about is asked about within that budget as well', async () => {
  const { arrive, asked, says } = await asking();
  let open = (): void => undefined;
  says.gate = new Promise((resolve) => (open = resolve));
  const held = Array.from({ length: 4 * VERIFY_RATE.burst }, () => arrive());
  await settle();
  expect(asked.length).toBeLessThanOrEqual(VERIFY_AT_ONCE);
  open();
  await Promise.all(held);
  expect(asked.length).toBeLessThanOrEqual(VERIFY_RATE.burst);
});

test('nobody else waits for the command; so many run at once, so many wait, the others are refused', async () => {
  const { driver, asked, says, plane, core, lines, dispatch } = await asking();
  let open = (): void => undefined;
  says.gate = new Promise((resolve) => (open = resolve));
  const count = VERIFY_AT_ONCE + VERIFY_WAITING + 3;
  const held: Promise<void>[] = [];
  for (let index = 0; index < count; index += 1) {
    const slot = await driver.exclusive(async () => driver.add(peerConfig(`p${index}` as PeerId)));
    core.on('packet', admit(2));
    held.push(driver.dispatch(slot, packet));
  }
  await settle();
  expect(asked).toHaveLength(VERIFY_AT_ONCE);
  core.on('wake', answer(9));
  await dispatch({ kind: 'wake' });
  expect(plane.calls).toEqual(['send 3 to 198.51.100.9']);
  open();
  await Promise.all(held);
  expect(asked).toHaveLength(VERIFY_AT_ONCE + VERIFY_WAITING);
  const refusals = lines.filter(({ event }) => event === 'turned away by the hook verify');
  expect(refusals).toHaveLength(3);
});

test('whom an earlier run let in stays until the command refuses him', async () => {
  const { driver, asked, says, core } = await asking();
  says.failure = 'exit code 1';
  const slot = await driver.settled(async () =>
    driver.add(peerConfig('other' as PeerId), pathTo(3)),
  );
  await driver.start([slot]);
  await settle();
  expect(asked).toHaveLength(1);
  expect(core.kinds).toEqual(['start', 'turned-away']);
});
