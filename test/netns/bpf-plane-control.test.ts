/*
 * Who is carried, and what goes up. Topology: the drawings at the heads of test/rig/plane-pair.ts and
 * test/rig/two-hosts.ts.
 */
import { describe, expect, test } from 'vitest';
import { port } from '../../src/core/units.ts';
import { NamespaceSocket } from '../rig/namespace-sockets.ts';
import { ip } from '../rig/addresses.ts';
import { innerEcho } from '../rig/traffic.ts';
import { describeAdmission } from '../rig/plane-cases.ts';
import {
  A,
  A_TO_B,
  B,
  B_TO_A,
  eventually,
  INNER_A,
  INNER_B,
  onePair,
  type PlanePair,
} from '../rig/plane-pair.ts';
import { tunnelled } from '../rig/tunnelled.ts';
import type { TwoHosts } from '../rig/two-hosts.ts';

const text = new TextEncoder();

let pair: PlanePair;
let cable: TwoHosts;

onePair('bpf', (made) => {
  pair = made;
  ({ cable } = made);
});

describeAdmission(() => pair);

describe('what is not data of the admitted peer', () => {
  test('authentication goes up whoever sends it, with its path; answers leave from the port', async () => {
    await pair.openA();
    await pair.openB({}, [4]);
    await pair.a.send({ path: A_TO_B, payload: text.encode('auth'), ttl: 5 });
    await pair.heardInB(1);
    expect(pair.b.packets()[0]).toMatchObject({ path: B_TO_A, payload: text.encode('auth') });
    await Promise.all([pair.a.admit(A_TO_B), pair.b.admit(B_TO_A)]);
    await pair.a.send({ path: A_TO_B, payload: text.encode('more'), ttl: undefined });
    await pair.heardInB(2);
    expect(pair.b.packets()[1]).toMatchObject({ path: B_TO_A, payload: text.encode('more') });
    const [local] = [{ ip: ip('10.9.0.4'), port: port(10_000) }];
    using third = NamespaceSocket.udp(cable.a, { ip: ip('10.9.0.3'), port: port(20_000) });
    const remote = { ip: ip('10.9.0.3'), port: port(20_000) };
    using tap = NamespaceSocket.tapAll(cable.a);
    await pair.b.send({ path: { local, remote }, payload: text.encode('reply'), ttl: 7 });
    await eventually(() => {
      expect(third.received()).toEqual([text.encode('reply')]);
    });
    const [packet] = tunnelled(tap.received(), local.ip);
    expect(packet?.outer).toMatchObject({ ttl: 7, source: local.ip, destination: remote.ip });
  });

  test('a client hears its server only', async () => {
    await pair.openBoth();
    using stranger = NamespaceSocket.udp(cable.b, { ip: ip('10.9.0.4'), port: port(10_001) });
    stranger.send(A, innerEcho(INNER_B, INNER_A));
    await eventually(async () => {
      expect((await pair.a.describe()).refused).toMatchObject({ 'stranger-closed': 1n });
    });
    expect(pair.a.packets()).toEqual([]);
  });

  test('a path whose local port is not ours is refused', async () => {
    await pair.openB();
    const elsewhere = { local: { ...B, port: port(10_001) }, remote: A };
    await expect(pair.b.admit(elsewhere)).rejects.toMatchObject({ exit: 'createTunnel' });
  });
});
