import { inside } from '../../src/adapters/lab/namespaces.ts';
import { Program } from '../../src/adapters/lab/process.ts';
import { describe, expect, test } from 'vitest';
import { OUTER_ERROR_RATE } from '../../src/core/budgets.ts';
import { floodCommand, floodSent } from '../rig/flood.ts';
import { describeOuterErrors } from '../rig/outer-error-cases.ts';
import { A, A_TO_B, B, eventually, INNER_B, onePair, type PlanePair } from '../rig/plane-pair.ts';
import type { TwoHosts } from '../rig/two-hosts.ts';

for (const family of ['ipv4', 'ipv6'] as const) {
  describeOuterErrors('tun', 1, family);
  describeOuterErrors('bpf', 1, family);
}

/* Topology: the drawings at the heads of test/rig/plane-pair.ts and test/rig/two-hosts.ts. */
describe('on tun', () => {
  let pair: PlanePair;
  let cable: TwoHosts;

  onePair('tun', (made) => {
    pair = made;
    ({ cable } = made);
  });

  const told = () =>
    pair.a.events.flatMap((heard) => (heard.event === 'outerError' ? [heard.error] : []));

  test('errors about data and about what the plane sends are told', async () => {
    await pair.openA();
    await pair.a.admit(A_TO_B);
    await cable.exec(cable.a, 'ping', '-c1', '-W1', INNER_B);
    const error = { remote: B, kind: 'unreachable', code: 'port', from: B.ip };
    await eventually(() => expect(told()).toEqual([error]));
    await pair.a.send({ path: A_TO_B, payload: new Uint8Array(85), ttl: undefined });
    await eventually(() => expect(told()).toEqual([error, error]));
  });

  test('a server hears none', async () => {
    await pair.openA({ role: 'server' });
    await pair.a.admit(A_TO_B);
    await cable.exec(cable.a, 'ping', '-c1', '-W1', INNER_B);
    expect(told()).toEqual([]);
  });

  test('a flood of forged errors has a budget, and later ones are heard', async () => {
    await pair.openA();
    await pair.a.admit(A_TO_B);
    const from = performance.now();
    const mac = await cable.sure(cable.a, 'cat', '/sys/class/net/v0/address');
    const argv = floodCommand({
      packets: 'errors',
      ...{ device: 'v0', mac: mac.trim(), to: A, about: B },
      ...{ rate: 0, count: 50_000, sources: 1000 },
    });
    await using sender = new Program(inside(cable.b, argv));
    expect(await floodSent(sender, false)).toBe(50_000);
    await eventually(async () => {
      await cable.exec(cable.a, 'ping', '-c1', '-W1', INNER_B);
      expect(told().at(-1)).toMatchObject({ from: B.ip });
    });
    const seconds = (performance.now() - from) / 1000;
    const { perSecond, burst } = OUTER_ERROR_RATE;
    expect(told().length).toBeGreaterThan(burst / 2);
    expect(told().length).toBeLessThan(burst + perSecond * seconds + 1);
  });
});
