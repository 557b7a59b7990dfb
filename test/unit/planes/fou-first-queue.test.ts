import { expect, test } from 'vitest';
import type { QueuedPacket, QueueOptions } from '../../../src/adapters/nfqueue.ts';
import { FirstQueue } from '../../../src/adapters/planes/fou/first-queue.ts';
import { noiseCrypto } from '../../../src/adapters/crypto-noise.ts';
import { formatEndpoint, type Endpoint } from '../../../src/core/addr.ts';
import { CONTROL_LIMITS, GUARD_LIMITS } from '../../../src/core/budgets.ts';
import { readCookie } from '../../../src/core/handshake/cookies.ts';
import { createInit } from '../../../src/core/handshake/init.ts';
import { port } from '../../../src/core/units.ts';
import { encodeUdpPacket } from '../../../src/core/wire/udp.ts';
import type { ControlPacket, OutgoingControl } from '../../../src/ports/data-plane.ts';
import { ip } from '../../rig/addresses.ts';
import { clientKeys, endpoint, initPayload, serverKeys } from '../handshake/ends.ts';

/* The queue without a kernel: packets are put in by hand. */

const LOCAL = { ip: ip('203.0.113.1'), port: port(10_000) };
const LOCAL6 = { ip: ip('2001:db8::1'), port: port(10_000) };
const KEYS = { ...serverKeys, secret: noiseCrypto.random(16) };
const { burst: most } = CONTROL_LIMITS.first;

class Bench {
  now = 0;
  /** Whether the session answers at once. */
  answers = true;
  sends = true;
  options: QueueOptions | undefined;
  readonly up: ControlPacket[] = [];
  readonly answered: OutgoingControl[] = [];
  readonly queue: FirstQueue;
  #deliver: (packet: QueuedPacket) => void = () => undefined;

  constructor() {
    const open = (options: QueueOptions, onPacket: (packet: QueuedPacket) => void) => {
      this.options = options;
      this.#deliver = onPacket;
      return {
        ...{ verdict: () => undefined, dropped: () => 3, close: () => undefined },
        ...{ [Symbol.dispose]: () => undefined, overruns: 0, errors: 0 },
      };
    };
    const owner = {
      packet: async (packet: ControlPacket) => {
        this.up.push(packet);
        if (!this.answers) await new Promise(() => undefined);
      },
      send: (packet: OutgoingControl) => {
        this.answered.push(packet);
        return this.sends;
      },
    };
    this.queue = new FirstQueue(4, KEYS, owner, { open, now: () => this.now });
  }

  async put(source: Endpoint, payload: Uint8Array): Promise<void> {
    const local = source.ip.includes(':') ? LOCAL6 : LOCAL;
    const path = { local: source, remote: local };
    const packet = { path, payload, ttl: 64, dontFragment: false, checksum: true };
    this.#deliver({ id: 1, payload: encodeUdpPacket(packet), inDevice: undefined });
    await new Promise((resolve) => void setImmediate(resolve));
  }

  /** So many first messages, each from another address. */
  async flood(count: number, from = 0): Promise<void> {
    const { packet } = init();
    for (let at = from; at < from + count; at += 1) {
      await this.put(endpoint(`198.18.${at >> 8}.${at & 255}`, 40_000), packet);
    }
  }
}

const init = (cookie?: Uint8Array) =>
  createInit(noiseCrypto, clientKeys(), { index: 5, payload: initPayload }, cookie);

test('first messages that are meant for us go up, by the way that they came', async () => {
  const bench = new Bench();
  const { packet } = init();
  const sources = [endpoint('192.0.2.1', 4001), endpoint('2001:db8::7', 4001)];
  for (const source of sources) await bench.put(source, packet);
  expect(bench.up.map(({ path }) => [path.local, path.remote])).toEqual([
    [LOCAL, sources[0]],
    [LOCAL6, sources[1]],
  ]);
  expect(bench.up.every(({ payload }) => Buffer.from(payload).equals(packet))).toBe(true);
});

test('what is meant for another server, and what is none, goes nowhere', async () => {
  const bench = new Bench();
  const { packet } = init();
  await bench.put(endpoint('192.0.2.1', 4001), packet.with(20, (packet[20] ?? 0) ^ 1));
  await bench.put(endpoint('192.0.2.1', 4001), packet.subarray(0, 199));
  expect([bench.up, bench.answered]).toEqual([[], []]);
  expect(bench.queue.refused).toEqual({ mac1: 1n, cookie: 0n, stranger: 1n + 3n });
});

test('packets end in a queue that is as long as what rules let through at once', () => {
  const { tested, testedAgain } = GUARD_LIMITS;
  const maxLength = tested.burst + testedAgain.burst;
  expect(new Bench().options).toMatchObject({ number: 4, ends: true, maxLength });
});

test.each(['192.0.2.1', '2001:db8::7'])(
  'beyond the budget there is a cookie for %s, and who has one goes up',
  async (address) => {
    const bench = new Bench();
    await bench.flood(most + 50);
    expect([bench.up.length, bench.answered.length]).toEqual([most, 50]);
    expect(bench.queue.refused.cookie).toBe(50n);
    const source = endpoint(address, 4001);
    const { packet, pending } = init();
    await bench.put(source, packet);
    const answer = bench.answered.at(-1);
    expect(answer?.path.remote).toEqual(source);
    expect(answer?.payload.length).toBeLessThan(packet.length);
    const cookie = answer && readCookie(clientKeys(), pending, answer.payload);
    if (!cookie?.ok) throw new Error('no cookie');
    const proved = init(cookie.value).packet;
    await bench.put(source, proved);
    expect(bench.up.length).toBe(most + 1);
    expect(formatEndpoint(bench.up.at(-1)?.path.remote ?? LOCAL)).toBe(formatEndpoint(source));
    await bench.put(endpoint(address, 4002), proved);
    expect(bench.up.length, 'from elsewhere').toBe(most + 1);
  },
);

test('a source of IPv6 is its network', async () => {
  const bench = new Bench();
  await bench.flood(most);
  bench.answered.length = 0;
  const { packet } = init();
  for (let at = 0; at < 2 * CONTROL_LIMITS.cookieSource.burst; at += 1) {
    await bench.put(endpoint(`2001:db8::1:${at}`, 4001), packet);
  }
  expect(bench.answered).toHaveLength(CONTROL_LIMITS.cookieSource.burst);
});

test('no more wait for the session than its share', async () => {
  const bench = new Bench();
  bench.answers = false;
  await bench.flood(most);
  expect(bench.up).toHaveLength(CONTROL_LIMITS.pending.first);
});

test('an answer that does not leave is no cookie', async () => {
  const bench = new Bench();
  bench.sends = false;
  await bench.flood(most + 1);
  expect(bench.queue.refused).toMatchObject({ cookie: 0n, stranger: 1n + 3n });
});
