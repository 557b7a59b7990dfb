import { afterAll, beforeAll, expect, test } from 'vitest';
import { noiseCrypto } from '../../src/adapters/crypto-noise.ts';
import { inside, ipBatch, removeNamespaces } from '../../src/adapters/lab/namespaces.ts';
import { runChecked } from '../../src/adapters/lab/process.ts';
import { FirstQueue } from '../../src/adapters/planes/fou/first-queue.ts';
import { openRawUdp, type RawUdp } from '../../src/adapters/raw-socket.ts';
import { CONTROL_LIMITS } from '../../src/core/budgets.ts';
import { readCookie } from '../../src/core/handshake/cookies.ts';
import { createInit } from '../../src/core/handshake/init.ts';
import type { ControlPacket } from '../../src/ports/data-plane.ts';
import { inNamespace } from '../rig/in-namespace.ts';
import { NamespaceSocket } from '../rig/namespace-sockets.ts';
import { holds } from '../rig/patience.ts';
import { clientKeys, endpoint, initPayload, serverKeys } from '../unit/handshake/ends.ts';

/*
 * The queue of first messages on this kernel, in a namespace, put before it by iptables (not every kernel here has nft's
 * queue):
 *
 *     127.1.x.y:40000 ──lo──▶ 127.0.0.1:10000 ──▶ queue 8        127.0.0.9:4001 has a socket
 */
const NAME = `firstq-${process.pid}`;
const QUEUE = 8;
const LOCAL = endpoint('127.0.0.1', 10_000);
const CLIENT = endpoint('127.0.0.9', 4001);
const { first, pending } = CONTROL_LIMITS;

let raw: RawUdp;
let queue: FirstQueue;
const up: ControlPacket[] = [];

beforeAll(async () => {
  await ipBatch(undefined, [`netns add ${NAME}`]);
  await ipBatch(NAME, ['link set lo up']);
  const rule = `-A INPUT -p udp --dport 10000 -j NFQUEUE --queue-num ${QUEUE}`;
  await runChecked(inside(NAME, ['iptables', ...rule.split(' ')]));
  inNamespace(NAME, () => {
    raw = openRawUdp();
    const keys = { ...serverKeys, secret: noiseCrypto.random(16) };
    queue = new FirstQueue(QUEUE, keys, {
      packet: async (packet) => void up.push(packet),
      send: ({ path, payload }) => {
        raw.send({ path, payload, ttl: 64 });
        return true;
      },
    });
  });
});

afterAll(async () => {
  queue.close();
  raw.close();
  await removeNamespaces([NAME]);
});

const init = (cookie?: Uint8Array) =>
  createInit(noiseCrypto, clientKeys(), { index: 5, payload: initPayload }, cookie);

function send(source: typeof CLIENT, payload: Uint8Array): void {
  raw.send({ path: { local: source, remote: LOCAL }, payload, ttl: 64 });
}

test('beyond its budget a flood is answered by cookies, and whoever has one comes in', async () => {
  using socket = NamespaceSocket.udp(NAME, CLIENT);
  const flood = init().packet;
  const { packet, pending: asked } = init();
  let sent = 0;
  let answer: Uint8Array | undefined;
  // Its budget fills again all the while; the queue has room for what is sent at once.
  await holds(() => {
    for (let at = 0; at < first.burst; at += 1) {
      send(endpoint(`127.1.${at}.1`, 40_000), flood);
      sent += 1;
    }
    send(CLIENT, packet);
    sent += 1;
    [answer] = socket.received();
    return answer !== undefined;
  });
  expect(up.length).toBeGreaterThanOrEqual(pending.first);
  expect(up.length).toBeLessThan(sent);
  expect(queue.refused.cookie).toBeGreaterThan(0n);
  const cookie = answer && readCookie(clientKeys(), asked, answer);
  if (!cookie?.ok) throw new Error('no cookie');
  const proved = init(cookie.value).packet;
  send(CLIENT, proved);
  await holds(() => up.some(({ payload }) => Buffer.from(payload).equals(proved)));
  expect(up.at(-1)?.path).toEqual({ local: LOCAL, remote: CLIENT });
  expect(queue.refused.mac1).toBe(0n);
});

test('what is made for another server costs nobody a budget', async () => {
  const before = queue.refused.mac1;
  const forged = init().packet;
  forged[20] = (forged[20] ?? 0) ^ 1;
  send(CLIENT, forged);
  await holds(() => queue.refused.mac1 === before + 1n);
});
