/*
 * What of the plane depends on the kernel; run on Debian's as well. Topology: the drawings at the heads
 * of test/rig/plane-pair.ts and test/rig/two-hosts.ts.
 */
import { expect, test } from 'vitest';
import { NamespaceSocket } from '../rig/namespace-sockets.ts';
import { describeForwarding } from '../rig/plane-cases.ts';
import { A_TO_B, B, eventually, INNER_B, onePair, type PlanePair } from '../rig/plane-pair.ts';
import type { TwoHosts } from '../rig/two-hosts.ts';

const text = new TextEncoder();

let pair: PlanePair;
let cable: TwoHosts;

onePair('bpf', (made) => {
  pair = made;
  ({ cable } = made);
});

// The kernel's coarse clock is at most a tick (10 ms) behind.
describeForwarding(() => pair, { behind: 10, before: 0 });

test('an ICMP error about a packet of ours is told with the remote it was for', async () => {
  await pair.openBoth();
  expect(await cable.pings(cable.a, INNER_B)).toBe(true);
  await pair.b.close('remove');
  await cable.exec(cable.a, 'ping', '-c1', '-W1', INNER_B);
  await eventually(() => {
    expect(pair.a.events).toContainEqual({
      event: 'outerError',
      error: { remote: B, kind: 'unreachable', code: 'port', from: B.ip },
    });
  });
  // The error is no reason for the next packet not to leave.
  using other = NamespaceSocket.udp(cable.b, B);
  await pair.a.send({ path: A_TO_B, payload: text.encode('auth'), ttl: undefined });
  await eventually(() => {
    expect(other.received()).toEqual([text.encode('auth')]);
  });
});
