import { describe, expect, test } from 'vitest';
import { DatagramBatch } from '../../../src/adapters/planes/tun/datagram-batch.ts';
import { InboundBatch, MESSAGE_BYTES } from '../../../src/adapters/planes/tun/inbound-batch.ts';
import {
  MAX_DATAGRAMS,
  MAX_TRAIN_BYTES,
  MAX_TRAIN_DATAGRAMS,
} from '../../../src/adapters/planes/tun/limits.ts';
import { encodePktinfo, viewOf } from '../../../src/adapters/udp/message-headers.ts';
import { PeerTable } from '../../../src/adapters/planes/tun/peer-table.ts';
import { parsePath } from './tun-packets.ts';
import { FakeMemory } from './tun-memory.ts';
import type { PeerId } from '../../../src/ports/data-plane.ts';

const peers = new PeerTable();
const ONE = 'one' as PeerId;
const TWO = 'two' as PeerId;
for (const id of [ONE, TWO]) peers.configure({ id, prefixes: undefined });
peers.admit(ONE, 0, parsePath('192.0.2.1:10000', '203.0.113.2:20000'));
peers.admit(TWO, 1, parsePath('192.0.2.1:10000', '203.0.113.3:10000'));
const one = peers.get(ONE);
const two = peers.get(TWO);
if (!one || !two) throw new Error('not admitted');

describe('a batch to send', () => {
  function make(trains: boolean) {
    const memory = new FakeMemory();
    const batch = new DatagramBatch(memory.addressOf, trains);
    const data = memory.allocate(70_000);
    data.bytes.forEach((_, index, bytes) => (bytes[index] = index % 251));
    const sent = () => memory.messages(batch.address(0), batch.messages);
    return { memory, batch, data, sent };
  }

  test('one datagram goes from the local to the remote address, without UDP_SEGMENT', () => {
    const { batch, data, sent } = make(true);
    batch.add(one, data.address, 20, data.address + 100, 30);
    expect(sent()).toEqual([
      {
        name: Uint8Array.of(2, 0, 0x4e, 0x20, 203, 0, 113, 2, 0, 0, 0, 0, 0, 0, 0, 0),
        source: Uint8Array.of(192, 0, 2, 1),
        segment: undefined,
        payload: Uint8Array.of(...data.bytes.subarray(0, 20), ...data.bytes.subarray(100, 130)),
      },
    ]);
    expect([batch.count(0), batch.bytes(0), batch.target(0)?.member.id]).toEqual([1, 50, ONE]);
  });

  test('datagrams of one size are a train, which a shorter one ends', () => {
    const { batch, data, sent } = make(true);
    for (const length of [50, 50, 30, 50]) batch.add(one, data.address, length, 0, 0);
    expect(sent().map(({ segment, payload }) => [segment, payload.length])).toEqual([
      [50, 130],
      [undefined, 50],
    ]);
    expect([batch.messages, batch.datagrams, batch.count(0)]).toEqual([2, 4, 3]);
  });

  test.each([
    { what: 'a longer datagram', lengths: [50, 51], to: [one, one] },
    { what: 'another peer', lengths: [50, 50], to: [one, two] },
  ])('$what begins anew', ({ lengths, to }) => {
    const { batch, data, sent } = make(true);
    for (const [index, length] of lengths.entries()) {
      batch.add(to[index] ?? one, data.address, length, 0, 0);
    }
    expect(sent().map(({ segment }) => segment)).toEqual([undefined, undefined]);
  });

  test('a train has as many datagrams and bytes as the kernel takes', () => {
    const small = make(true);
    for (let count = 0; count < MAX_TRAIN_DATAGRAMS + 1; count += 1) {
      small.batch.add(one, small.data.address, 40, 0, 0);
    }
    expect([small.batch.count(0), small.batch.count(1)]).toEqual([MAX_TRAIN_DATAGRAMS, 1]);
    const large = make(true);
    for (let count = 0; count < 3; count += 1) {
      large.batch.add(one, large.data.address, 30_000, 0, 0);
    }
    expect([large.batch.bytes(0), large.batch.bytes(1)]).toEqual([60_000, 30_000]);
    expect(MAX_TRAIN_BYTES).toBe(65_535 - 28);
  });

  test('nothing is a train where the socket takes none', () => {
    const { batch, data, sent } = make(false);
    for (let count = 0; count < 3; count += 1) batch.add(one, data.address, 50, 0, 0);
    expect(sent().map(({ segment }) => segment)).toEqual([undefined, undefined, undefined]);
  });

  test('the datagrams of a train can be sent one by one', () => {
    const { memory, batch, data } = make(true);
    batch.add(two, data.address, 10, 0, 0);
    batch.add(one, data.address, 20, data.address + 40, 30);
    batch.add(one, data.address, 20, data.address + 80, 10);
    expect(batch.messages).toBe(2);
    expect(batch.solo(1, 1)).toBe(30);
    const [message] = memory.messages(batch.address(1), 1);
    expect(message?.segment).toBeUndefined();
    expect(message?.name.subarray(4, 8)).toEqual(Uint8Array.of(203, 0, 113, 2));
    expect(message?.payload).toEqual(
      Uint8Array.of(...data.bytes.subarray(0, 20), ...data.bytes.subarray(80, 90)),
    );
    expect(batch.solo(1, 0)).toBe(50);
  });

  test('is full at its bound, and as new when it is cleared', () => {
    const { batch, data, sent } = make(true);
    for (let count = 0; count < MAX_DATAGRAMS; count += 1) {
      expect(batch.full).toBe(false);
      batch.add(one, data.address, 1000 - count, 0, 0);
    }
    expect([batch.full, batch.datagrams]).toEqual([true, MAX_DATAGRAMS]);
    batch.clear();
    expect([batch.full, batch.messages, batch.datagrams]).toEqual([false, 0, 0]);
    batch.add(two, data.address, 40, 0, 0);
    batch.add(two, data.address, 40, 0, 0);
    expect(sent()).toMatchObject([{ segment: 40, source: Uint8Array.of(192, 0, 2, 1) }]);
  });
});

describe('a batch that was received', () => {
  const GRO = [20, 0, 0, 0, 0, 0, 0, 0, 17, 0, 0, 0, 104, 0, 0, 0, 0xc0, 5, 0, 0, 0, 0, 0, 0];
  const pktinfo = new Uint8Array(32);
  encodePktinfo(pktinfo, 0xc0000201);
  viewOf(pktinfo).setUint32(24, 0xc0000201, false);

  /** Message 1 as the kernel leaves it: 4000 bytes from 203.0.113.2:20000, with these control bytes. */
  function receive(control: readonly number[]) {
    const memory = new FakeMemory();
    const batch = new InboundBatch(2, memory.addressOf);
    const fresh = memory.at(batch.address, 128).slice();
    const vector = memory.at(batch.address, 128);
    const view = viewOf(vector);
    memory.at(Number(view.getBigUint64(64, true)), 16).set([2, 0, 0x4e, 0x20, 203, 0, 113, 2]);
    memory.at(Number(view.getBigUint64(64 + 32, true)), control.length).set(control);
    view.setUint32(64 + 8, 16, true);
    view.setBigUint64(64 + 40, BigInt(control.length), true);
    view.setUint32(56, 0, true);
    view.setUint32(64 + 56, 4000, true);
    batch.received(2);
    return { memory, batch, vector, fresh };
  }

  test('every message has room for the longest datagram, at its place', () => {
    const { memory, batch, vector } = receive([]);
    const iovec = memory.at(Number(viewOf(vector).getBigUint64(64 + 16, true)), 16);
    expect(Number(viewOf(iovec).getBigUint64(0, true))).toBe(batch.packets.address + MESSAGE_BYTES);
    expect(Number(viewOf(iovec).getBigUint64(8, true))).toBe(MESSAGE_BYTES);
  });

  test.each([
    { what: 'one datagram', control: [...pktinfo], size: 4000 },
    { what: 'a train', control: [...pktinfo, ...GRO], size: 1472 },
    { what: 'a train, said first', control: [...GRO, ...pktinfo], size: 1472 },
  ])('$what', ({ control, size }) => {
    const { batch } = receive(control);
    expect(batch.length(1)).toBe(4000);
    expect(batch.segmentSize(1)).toBe(size);
    expect([batch.sourceIp(1), batch.sourcePort(1)]).toEqual([0xcb007102, 20_000]);
    expect(batch.destinationIp(1)).toBe(0xc0000201);
  });

  test('control messages that end too early say nothing', () => {
    const whole = [...pktinfo, ...GRO];
    for (let length = 0; length < whole.length; length += 1) {
      const { batch } = receive(whole.slice(0, length));
      expect(batch.destinationIp(1)).toBe(length >= 28 ? 0xc0000201 : undefined);
      expect(batch.segmentSize(1)).toBe(length >= 52 ? 1472 : 4000);
    }
  });

  test('a control message without a length is no endless loop', () => {
    const { batch } = receive(Array.from({ length: 56 }, () => 0));
    expect(batch.destinationIp(1)).toBeUndefined();
    expect(batch.segmentSize(1)).toBe(4000);
  });

  test('rewind undoes what recvmmsg wrote', () => {
    const { batch, vector, fresh } = receive([...pktinfo]);
    batch.rewind();
    expect(batch.count).toBe(0);
    viewOf(vector).setUint32(64 + 56, 0, true);
    expect(vector).toEqual(fresh);
  });
});
