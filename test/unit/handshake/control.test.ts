import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { noiseCrypto } from '../../../src/adapters/crypto-noise.ts';
import { MESSAGES_BYTES, openControl, sealControl } from '../../../src/core/handshake/control.ts';
import {
  COUNTER_RESERVE,
  COUNTER_WINDOW,
  FRESH_WINDOW,
  isFreshCounter,
  reserved,
  takeCounter,
  type ControlSession,
} from '../../../src/core/handshake/control-session.ts';
import {
  decodeMessages,
  encodeMessages,
  type ControlMessage,
} from '../../../src/core/handshake/messages.ts';
import { endpoint, flipped, sessions, taken } from './ends.ts';

const eight = fc.uint8Array({ minLength: 8, maxLength: 8 });
const u16 = fc.integer({ min: 0, max: 0xffff });
const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const u64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const end = fc.constantFrom(
  endpoint('192.0.2.1', 1),
  endpoint('255.255.255.255', 65_535),
  endpoint('2001:db8::1', 10_000),
);
const maybe = fc.option(end, { nil: undefined });
const message: fc.Arbitrary<ControlMessage> = fc.oneof(
  fc.record({ kind: fc.constant('path-challenge' as const), challenge: eight }),
  fc.record({ kind: fc.constant('path-response' as const), challenge: eight }),
  fc.record({ kind: fc.constant('observed' as const), source: end, resetToken: eight }),
  fc.record({
    ...{ kind: fc.constant('move' as const), epoch: u16, source: maybe, destination: maybe },
  }),
  fc.record({ kind: fc.constant('attest' as const), epoch: u32, packets: u64, bytes: u64 }),
  fc.record({ kind: fc.constant('mtu' as const), mtu: u16 }),
  fc.record({ kind: fc.constant('ping' as const), id: u32 }),
  fc.record({ kind: fc.constant('pong' as const), id: u32 }),
);
const several = fc.uniqueArray(message, { selector: ({ kind }) => kind, maxLength: 8 });
const ping = { kind: 'ping', id: 7 } as const;

/** Packets of one side, as many as are asked for. */
function sent(from: ControlSession, count: number): readonly Uint8Array[] {
  const packets: Uint8Array[] = [];
  let session = from;
  for (let id = 0; id < count; id += 1) {
    const sealed = sealControl(noiseCrypto, session, [{ kind: 'ping', id }]);
    packets.push(sealed.packet);
    session = sealed.session;
  }
  return packets;
}

describe('messages of CONTROL', () => {
  it('come out as they were put in, with zeros behind them or without', () => {
    fc.assert(
      fc.property(several, fc.integer({ min: 0, max: 40 }), (messages, zeros) => {
        const bytes = Uint8Array.from([...encodeMessages(messages), ...new Uint8Array(zeros)]);
        expect(decodeMessages(bytes)).toEqual(messages);
      }),
    );
  });

  it('never make the decoder throw, and only what is well-formed comes out', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
        const messages = decodeMessages(bytes);
        if (messages) expect(decodeMessages(encodeMessages(messages))).toEqual(messages);
      }),
      { numRuns: 1000 },
    );
  });

  it.each([
    ['one that nobody knows is skipped', [200, 1, 9, 6, 2, 5, 0], [{ kind: 'mtu', mtu: 1280 }]],
    ['a known one of another length', [6, 3, 5, 0, 0], undefined],
    ['one twice', [6, 2, 5, 0, 6, 2, 5, 0], undefined],
    ['one cut off', [6, 2, 5], undefined],
    ['a type alone', [6], undefined],
    ['something behind the zeros', [6, 2, 5, 0, 0, 1], undefined],
    ['an address that is none', [3, 26, ...new Uint8Array(26)], undefined],
    ['nothing', [], []],
  ])('%s', (_what, bytes, messages) => {
    expect(decodeMessages(Uint8Array.from(bytes))).toEqual(messages);
  });

  it.each<[string, ControlMessage]>([
    ['a challenge of 7 bytes', { kind: 'path-challenge', challenge: new Uint8Array(7) }],
    ['an MTU of 17 bits', { kind: 'mtu', mtu: 65_536 }],
    ['less than nothing', { kind: 'attest', epoch: 0, packets: -1n, bytes: 0n }],
    ['half a number', { kind: 'ping', id: 0.5 }],
  ])('are not made of %s', (_what, message) => {
    expect(() => encodeMessages([message])).toThrow(RangeError);
  });
});

describe('CONTROL', () => {
  it('brings messages in both directions, at every length that it may have', () => {
    const ends = sessions();
    for (const [from, to] of [
      [ends.client, ends.server],
      [ends.server, ends.client],
    ] as const) {
      for (const length of [96, 576, 577, 1500, 9000]) {
        const { packet, session } = sealControl(noiseCrypto, from, [ping], length);
        expect(packet).toHaveLength(length);
        expect(session.nextCounter).toBe(from.nextCounter + 1);
        const opened = taken(openControl(noiseCrypto, to, packet));
        expect(opened).toMatchObject({ counter: 0, newest: true, messages: [ping] });
        expect(openControl(noiseCrypto, from, packet)).toMatchObject({ ok: false });
      }
      for (const length of [0, 95, 97, 575, 65_508]) {
        expect(() => sealControl(noiseCrypto, from, [ping], length)).toThrow(RangeError);
      }
    }
  });

  it('has room for 64 bytes of messages and no more', () => {
    const { client } = sessions();
    const source = endpoint('192.0.2.1', 1);
    const move = { kind: 'move', epoch: 1, source, destination: source } as const;
    const full: ControlMessage[] = [
      move,
      { kind: 'path-response', challenge: new Uint8Array(8) },
      ...[ping, { kind: 'mtu', mtu: 1400 } as const],
    ];
    const [, , , ...without] = full.toReversed();
    expect(encodeMessages([...without, ping]).length).toBeLessThanOrEqual(MESSAGES_BYTES);
    expect(sealControl(noiseCrypto, client, [move, ping]).packet).toHaveLength(96);
    const tooMany = [...full, { kind: 'pong', id: 1 } as const];
    expect(encodeMessages(tooMany).length).toBeGreaterThan(MESSAGES_BYTES);
    expect(() => sealControl(noiseCrypto, client, tooMany)).toThrow(RangeError);
    expect(sealControl(noiseCrypto, client, tooMany, 576).packet).toHaveLength(576);
  });

  it('is refused with any bit flipped', () => {
    const { client, server } = sessions();
    const { packet } = sealControl(noiseCrypto, client, [ping]);
    for (const [bit, other] of flipped(packet)) {
      expect(openControl(noiseCrypto, server, other), `bit ${bit}`).toMatchObject({ ok: false });
    }
    for (let length = 0; length < packet.length; length += 1) {
      const cut = packet.subarray(0, length);
      expect(openControl(noiseCrypto, server, cut)).toEqual({ ok: false, reason: 'length' });
    }
  });

  it('is of one session and one direction', () => {
    const { client, server } = sessions();
    const { packet } = sealControl(noiseCrypto, client, [ping]);
    const other = sessions().server;
    expect(openControl(noiseCrypto, other, packet)).toEqual({
      ok: false,
      reason: 'undecipherable',
    });
    const elsewhere = { ...server, receiveIndex: server.receiveIndex + 1 };
    expect(openControl(noiseCrypto, elsewhere, packet)).toEqual({ ok: false, reason: 'index' });
  });

  it('is taken once, in any order within the window, and not when it is older', () => {
    const { client, server } = sessions();
    const packets = sent(client, COUNTER_WINDOW + 1);
    const order = [3, 1, 2, COUNTER_WINDOW, 4, 0, 1, COUNTER_WINDOW, 3];
    let session = server;
    const verdicts = order.map((place) => {
      const heard = openControl(noiseCrypto, session, packets[place] ?? new Uint8Array());
      if (!heard.ok) return heard.reason;
      session = heard.value.session;
      return heard.value.newest;
    });
    expect(verdicts).toEqual([
      ...[true, false, false, true, false],
      ...['replayed', 'replayed', 'replayed', 'replayed'],
    ]);
  });

  it('goes on after a restart with no counter that served before', () => {
    const { client, server } = sessions();
    const kept = structuredClone(reserved(client));
    const before = sent(client, 3);
    const { packet } = sealControl(noiseCrypto, kept, [ping]);
    let session = server;
    for (const each of before) session = taken(openControl(noiseCrypto, session, each)).session;
    expect(taken(openControl(noiseCrypto, session, packet)).counter).toBe(COUNTER_RESERVE);
  });

  it('never throws, whatever comes', () => {
    const { server } = sessions();
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 700 }), fc.boolean(), (rest, alike) => {
        const head = Uint8Array.of(0xf4, 0, 0, 0, 0, 0x44, 0x55, 0x66);
        const bytes = alike ? Uint8Array.from([...head, ...rest]) : rest;
        expect(openControl(noiseCrypto, server, bytes).ok).toBe(false);
      }),
      { numRuns: 300 },
    );
  });
});

describe('the window of counters', () => {
  it('is a set of all that came, as far back as it reaches', () => {
    const step = fc.oneof(fc.integer({ min: 0, max: 200 }), fc.constantFrom(0, 31, 32, 33, 63, 64));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
        let window = FRESH_WINDOW;
        const came = new Set<number>();
        for (const [round, step] of steps.entries()) {
          const counter = Math.max(0, round * 3 + 100 - step);
          const newest = Math.max(-1, ...came);
          const fresh = !came.has(counter) && counter > newest - COUNTER_WINDOW;
          expect(isFreshCounter(window, counter), `${counter} after ${newest}`).toBe(fresh);
          if (!fresh) continue;
          window = takeCounter(window, counter);
          came.add(counter);
        }
      }),
    );
  });
});
