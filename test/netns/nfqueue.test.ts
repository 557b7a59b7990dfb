import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { checked } from '../../src/adapters/ffi/errno.ts';
import { bind, close, recv, socket } from '../../src/adapters/ffi/libc.ts';
import { inside, ipBatch, removeNamespaces } from '../../src/adapters/lab/namespaces.ts';
import { runChecked } from '../../src/adapters/lab/process.ts';
import {
  openQueue,
  type PacketQueue,
  type QueuedPacket,
  type QueueOptions,
} from '../../src/adapters/nfqueue.ts';
import { openRawUdp, type RawUdp } from '../../src/adapters/raw-socket.ts';
import { parseOuterIp, type Endpoint, type Path } from '../../src/core/addr.ts';
import { KernelError } from '../../src/core/errors.ts';
import { port } from '../../src/core/units.ts';
import { AF_INET, encodeSockaddrIn } from '../../src/core/wire/sockaddr.ts';
import { decodeUdp } from '../../src/core/wire/udp.ts';
import { inNamespace } from '../rig/in-namespace.ts';
import { NamespaceSocket } from '../rig/namespace-sockets.ts';
import { holds } from '../rig/patience.ts';

/*
 *   namespace NAME:   127.0.0.1:10000 ──lo──▶ 127.0.0.2:10001 (fd00::1, fd00::2); the input hook puts what is for
 *                     port 10001 into queue 7 (by iptables: not every kernel here has nft's queue)
 */
const NAME = `nfq-${process.pid}-a`;
const QUEUE = 7;
/** Length of an IPv4 packet with one byte in a UDP datagram. */
const SHORT = 29;
const SOCK_DGRAM = 2;
const SOCK_NONBLOCK = 0o4000;

function endpoint(ip: string, number: number): Endpoint {
  const address = parseOuterIp(ip);
  if (address === undefined) throw new Error(ip);
  return { ip: address, port: port(number) };
}

const path: Path = { local: endpoint('127.0.0.1', 10000), remote: endpoint('127.0.0.2', 10001) };
const path6: Path = { local: endpoint('fd00::1', 10000), remote: endpoint('fd00::2', 10001) };

describe('openQueue', () => {
  let raw: RawUdp;
  let listener: number;
  const queues: PacketQueue[] = [];

  beforeAll(async () => {
    await ipBatch(undefined, [`netns add ${NAME}`]);
    const addresses = ['fd00::1', 'fd00::2'].map((ip) => `addr add ${ip}/128 dev lo nodad`);
    await ipBatch(NAME, ['link set lo up', ...addresses]);
    const rule = `-A INPUT -p udp --dport 10001 -j NFQUEUE --queue-num ${QUEUE}`;
    for (const tables of ['iptables', 'ip6tables'])
      await runChecked(inside(NAME, [tables, ...rule.split(' ')]));
    inNamespace(NAME, () => {
      raw = openRawUdp();
      listener = checked(socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0), 'socket', 'test');
      const address = encodeSockaddrIn(path.remote);
      checked(bind(listener, address, address.length), 'bind', 'test');
    });
  });

  afterEach(() => {
    for (const queue of queues.splice(0)) queue.close();
  });

  afterAll(async () => {
    raw.close();
    close(listener);
    await removeNamespaces([NAME]);
  });

  /** A queue and the packets that came up. */
  function open(options: Partial<QueueOptions> = {}): {
    queue: PacketQueue;
    packets: QueuedPacket[];
  } {
    const packets: QueuedPacket[] = [];
    const all = { number: QUEUE, maxLength: 24, subject: 'test queue', ...options };
    const queue = inNamespace(NAME, () => openQueue(all, (packet) => packets.push(packet)));
    queues.push(queue);
    return { queue, packets };
  }

  function send(byte: number, length = 1): void {
    raw.send({ path, payload: new Uint8Array(length).fill(byte), ttl: 64 });
  }

  /** First byte of the next datagram that got through; undefined for none. */
  function through(): number | undefined {
    const room = new Uint8Array(2048);
    return recv(listener, room, room.length, 0) > 0 ? room[0] : undefined;
  }

  test('hands up a whole packet, and accepts or drops it as told, in any order', async () => {
    const { queue, packets } = open();
    for (const byte of [1, 2, 3]) send(byte);
    await holds(() => packets.length === 3);
    expect(packets.map((packet) => packet.inDevice)).toEqual([1, 1, 1]);
    const datagrams = packets.map((packet) => decodeUdp(packet.payload));
    expect(datagrams).toMatchObject(
      [1, 2, 3].map((byte) => ({
        ok: true,
        value: { source: path.local, destination: path.remote, payload: Uint8Array.of(byte) },
      })),
    );
    expect(through()).toBeUndefined();
    const [first, second, third] = packets.map((packet) => packet.id);
    if (first === undefined || second === undefined || third === undefined) throw new Error('none');
    queue.verdict(third, 'accept');
    queue.verdict(second, 'drop');
    queue.verdict(first, 'accept');
    expect([through(), through(), through()]).toEqual([3, 1, undefined]);
    expect(queue).toMatchObject({ overruns: 0, errors: 0 });
  });

  test('hands up whole packets of IPv6, their checksums filled in', async () => {
    using socket = NamespaceSocket.udp(NAME, path6.remote);
    const { queue, packets } = open();
    // By a socket that leaves the checksum to the device, which has none to fill in, and by a raw one.
    using sender = NamespaceSocket.udp(NAME, path6.local);
    sender.send(path6.remote, Uint8Array.of(1));
    raw.send({ path: path6, payload: Uint8Array.of(2), ttl: 64 });
    await holds(() => packets.length === 2);
    expect(packets.map((packet) => decodeUdp(packet.payload))).toMatchObject(
      [1, 2].map((byte) => ({
        ok: true,
        value: { source: path6.local, destination: path6.remote, payload: Uint8Array.of(byte) },
      })),
    );
    for (const { id } of packets) queue.verdict(id, 'accept');
    expect(socket.received()).toEqual([Uint8Array.of(1), Uint8Array.of(2)]);
  });

  test('counts a verdict for a packet that is not there', async () => {
    const { queue } = open();
    queue.verdict(4711, 'accept');
    await holds(() => queue.errors === 1);
  });

  test('drops what waits when it is closed, and everything while nobody holds the queue', async () => {
    const { queue, packets } = open();
    send(1);
    await holds(() => packets.length === 1);
    queue.close();
    queue.verdict(packets[0]?.id ?? 0, 'accept');
    send(2);
    expect(through()).toBeUndefined();
    const again = open();
    send(3);
    await holds(() => again.packets.length === 1);
    again.queue.verdict(again.packets[0]?.id ?? 0, 'accept');
    expect([through(), through()]).toEqual([3, undefined]);
  });

  test('refuses a queue that is held already, and names the option', () => {
    open();
    let thrown: unknown;
    try {
      open();
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(KernelError);
    expect(thrown).toMatchObject({ exit: 'queue', errno: 'EPERM', subject: 'test queue' });
    expect((thrown as KernelError).hint).toContain('queue-number');
  });

  test('drops all that ends with its receiver, and makes room with that', async () => {
    const { queue, packets } = open({ ends: true, maxLength: 2 });
    for (const byte of [1, 2, 3]) {
      send(byte);
      await holds(() => packets.length === byte);
    }
    expect(through()).toBeUndefined();
    expect(inNamespace(NAME, () => queue.dropped())).toBe(0);
    expect(queue).toMatchObject({ overruns: 0, errors: 0 });
  });

  test('drops what exceeds its length', async () => {
    const { queue, packets } = open({ maxLength: 2 });
    for (const byte of [1, 2, 3]) send(byte);
    await holds(() => packets.length === 2);
    for (const { id } of packets) queue.verdict(id, 'accept');
    send(4);
    await holds(() => packets.length === 3);
    queue.verdict(packets[2]?.id ?? 0, 'accept');
    expect([through(), through(), through(), through()]).toEqual([1, 2, 4, undefined]);
    expect(inNamespace(NAME, () => queue.dropped())).toBe(1);
  });

  test('survives and counts a full socket, and lets nothing through then', async () => {
    const { queue, packets } = open({ maxLength: 60_000 });
    // In one turn of the event loop, so that nothing is read in between.
    for (let i = 0; i < 4000; i++) send(1, 1400);
    await holds(() => queue.overruns > 0);
    expect(through()).toBeUndefined();
    await holds(() => {
      const goesOn = packets.some(({ payload }) => payload.length === SHORT);
      for (const { id } of packets.splice(0)) queue.verdict(id, 'drop');
      send(7);
      return goesOn;
    });
    expect(through()).toBeUndefined();
  });
});
