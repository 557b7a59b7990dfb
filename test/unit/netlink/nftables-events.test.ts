import { endianness } from 'node:os';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { NetlinkMessage } from '../../../src/core/netlink/message.ts';
import {
  collectNftEvents,
  decodeNftMessage,
  NFT_BATCH_MAX,
  type NftEvent,
} from '../../../src/core/netlink/nftables-events.ts';

const NFTABLES = 10 << 8;

function attribute(type: number, payload: string): Buffer {
  const data = Buffer.from(payload, 'latin1');
  const bytes = Buffer.alloc((4 + data.length + 3) & ~3);
  if (endianness() === 'LE') {
    bytes.writeUInt16LE(4 + data.length, 0);
    bytes.writeUInt16LE(type, 2);
  } else {
    bytes.writeUInt16BE(4 + data.length, 0);
    bytes.writeUInt16BE(type, 2);
  }
  data.copy(bytes, 4);
  return bytes;
}

/** A message with its nfgenmsg: family, version 0, generation. */
function message(operation: number, family: number, ...attributes: Buffer[]): NetlinkMessage {
  const payload = Buffer.concat([Buffer.from([family, 0, 0, 9]), ...attributes]);
  const bytes = Uint8Array.from(payload);
  return { type: NFTABLES | operation, flags: 0, seq: 1, pid: 4242, payload: bytes };
}

const generation = message(15, 0, attribute(1, '\0\0\0\x09'), attribute(2, '\0\0\x12\x34'));

describe('decodeNftMessage', () => {
  it.each([
    [0, { change: 'add', object: 'table' }],
    [2, { change: 'delete', object: 'table' }],
    [3, { change: 'add', object: 'chain', chain: 'c' }],
    [5, { change: 'delete', object: 'chain', chain: 'c' }],
    [6, { change: 'add', object: 'rule', chain: 's' }],
    [8, { change: 'delete', object: 'rule', chain: 's' }],
    [9, { change: 'add', object: 'set', set: 's' }],
    [11, { change: 'delete', object: 'set', set: 's' }],
    [12, { change: 'add', object: 'element', set: 's' }],
    [14, { change: 'delete', object: 'element', set: 's' }],
    [18, { change: 'add', object: 'object' }],
    [20, { change: 'delete', object: 'object' }],
  ])('reads operation %i', (operation, expected) => {
    const names = [attribute(1, 't\0'), attribute(2, 's\0'), attribute(3, 'c\0')];
    if (operation <= 2) names.splice(1);
    const value = { family: 'ip', table: 't', chain: undefined, set: undefined, ...expected };
    expect(decodeNftMessage(message(operation, 2, ...names))).toEqual({
      ok: true,
      value: { kind: 'change', value },
    });
  });

  it.each([
    [1, 'inet'],
    [2, 'ip'],
    [3, 'arp'],
    [5, 'netdev'],
    [7, 'bridge'],
    [10, 'ip6'],
    [99, undefined],
  ])('names family %i', (number, family) => {
    expect(decodeNftMessage(message(0, number, attribute(1, 't\0')))).toMatchObject({
      ok: true,
      value: { value: { family } },
    });
  });

  it('reads who closed a transaction, in network byte order', () => {
    expect(decodeNftMessage(generation)).toEqual({
      ok: true,
      value: { kind: 'generation', processId: 0x1234 },
    });
  });

  it.each([
    ['a trace', NFTABLES | 17],
    ['another subsystem', 0x0300],
  ])('passes over %s', (_name, type) => {
    expect(decodeNftMessage({ ...generation, type })).toEqual({
      ok: true,
      value: { kind: 'other' },
    });
  });

  it('refuses every truncation of a rule', () => {
    const { type, payload } = message(6, 2, attribute(1, 'table\0'), attribute(2, 'chain\0'));
    const complete = new Set([payload.length]);
    for (let length = 0; length < payload.length; length++) {
      const decoded = decodeNftMessage({ type, payload: payload.subarray(0, length) });
      if (decoded.ok) complete.add(length);
    }
    // The table alone (its attribute is 10 bytes, padded to 12), then the chain without padding.
    expect([...complete].toSorted((a, b) => a - b)).toEqual([14, 15, 16, 26, 27, 28]);
  });

  it('never throws', () => {
    fc.assert(
      fc.property(fc.nat(30), fc.uint8Array({ maxLength: 60 }), (operation, payload) => {
        decodeNftMessage({ type: NFTABLES | operation, payload });
      }),
    );
  });
});

describe('collectNftEvents', () => {
  function collector(): {
    feed: (message: NetlinkMessage | undefined) => void;
    events: NftEvent[];
  } {
    const events: NftEvent[] = [];
    return { feed: collectNftEvents((event) => events.push(event)), events };
  }
  const table = message(0, 2, attribute(1, 't\0'));
  const chain = message(3, 2, attribute(1, 't\0'), attribute(3, 'c\0'));
  const by = { processId: 0x1234, portId: 4242, family: 'ip', table: 't' };

  it('hands over changes when their transaction is closed, with its author', () => {
    const { feed, events } = collector();
    feed(table);
    feed(chain);
    expect(events).toEqual([]);
    feed(generation);
    expect(events).toMatchObject([
      { ...by, change: 'add', object: 'table' },
      { ...by, change: 'add', object: 'chain', chain: 'c' },
    ]);
    feed(generation);
    expect(events).toHaveLength(2);
  });

  it('says that anything may have changed when events were lost, and goes on', () => {
    const { feed, events } = collector();
    feed(table);
    feed(undefined);
    feed(generation);
    expect(events).toEqual([{ change: 'unknown' }]);
    feed(chain);
    feed(generation);
    expect(events[1]).toMatchObject({ ...by, object: 'chain' });
  });

  it('says the same of a message that it cannot read', () => {
    const { feed, events } = collector();
    feed({ ...table, payload: new Uint8Array(3) });
    expect(events).toEqual([{ change: 'unknown' }]);
  });

  it('does not keep a transaction of any size', () => {
    const { feed, events } = collector();
    for (let i = 0; i <= NFT_BATCH_MAX; i++) feed(chain);
    feed(generation);
    expect(events).toEqual([{ change: 'unknown' }]);
    feed(table);
    feed(generation);
    expect(events).toHaveLength(2);
  });
});
