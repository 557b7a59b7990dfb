import { expect, test } from 'vitest';
import type { QueuedPacket, QueueOptions } from '../../../src/adapters/nfqueue.ts';
import { strangerQueueOf } from '../../../src/adapters/planes/fou/limits.ts';
import { ControlQueue } from '../../../src/adapters/planes/fou/control.ts';
import { formatEndpoint, type Endpoint, type Path } from '../../../src/core/addr.ts';
import { port } from '../../../src/core/units.ts';
import { encodeUdpPacket } from '../../../src/core/wire/udp.ts';
import type { ControlPacket } from '../../../src/ports/data-plane.ts';
import { ip } from '../../rig/addresses.ts';
import { resolveRun } from '../config/resolve-texts.ts';
import { endpoint } from '../session/bench.ts';

/*
 * The queue without a kernel: packets are put in by hand and wait for their verdicts; what hears of
 * them answers when it is told to.
 */
const QUEUE = 0;
const LOCAL = { ip: ip('203.0.113.1'), port: port(10_000) };
const OWN = new Set([LOCAL.ip, ip('2001:db8::1')]);
const ONE = endpoint('192.0.2.1', 4001);
const OTHER = endpoint('192.0.2.2', 4002);
const HEADER = { ttl: 64, dontFragment: false, checksum: true };
const AUTHENTICATION = new Uint8Array(73).fill(0xff);
/** An inner packet: an IPv4 header and nothing behind it. */
const DATA = Uint8Array.from([0x45, 0, 0, 20, ...new Uint8Array(16)]);

class Bench {
  readonly verdicts: [number, string][] = [];
  /** Packets handed up that are not done with, oldest first: from whom, and what ends them. */
  readonly inHand: { readonly from: string; readonly end: () => void }[] = [];
  readonly admitted = new Set<string>();
  /** By the queue's number. */
  readonly #deliver = new Map<number, (packet: QueuedPacket) => void>();
  #id = 0;

  constructor(maxLength: number) {
    const open = ({ number }: QueueOptions, onPacket: (packet: QueuedPacket) => void) => {
      this.#deliver.set(number, onPacket);
      return {
        verdict: (id: number, verdict: string) => void this.verdicts.push([id, verdict]),
        dropped: () => 0,
        close: () => undefined,
        [Symbol.dispose]: () => undefined,
        overruns: 0,
        errors: 0,
      };
    };
    const owner = {
      publicLocal: ({ local }: Path) => (OWN.has(local.ip) ? local.ip : undefined),
      packet: ({ path }: ControlPacket) =>
        new Promise<void>((end) => {
          this.inHand.push({ from: formatEndpoint(path.remote), end });
        }),
      carries: ({ remote }: Path) => this.admitted.has(formatEndpoint(remote)),
    };
    const { config } = resolveRun(
      'server\nauth-token a-token-of-a-test\ntunl-ip 172.28.0.0, fd28::',
    );
    void new ControlQueue({ ...config, queue: { number: QUEUE, maxLength } }, owner, open);
  }

  /** Puts a packet into a queue; its id. */
  async put(
    source: Endpoint,
    payload: Uint8Array,
    { destination = LOCAL, queue = QUEUE } = {},
  ): Promise<number> {
    const path = { local: source, remote: destination };
    return this.putBytes(encodeUdpPacket({ path, payload, ...HEADER }), queue);
  }

  async putBytes(payload: Uint8Array, queue = QUEUE): Promise<number> {
    this.#id += 1;
    this.#deliver.get(queue)?.({ id: this.#id, payload, inDevice: undefined });
    await settled();
    return this.#id;
  }

  /** The oldest packet in hand of a sender is done with. */
  async end(source: Endpoint): Promise<void> {
    const from = formatEndpoint(source);
    const at = this.inHand.findIndex((packet) => packet.from === from);
    this.inHand.splice(at, 1)[0]?.end();
    await settled();
  }
}

const settled = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

test('a packet that waits holds up those of its sender, and nobody else', async () => {
  const bench = new Bench(24);
  const waits = await bench.put(ONE, AUTHENTICATION);
  const passes = await bench.put(OTHER, AUTHENTICATION);
  const behind = await bench.put(ONE, AUTHENTICATION);
  expect(bench.inHand).toHaveLength(2);
  await bench.end(OTHER);
  expect(bench.verdicts).toEqual([[passes, 'drop']]);
  await bench.end(ONE);
  await bench.end(ONE);
  expect(bench.verdicts.slice(1)).toEqual([
    [waits, 'drop'],
    [behind, 'drop'],
  ]);
});

test('data right behind the authentication of its peer is judged after that', async () => {
  const bench = new Bench(24);
  await bench.put(ONE, AUTHENTICATION);
  const data = await bench.put(ONE, DATA);
  const stranger = await bench.put(OTHER, DATA);
  await bench.end(OTHER);
  bench.admitted.add(formatEndpoint(ONE));
  await bench.end(ONE);
  await bench.end(ONE);
  expect(bench.verdicts.slice(-1)).toEqual([[data, 'accept']]);
  expect(bench.verdicts).toContainEqual([stranger, 'drop']);
});

test('what is no datagram, or to an address that nobody uses, is dropped at once', async () => {
  const bench = new Bench(24);
  const junk = await bench.putBytes(new Uint8Array(9));
  const astray = await bench.put(ONE, DATA, {
    destination: { ...LOCAL, ip: ip('172.29.0.7') },
  });
  expect(bench.inHand).toEqual([]);
  expect(bench.verdicts).toEqual([
    [junk, 'drop'],
    [astray, 'drop'],
  ]);
});

test("no more are in hand than the queue's length, and each gets one verdict", async () => {
  const bench = new Bench(2);
  const senders = [1, 2, 3, 4, 5].map((number) => endpoint('192.0.2.1', number));
  for (const sender of senders) await bench.put(sender, AUTHENTICATION);
  expect(bench.inHand).toHaveLength(2);
  for (const sender of senders) {
    expect(bench.inHand.length).toBeLessThanOrEqual(2);
    await bench.end(sender);
  }
  expect(bench.verdicts.map(([id]) => id)).toEqual([1, 2, 3, 4, 5]);
});

test('as many strangers as there may be take nobody else his place', async () => {
  const bench = new Bench(2);
  for (const number of [1, 2, 3]) {
    const queue = strangerQueueOf(QUEUE);
    await bench.put(endpoint('192.0.2.9', number), AUTHENTICATION, { queue });
  }
  expect(bench.inHand).toHaveLength(2);
  await bench.put(ONE, AUTHENTICATION);
  expect(bench.inHand.map(({ from }) => from)).toContain(formatEndpoint(ONE));
});

test('data is judged after the authentication of its peer that came by the queue of strangers', async () => {
  const bench = new Bench(24);
  await bench.put(ONE, AUTHENTICATION, { queue: strangerQueueOf(QUEUE) });
  const data = await bench.put(ONE, DATA);
  expect(bench.inHand).toHaveLength(1);
  bench.admitted.add(formatEndpoint(ONE));
  await bench.end(ONE);
  await bench.end(ONE);
  expect(bench.verdicts.slice(-1)).toEqual([[data, 'accept']]);
});

test('a packet over IPv6 without a checksum is looked at: sockets of the other planes send such with no-encap-csum', async () => {
  const bench = new Bench(24);
  const remote = { ip: ip('2001:db8::2'), port: port(4001) };
  const path = { local: remote, remote: { ...LOCAL, ip: ip('2001:db8::1') } };
  const sent = { ...HEADER, path, payload: AUTHENTICATION, checksum: false };
  await bench.putBytes(encodeUdpPacket(sent));
  expect(bench.inHand.map(({ from }) => from)).toEqual(['[2001:db8::2]:4001']);
});
