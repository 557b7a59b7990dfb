import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { concatBytes, HOST_IS_LITTLE_ENDIAN } from '../../../src/core/bytes.ts';
import {
  decodeAck,
  decodeMessages,
  encodeMessage,
  formatAckWords,
  NLM_F_ACK,
  NLM_F_REQUEST,
  NLMSG_DONE,
  NLMSG_ERROR,
  type Ack,
} from '../../../src/core/netlink/message.ts';
import { succeed } from '../../../src/core/result.ts';
import { hex, truncations } from './hex.ts';

/*
 * Linux 6.18, x86-64, in a namespace of its own; answers as recv() gave them, with NETLINK_EXT_ACK
 * and (but for `uncapped`) NETLINK_CAP_ACK.
 */
const captured = {
  /** RTM_NEWADDR of 10.0.0.1/33. */
  badPrefix: `44000000 0200 0003 07000000 062b0000 eaffffff 20000000 1400 0500 07000000 00000000
    20000100 697076343a20496e76616c696420707265666978206c656e67746800`,
  /** RTM_NEWLINK with an IFLA_MTU of two bytes; the kernel answers with its policy, too. */
  badMtu: `78000000 0200 0003 08000000 062b0000 deffffff 28000000 1000 0500 08000000 00000000
    27000100 417474726962757465206661696c656420706f6c6963792076616c69646174696f6e0000
    08000200 20000000 24000480 0c00040000000000 00000000 0c000500ffffffff00000000 0800010004000000`,
  /** RTM_NEWLINK that changes nothing. */
  done: '24000000 0200 0001 09000000 062b0000 00000000 20000000 1000 0500 09000000 00000000',
  uncapped: `54000000 0200 0002 0a000000 062b0000 eaffffff 20000000 1400 0500 0a000000 00000000
    0221000001000000 080002000a000001
    20000100 697076343a20496e76616c696420707265666978206c656e67746800`,
};

function ackOf(fixture: string): Ack {
  const messages = decodeMessages(hex(fixture));
  if (!messages.ok || !messages.value[0]) throw new Error('no message');
  const ack = decodeAck(messages.value[0]);
  if (!ack.ok) throw new Error(ack.reason);
  return ack.value;
}

describe.runIf(HOST_IS_LITTLE_ENDIAN)('literal bytes', () => {
  it('encodes a message with padding that its length leaves out', () => {
    const payload = Uint8Array.of(0xaa);
    const flags = NLM_F_REQUEST | NLM_F_ACK;
    expect(encodeMessage({ type: 0x12, flags, seq: 3, pid: 4, payload })).toEqual(
      hex('11000000 1200 0500 03000000 04000000 aa000000'),
    );
  });

  it.each([
    ['badPrefix', 22, 'ipv4: Invalid prefix length', undefined],
    ['badMtu', 34, 'Attribute failed policy validation', 32],
    ['done', 0, undefined, undefined],
    ['uncapped', 22, 'ipv4: Invalid prefix length', undefined],
  ] as const)('decodes the acknowledgement %s', (name, errno, message, offset) => {
    expect(ackOf(captured[name])).toEqual({ errno, message, offset, missing: undefined });
  });

  it('refuses an acknowledgement cut anywhere but between its attributes', () => {
    const [whole] = [decodeMessages(hex(captured.badPrefix))];
    if (!whole.ok || !whole.value[0]) throw new Error('no message');
    const message = whole.value[0];
    for (const payload of truncations(message.payload)) {
      const result = decodeAck({ ...message, payload });
      expect(result.ok, `${payload.length} bytes`).toBe(payload.length === 20);
    }
  });
});

it.each([
  [undefined, undefined, undefined, undefined],
  ['no', undefined, undefined, 'no'],
  ['no', 32, undefined, 'no (at byte 32 of the request)'],
  [undefined, 32, 4, 'at byte 32 of the request, attribute 4 is missing'],
] as const)('puts %s, %s, %s into words', (message, offset, missing, words) => {
  expect(formatAckWords({ errno: 22, message, offset, missing })).toBe(words);
});

it('takes an empty end of a dump for a good one and a negative one for its errno', () => {
  const done = { type: NLMSG_DONE, flags: 2, seq: 1, pid: 1 };
  expect(decodeAck({ ...done, payload: new Uint8Array(0) })).toMatchObject(succeed({ errno: 0 }));
  const payload = new Uint8Array(Int32Array.of(-4).buffer);
  expect(decodeAck({ ...done, payload })).toMatchObject(succeed({ errno: 4 }));
});

it('gives back the messages of a datagram', () => {
  const message = fc.record({
    type: fc.nat(0xffff),
    flags: fc.nat(0xffff),
    seq: fc.nat(0xffffffff),
    pid: fc.nat(0xffffffff),
    payload: fc.uint8Array({ maxLength: 50 }),
  });
  fc.assert(
    fc.property(fc.array(message, { maxLength: 5 }), (messages) => {
      const bytes = concatBytes(messages.map(encodeMessage));
      expect(decodeMessages(bytes)).toEqual(succeed(messages));
    }),
  );
});

it('refuses every truncation of a datagram that cuts a message', () => {
  const one = encodeMessage({ type: 16, flags: 0, seq: 1, payload: new Uint8Array(8) });
  const two = concatBytes([one, one]);
  for (const part of truncations(two)) {
    const whole = part.length === 0 || part.length === one.length;
    expect(decodeMessages(part).ok, `${part.length} bytes`).toBe(whole);
  }
});

it('decodes anything without throwing', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), fc.nat(0xffff), (bytes, flags) => {
      expect(typeof decodeMessages(bytes).ok).toBe('boolean');
      const ack = decodeAck({ type: NLMSG_ERROR, flags, seq: 0, pid: 0, payload: bytes });
      expect(typeof ack.ok).toBe('boolean');
    }),
  );
});
