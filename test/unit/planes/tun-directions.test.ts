import fc from 'fast-check';
import { createHash } from 'node:crypto';
import { constants } from 'node:os';
import { describe, expect, test } from 'vitest';
import { ControlGate } from '../../../src/adapters/planes/tun/control-gate.ts';
import { SharedCounters, type Loss } from '../../../src/adapters/planes/tun/counters.ts';
import { DeviceChannel } from '../../../src/adapters/planes/tun/device-channel.ts';
import { FirstMessages } from '../../../src/adapters/planes/first-messages.ts';
import { Inbound } from '../../../src/adapters/planes/tun/inbound.ts';
import { encodePktinfo, viewOf } from '../../../src/adapters/udp/message-headers.ts';
import { Outbound } from '../../../src/adapters/planes/tun/outbound.ts';
import type { PacketCalls } from '../../../src/adapters/planes/tun/packet-calls.ts';
import { PeerTable, type Peer } from '../../../src/adapters/planes/tun/peer-table.ts';
import { Sender } from '../../../src/adapters/planes/tun/sender.ts';
import type { Path } from '../../../src/core/addr.ts';
import { millis, port } from '../../../src/core/units.ts';
import { IPV4_ALONE } from '../../../src/core/wire/inner-packet.ts';
import type { PeerId } from '../../../src/ports/data-plane.ts';
import { cut, decodeVnet, encodeVnet, PLAIN, type DevicePacket } from './tun-device.ts';
import { FakeMemory, type SeenMessage } from './tun-memory.ts';
import { leavePartial, parsePath, pattern, tcpPacket, udpPacket } from './tun-packets.ts';

const { EAGAIN, EINTR, EIO, EINVAL, EMSGSIZE, ENOBUFS, EPERM } = constants.errno;
const PEER = 'peer' as PeerId;
const PATH = parsePath('192.0.2.1:10000', '203.0.113.2:20000');

/** What the n-th call of a kind answers: an errno, or how much it moves at most. */
type Answer = { readonly fails: number } | { readonly moves: number };
const ALL: Answer = { moves: 1000 };

/** Both directions of a forwarding thread over system calls that a test answers. */
class Bench {
  readonly memory = new FakeMemory();
  readonly counters = new SharedCounters();
  readonly peers = new PeerTable();
  readonly sent: SeenMessage[] = [];
  readonly written: DevicePacket[] = [];
  readonly control: { readonly path: Path; readonly payload: Uint8Array }[] = [];
  readonly losses: (readonly [Loss, string, number])[] = [];
  readonly tooBig: PeerId[] = [];
  /** What the device and the socket have to give. */
  readonly device: DevicePacket[] = [];
  readonly socket: {
    readonly from: number;
    readonly size: number;
    readonly payload: Uint8Array;
  }[] = [];
  sendAnswers: Answer[] = [];
  writeAnswers: Answer[] = [];
  readonly gate = new ControlGate(new Set([73]), this.peers.hints, () => millis(0));
  readonly outbound: Outbound;
  readonly inbound: Inbound;
  #errno = 0;

  constructor(
    options: {
      readonly vnetHeader?: boolean;
      readonly trains?: boolean;
      readonly fragments?: boolean;
    } = {},
  ) {
    const { vnetHeader = true, trains = true, fragments = false } = options;
    const calls: PacketCalls = {
      address: this.memory.addressOf,
      errno: () => this.#errno,
      read: (_fd, address, length) => this.#read(address, length, vnetHeader),
      write: (_fd, address, length) =>
        this.#write({ header: PLAIN, packet: this.memory.at(address, length).slice() }),
      writev: (_fd, vector, count) => {
        const bytes = this.memory.gather(vector, count);
        return this.#write({ header: decodeVnet(bytes), packet: bytes.slice(10) });
      },
      sendmmsg: (_fd, vector, count) => this.#send(vector, count),
      recvmmsg: (_fd, vector, count) => this.#receive(vector, count),
    };
    const channel = new DeviceChannel(3, vnetHeader, 1472, calls);
    const lose = (loss: Loss, operation: string, errno: number): void => {
      this.losses.push([loss, operation, errno]);
    };
    const common = { udpFd: 4, trains, peers: this.peers, counters: this.counters, calls, lose };
    const tooBig = (peer: Peer) => void this.tooBig.push(peer.member.id);
    this.outbound = new Outbound(channel, {
      ...common,
      senders: [new Sender({ ...common, family: 'ipv4', fragments, tooBig })],
      carried: IPV4_ALONE,
      refuse: () => undefined,
    });
    this.inbound = new Inbound(channel, {
      ...common,
      family: 'ipv4',
      carried: IPV4_ALONE,
      localPort: port(10_000),
      authLengths: new Set([73]),
      gate: this.gate,
      stranger: () => undefined,
      firstMessages: new FirstMessages(undefined, () => millis(0)),
      asked: () => undefined,
      roamed: () => undefined,
      now: () => 0,
      control: (path, payload) => this.control.push({ path, payload }),
    });
    this.counters.grow();
    this.peers.configure({ id: PEER, prefixes: undefined });
    this.peers.admit(PEER, 0, PATH);
  }

  /** Calls a direction as the event loop does, until it has nothing left; how often it was full. */
  run(direction: 'outbound' | 'inbound'): number {
    let full = 0;
    for (let turn = 0; turn < 100_000; turn += 1) {
      const state = this[direction].turn();
      if (state === 'done') return full;
      if (state === 'full') full += 1;
    }
    throw new Error('no end');
  }

  totals() {
    this.peers.count(this.counters, 1);
    return this.counters.peer(0);
  }

  /** Datagrams that were sent, trains cut up. */
  datagrams(): readonly Uint8Array[] {
    return this.sent.flatMap(({ segment, payload }) => {
      const size = segment ?? Math.max(1, payload.length);
      const count = Math.max(1, Math.ceil(payload.length / size));
      return Array.from({ length: count }, (_, at) => payload.slice(at * size, (at + 1) * size));
    });
  }

  /** Packets that were written, super-packets cut up. */
  packets(): readonly Uint8Array[] {
    return this.written.flatMap(({ packet, header }) => cut(packet, header) ?? []);
  }

  #fail(code: number): -1 {
    this.#errno = code;
    return -1;
  }

  #read(address: number, length: number, vnetHeader: boolean): number {
    const next = this.device.shift();
    if (!next) return this.#fail(EAGAIN);
    const header = vnetHeader ? encodeVnet(next.header) : new Uint8Array();
    const bytes = Uint8Array.of(...header, ...next.packet);
    if (bytes.length > length) throw new Error('it would be truncated');
    this.memory.at(address, bytes.length).set(bytes);
    return bytes.length;
  }

  #send(vector: number, count: number): number {
    const answer = this.sendAnswers.shift() ?? ALL;
    if ('fails' in answer) return this.#fail(answer.fails);
    const messages = this.memory.messages(vector, Math.min(count, answer.moves));
    this.sent.push(...messages);
    return messages.length;
  }

  #write(packet: DevicePacket): number {
    const answer = this.writeAnswers.shift() ?? ALL;
    if ('fails' in answer) return this.#fail(answer.fails);
    this.written.push(packet);
    return packet.packet.length;
  }

  #receive(vector: number, count: number): number {
    const messages = this.socket.splice(0, count);
    if (messages.length === 0) return this.#fail(EAGAIN);
    for (const [index, { from, size, payload }] of messages.entries()) {
      const header = viewOf(this.memory.at(vector + index * 64, 64));
      const pointer = (at: number) => Number(header.getBigUint64(at, true));
      const name = [2, 0, from >> 8, from & 0xff, 203, 0, 113, 2];
      this.memory.at(pointer(0), 16).set(name);
      this.memory.scatter(pointer(16), payload);
      const control = new Uint8Array(56);
      const view = viewOf(control);
      encodePktinfo(control, 0xc0000201);
      view.setUint32(24, 0xc0000201, false);
      view.setUint32(32, 20, true);
      view.setUint32(40, 17, true);
      view.setUint32(44, 104, true);
      view.setUint32(48, size, true);
      this.memory.at(pointer(32), 56).set(control);
      header.setBigUint64(40, size > 0 ? 56n : 32n, true);
      header.setUint32(56, payload.length, true);
    }
    return messages.length;
  }
}

/** Lengths and contents in one text: quick to compare, however much it is. */
function summary(packets: readonly Uint8Array[]): string {
  const hash = createHash('sha256');
  for (const packet of packets) hash.update(packet);
  return `${packets.map(({ length }) => length).join(' ')} ${hash.digest('hex')}`;
}

const plain = (packet: Uint8Array): DevicePacket => ({ header: PLAIN, packet });

function superPacket(length: number, size: number, seed: number): DevicePacket {
  const packet = leavePartial(tcpPacket({ payload: pattern(length, seed), sequence: seed }));
  const header = {
    ...{ flags: 1, gsoType: 1, headerLength: 40, gsoSize: size },
    ...{ checksumStart: 20, checksumOffset: 16 },
  };
  return { packet, header };
}

const answers = (codes: readonly number[]) =>
  fc.array(
    fc.oneof(
      fc.constantFrom(...codes).map((fails) => ({ fails })),
      fc.integer({ min: 1, max: 3 }).map((moves) => ({ moves })),
    ),
    { maxLength: 30 },
  );

describe('outbound', () => {
  const traffic = fc.array(
    fc.oneof(
      fc.tuple(fc.integer({ min: 1, max: 20_000 }), fc.integer({ min: 40, max: 1400 })),
      fc.tuple(fc.integer({ min: 60_000, max: 65_000 }), fc.constant(1400)),
      fc.tuple(fc.integer({ min: 0, max: 100 }), fc.constant(0)),
    ),
    { maxLength: 12 },
  );

  test.each([
    { vnetHeader: true, trains: true },
    { vnetHeader: true, trains: false },
    { vnetHeader: false, trains: true },
  ])('sends all that was read, once and in order, however full the socket is: %o', (options) => {
    fc.assert(
      fc.property(traffic, answers([EAGAIN, EINTR]), (packets, sendAnswers) => {
        const bench = new Bench(options);
        const device = packets.map(([length, size], seed) =>
          size > 0 && options.vnetHeader
            ? superPacket(length, size, seed)
            : plain(udpPacket(pattern(length % 1400, seed))),
        );
        const expected = device.flatMap(({ packet, header }) => cut(packet, header) ?? []);
        bench.device.push(...device);
        bench.sendAnswers = [...sendAnswers];
        bench.run('outbound');
        expect(summary(bench.datagrams())).toBe(summary(expected));
        expect(bench.totals().txPackets).toBe(BigInt(expected.length));
      }),
      { numRuns: 20 },
    );
  });

  test.each([EINVAL, EIO, EMSGSIZE])(
    'a train that is refused (errno %d) goes out one by one',
    (code) => {
      const bench = new Bench();
      const packet = superPacket(3000, 1000, 1);
      bench.device.push(packet, superPacket(3000, 1000, 2));
      bench.sendAnswers = [{ fails: code }, ALL, { fails: EAGAIN }, { fails: EINTR }];
      expect(bench.run('outbound')).toBe(1);
      expect(bench.sent.slice(0, 3).map(({ segment }) => segment)).toEqual([
        undefined,
        undefined,
        undefined,
      ]);
      expect(bench.datagrams()).toEqual([
        ...(cut(packet.packet, packet.header) ?? []),
        ...(cut(superPacket(3000, 1000, 2).packet, packet.header) ?? []),
      ]);
      expect(bench.totals()).toMatchObject({ txPackets: 6n, txBytes: 6240n });
      // No more of them after EIO: the way out cannot cut.
      bench.sent.length = 0;
      bench.device.push(packet);
      bench.run('outbound');
      expect(bench.sent).toHaveLength(code === EIO ? 3 : 1);
    },
  );

  test('what goes in fragments alone is put in no train again, what is shorter is', () => {
    const bench = new Bench({ fragments: true });
    const long = superPacket(3000, 1000, 1);
    const short = superPacket(3000, 900, 2);
    bench.device.push(long);
    bench.sendAnswers = [{ fails: EMSGSIZE }];
    bench.run('outbound');
    bench.sent.length = 0;
    bench.device.push(long, short);
    bench.run('outbound');
    expect(bench.sent.map(({ segment }) => segment !== undefined)).toEqual([
      ...[false, false, false],
      true,
    ]);
    expect(bench.totals()).toMatchObject({ txPackets: 10n });
  });

  test.each([
    { what: 'too big', code: EMSGSIZE, tooBig: [PEER], losses: [], refused: 1n },
    { what: 'no buffers', code: ENOBUFS, tooBig: [], losses: [], refused: 0n },
    {
      what: 'anything else',
      code: EPERM,
      tooBig: [],
      losses: [['send-failed', 'sendmmsg', EPERM]],
      refused: 0n,
    },
  ])(
    'a datagram that is refused costs itself alone: $what',
    ({ code, tooBig, losses, refused }) => {
      const bench = new Bench();
      const [lost, sent] = [udpPacket(pattern(50)), udpPacket(pattern(60))];
      bench.device.push(plain(lost), plain(sent));
      bench.sendAnswers = [{ fails: code }];
      bench.run('outbound');
      expect(bench.datagrams()).toEqual([sent]);
      expect([bench.tooBig, bench.losses]).toEqual([tooBig, losses]);
      expect(bench.totals()).toMatchObject({ txPackets: 1n, tooBig: refused });
    },
  );

  test('what is not IPv4, for nobody or malformed is counted, and the rest goes on', () => {
    const bench = new Bench();
    const good = udpPacket(pattern(10));
    bench.device.push(plain(good.with(0, 0x60)), plain(Uint8Array.of()));
    bench.device.push({ packet: good, header: { ...PLAIN, gsoType: 4 } }, plain(good));
    bench.run('outbound');
    expect(bench.datagrams()).toEqual([good]);
    expect(bench.counters.losses('not-ipv4')).toBe(2n);
    expect(bench.counters.losses('malformed')).toBe(1n);
    bench.peers.evict(PEER);
    bench.device.push(plain(good));
    bench.run('outbound');
    expect(bench.sent).toHaveLength(1);
    expect(bench.counters.losses('no-peer')).toBe(1n);
  });
});

describe('inbound', () => {
  function segments(count: number, flow: number, length: number): readonly Uint8Array[] {
    return Array.from({ length: count }, (_, index) =>
      tcpPacket({
        ports: [flow, 80],
        sequence: 1 + index * length,
        identification: index,
        payload: pattern(length, index),
      }),
    );
  }

  const trains = fc.array(
    fc.record({
      count: fc.integer({ min: 1, max: 45 }),
      length: fc.constantFrom(1, 500, 1400),
      flow: fc.integer({ min: 5001, max: 5003 }),
    }),
    { maxLength: 24 },
  );

  test.each([{ vnetHeader: true }, { vnetHeader: false }])(
    'writes all that was received, once and in order, however full the device is: %o',
    (options) => {
      fc.assert(
        fc.property(trains, answers([EAGAIN, EINTR]), (messages, writeAnswers) => {
          const bench = new Bench(options);
          const expected: Uint8Array[] = [];
          for (const { count, length, flow } of messages) {
            const packets = segments(count, flow, length);
            expected.push(...packets);
            const payload = Uint8Array.from(Buffer.concat(packets));
            bench.socket.push({ from: 20_000, size: 40 + length, payload });
          }
          bench.writeAnswers = [...writeAnswers];
          const full = bench.run('inbound');
          expect(full > 0).toBe(expected.length > 0 && stalls(writeAnswers, bench.written.length));
          const of = (packets: readonly Uint8Array[], flow: number) =>
            packets.filter((packet) => (packet[20] ?? 0) * 256 + (packet[21] ?? 0) === flow);
          for (const flow of [5001, 5002, 5003]) {
            expect(summary(of(bench.packets(), flow))).toBe(summary(of(expected, flow)));
          }
          expect(bench.totals().rxPackets).toBe(BigInt(expected.length));
        }),
        { numRuns: 20 },
      );
    },
  );

  /** Whether one of the answers that were used says that the device is full. */
  function stalls(given: readonly Answer[], written: number): boolean {
    let left = written;
    for (const answer of given) {
      if ('fails' in answer) return true;
      left -= 1;
      if (left === 0) return false;
    }
    return false;
  }

  test('what the device refuses costs itself alone', () => {
    const bench = new Bench();
    const [lost, taken] = [udpPacket(pattern(50)), udpPacket(pattern(60))];
    for (const payload of [lost, taken]) bench.socket.push({ from: 20_000, size: 0, payload });
    bench.writeAnswers = [{ fails: EIO }];
    bench.run('inbound');
    expect(bench.written).toEqual([plain(taken)]);
    expect(bench.losses).toEqual([['device', 'write', EIO]]);
  });

  test('control packets within a train go up, data around them goes on', () => {
    const bench = new Bench();
    const data = udpPacket(pattern(45));
    const auth = Uint8Array.of(...data.with(3, 60));
    bench.socket.push({
      from: 20_000,
      size: 73,
      payload: Uint8Array.of(...data, ...auth, ...data),
    });
    bench.run('inbound');
    expect(bench.written).toEqual([plain(data), plain(data)]);
    expect(bench.control).toEqual([{ path: PATH, payload: auth }]);
  });

  test('data from a stranger never reaches the device; it is let through when it is a peer by then', () => {
    const bench = new Bench();
    const data = udpPacket(pattern(45));
    const path = parsePath('192.0.2.1:10000', '203.0.113.2:30000');
    bench.socket.push({ from: 30_000, size: 0, payload: data });
    bench.run('inbound');
    expect([bench.written, bench.control]).toEqual([[], [{ path, payload: data }]]);
    bench.inbound.letThrough(path, data);
    expect(bench.written).toEqual([]);
    bench.peers.admit(PEER, 0, path);
    bench.inbound.letThrough(path, data);
    expect(bench.written).toEqual([plain(data)]);
  });

  test("an inner source that is not the peer's own is dropped and counted", () => {
    const bench = new Bench();
    // 172.28.0.1 is where these packets come from.
    bench.peers.configure({ id: PEER, prefixes: [0xac1c0002, 32] });
    const data = udpPacket(pattern(45));
    bench.socket.push({ from: 20_000, size: 0, payload: data });
    bench.run('inbound');
    bench.inbound.letThrough(PATH, data);
    expect(bench.written).toEqual([]);
    expect(bench.totals()).toMatchObject({ rxPackets: 0n, foreign: 2n });
    expect(bench.counters.losses('inner-source')).toBe(2n);
    bench.peers.configure({ id: PEER, prefixes: [0xac1c0000, 24] });
    bench.socket.push({ from: 20_000, size: 0, payload: data });
    bench.run('inbound');
    expect(bench.written).toEqual([plain(data)]);
  });
});
