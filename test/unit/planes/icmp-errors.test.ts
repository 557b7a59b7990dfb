import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { ErrorIntake } from '../../../src/adapters/planes/error-intake.ts';
import { icmpErrorFilter, icmpv6ErrorFilter } from '../../../src/adapters/planes/icmp-errors.ts';
import { DEAF_TO_ERRORS, ERRORS_PER_TURN, OUTER_ERROR_RATE } from '../../../src/core/budgets.ts';
import { port } from '../../../src/core/units.ts';
import { decodeIcmpError } from '../../../src/core/wire/icmp-error.ts';
import { ABOUT, errorPacket, mended, TOLD } from '../wire/icmp-packets.ts';
import { passesFilter } from './classic-bpf.ts';

const LOCAL = ABOUT.local.port;

/** An intake of a socket that has as many of `packets` as there are, and what it does. */
function intakeOf(packets: Uint8Array[]) {
  const seen = { read: 0, heard: [] as unknown[], listening: false };
  const source = {
    receive() {
      const packet = packets.shift();
      if (!packet) return undefined;
      seen.read += 1;
      return decodeIcmpError(packet);
    },
    listen: (on: boolean): void => void (seen.listening = on),
  };
  const intake = new ErrorIntake(source, LOCAL, (path, error) => seen.heard.push([path, error]));
  return { intake, seen };
}

const many = (count: number, packet = errorPacket()) => Array.from({ length: count }, () => packet);

describe('an intake of ICMP errors', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  test('tells what is about its port', () => {
    const other = { ...ABOUT, local: { ...ABOUT.local, port: port(LOCAL + 1) } };
    const { intake, seen } = intakeOf([
      errorPacket(),
      errorPacket({ path: other }),
      errorPacket({ type: 8 }),
      new Uint8Array(3),
      mended(errorPacket(), (packet) => packet.fill(0, 28)),
      new Uint8Array(4000).fill(0x45),
    ]);
    intake.take();
    expect(seen.heard).toEqual([[ABOUT, { kind: 'unreachable', code: 'port', from: TOLD.by }]]);
    expect(seen).toMatchObject({ read: 6, listening: true });
  });

  test('reads so many a turn', () => {
    const { intake, seen } = intakeOf(many(ERRORS_PER_TURN + 1));
    intake.take();
    expect(seen).toMatchObject({ read: ERRORS_PER_TURN, listening: true });
    intake.take();
    expect(seen.read).toBe(ERRORS_PER_TURN + 1);
  });

  test('is deaf for a while when the rate is spent, and hears again', () => {
    const { perSecond, burst } = OUTER_ERROR_RATE;
    const { intake, seen } = intakeOf(many(10_000));
    for (let turn = 0; turn < 1000 && seen.listening; turn += 1) intake.take();
    expect(seen).toMatchObject({ read: burst + 1, listening: false });
    expect(seen.heard).toHaveLength(burst);
    vi.advanceTimersByTime(DEAF_TO_ERRORS - 1);
    expect(seen.listening).toBe(false);
    vi.advanceTimersByTime(1);
    expect(seen.listening).toBe(true);
    for (let second = 0; second < 60; second += 1) {
      while (seen.listening) intake.take();
      vi.advanceTimersByTime(1000);
    }
    expect(seen.heard.length).toBeLessThanOrEqual(burst + 61 * perSecond);
    expect(seen.heard.length).toBeGreaterThan(30 * perSecond);
  });

  test('is closed for good, also by who is told', () => {
    const { intake, seen } = intakeOf(many(10_000));
    while (seen.listening) intake.take();
    intake.close();
    vi.advanceTimersByTime(10 * DEAF_TO_ERRORS);
    expect(seen.listening).toBe(false);
    const read = seen.read;
    intake.take();
    expect(seen.read).toBe(read);
  });
});

describe('the filter of the ICMP socket', () => {
  const filter = icmpErrorFilter(LOCAL);
  const [ICMP, QUOTED] = [20, 28];
  /** With four bytes of options in the header at `at`. */
  function withOptions(packet: Uint8Array, at: number): Uint8Array {
    const longer = Uint8Array.of(
      ...packet.subarray(0, at + 20),
      ...[1, 1, 1, 1],
      ...packet.subarray(at + 20),
    );
    longer[at] = 0x46;
    return longer;
  }
  const changed = (at: number, value: number): Uint8Array => errorPacket().with(at, value);

  test.each<[string, Uint8Array, boolean]>([
    ['an error about our port', errorPacket(), true],
    ['one of 64 quoted bits', errorPacket({ quoted: 28 }), true],
    ['one that says that the hops ran out', errorPacket({ type: 11, code: 0 }), true],
    ['one with options outside', withOptions(errorPacket(), 0), true],
    ['one with options inside', withOptions(errorPacket(), QUOTED), true],
    ['"too big"', errorPacket({ code: 4, mtu: 1280 }), false],
    ['one about another port', changed(QUOTED + 21, 1), false],
    ['one about TCP', changed(QUOTED + 9, 6), false],
    ['one about a later fragment', changed(QUOTED + 7, 1), false],
    ['one about a first fragment', changed(QUOTED + 6, 0x20), true],
    ['one that is cut off before the port', errorPacket().subarray(0, QUOTED + 21), false],
    ['one that quotes nothing', errorPacket().subarray(0, ICMP + 8), false],
    ['nothing', new Uint8Array(), false],
  ])('%s', (_what, data, passes) => {
    expect(passesFilter(filter, { data })).toBe(passes);
  });
});

describe('the filter of the ICMPv6 socket', () => {
  const filter = icmpv6ErrorFilter(LOCAL);
  const [QUOTED, PORTS] = [8, 48];
  /** An ICMPv6 message that quotes the headers of a UDP packet from our port. */
  const message = Uint8Array.of(1, 4, 0, 0, 0, 0, 0, 0, ...new Uint8Array(48))
    .with(QUOTED, 0x60)
    .with(QUOTED + 6, 17)
    .with(PORTS, LOCAL >> 8)
    .with(PORTS + 1, LOCAL & 255);

  test.each<[string, Uint8Array, boolean]>([
    ['an error about our port', message, true],
    ['one that says that the hops ran out', message.with(0, 3), true],
    ['one that says that a field is wrong', message.with(0, 4), true],
    ['"too big"', message.with(0, 2), false],
    ['one about another port', message.with(PORTS + 1, 1), false],
    ['one about TCP', message.with(QUOTED + 6, 6), false],
    ['one about a fragment', message.with(QUOTED + 6, 44), false],
    ['one that is cut off before the port', message.subarray(0, PORTS + 1), false],
    ['one that quotes nothing', message.subarray(0, 8), false],
    ['nothing', new Uint8Array(), false],
  ])('%s', (_what, data, passes) => {
    expect(passesFilter(filter, { data })).toBe(passes);
  });
});
