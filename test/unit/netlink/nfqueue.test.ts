import { endianness } from 'node:os';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decodePacketMessage,
  decodeQueueDrops,
  encodeQueueBind,
  encodeQueueUnbind,
  encodeVerdict,
} from '../../../src/core/netlink/nfqueue.ts';

const little = endianness() === 'LE';

/** Attribute headers (length and type) are in the host's order, so literal bytes spell them apart. */
function attribute(length: number, type: number, payload: string): string {
  const header = [length, type].map((value) => {
    const [high, low] = [value >> 8, value & 255].map((byte) => byte.toString(16).padStart(2, '0'));
    return little ? `${low}${high}` : `${high}${low}`;
  });
  return header.join('') + payload;
}

function hex(data: Uint8Array): string {
  return Buffer.from(data).toString('hex');
}

function bytes(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, 'hex'));
}

describe('requests', () => {
  it('bind a queue, set it up and keep it from failing open', () => {
    expect(hex(encodeQueueBind(0x1234, 24))).toBe(
      '00001234' +
        attribute(8, 1, '01000000') +
        attribute(9, 2, '0000ffff02000000') +
        attribute(8, 3, '00000018') +
        attribute(8, 4, '00000005') +
        attribute(8, 5, '00000000'),
    );
  });

  it('unbind a queue', () => {
    expect(hex(encodeQueueUnbind(7))).toBe(`00000007${attribute(8, 1, '02000000')}`);
  });

  it.each([
    ['accept', '00000001'],
    ['drop', '00000000'],
  ] as const)('give the verdict %s', (verdict, code) => {
    expect(hex(encodeVerdict(7, 0xfffffffe, verdict))).toBe(
      `00000007${attribute(12, 2, `${code}fffffffe`)}`,
    );
  });
});

describe('decodePacketMessage', () => {
  const header = attribute(11, 1, '00000005080001' + '00');
  const inDevice = attribute(8, 5, '00000002');
  const mark = attribute(8, 3, '000000ff');
  const payload = attribute(9, 10, '4500000102' + '000000');
  const message = `02000007${header}${inDevice}${mark}${payload}`;

  it('reads every field', () => {
    expect(decodePacketMessage(bytes(message))).toEqual({
      ok: true,
      value: {
        queue: 7,
        id: 5,
        protocol: 0x0800,
        hook: 1,
        payload: Uint8Array.of(0x45, 0, 0, 1, 2),
        length: 5,
        mark: 0xff,
        inDevice: 2,
      },
    });
  });

  it('reads a packet without device, mark and payload', () => {
    expect(decodePacketMessage(bytes(`02000000${header}`))).toMatchObject({
      ok: true,
      value: { queue: 0, id: 5, mark: 0, inDevice: undefined, length: 0 },
    });
  });

  it('tells that a packet was cut', () => {
    const cut = bytes(message + attribute(8, 13, '00010000'));
    expect(decodePacketMessage(cut)).toMatchObject({ ok: true, value: { length: 0x10000 } });
  });

  it('skips attributes it does not know', () => {
    const more = bytes(message + attribute(8, 999, '12345678'));
    expect(decodePacketMessage(more)).toEqual(decodePacketMessage(bytes(message)));
  });

  it.each([
    ['no header', `02000007${inDevice}${payload}`],
    ['a header of another length', `02000007${attribute(12, 1, '0000000508000100')}`],
    ['a device of another length', `02000007${header}${attribute(6, 5, '00020000')}`],
    ['an attribute beyond the end', `02000007${header}${attribute(12, 10, '45000001')}`],
  ])('refuses %s', (_name, text) => {
    expect(decodePacketMessage(bytes(text)).ok).toBe(false);
  });

  it('at every length refuses, or reads fewer attributes', () => {
    const whole = bytes(message);
    const reads: number[] = [];
    for (let length = 0; length < whole.length; length++) {
      if (decodePacketMessage(whole.subarray(0, length)).ok) reads.push(length);
    }
    // After a whole attribute, with or without its padding; three bytes of padding end the message.
    expect(reads).toEqual([15, 16, 24, 32, 41, 42, 43]);
  });

  it('never throws', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (data) => {
        decodePacketMessage(data);
      }),
    );
  });
});

describe('decodeQueueDrops', () => {
  // As seq_show() of nfnetlink_queue.c prints it.
  const text = [
    '    0   1234     2 2 65531     3    10       45  1',
    '   12  31337     0 2 65531     0     0        0  1',
    '',
  ].join('\n');

  it.each([
    [0, 13],
    [12, 0],
    [1, undefined],
  ])('of queue %d are %s', (queue, drops) => {
    expect(decodeQueueDrops(text, queue)).toBe(drops);
  });

  it('are not told by what is no such line', () => {
    expect(decodeQueueDrops('0 1 2\n0 x', 0)).toBeUndefined();
    expect(decodeQueueDrops('', 0)).toBeUndefined();
  });
});
